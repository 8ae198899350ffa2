import json

import pytest

from benchmarks import report_table


def test_only_what_is_between_the_comments_changes():
    begin, end = report_table.begin_of("x"), report_table.end_of("x")
    text = f"before\n{begin}\nold\n{end}\nafter\n"
    actual = report_table.replaced(text, "x", "new\n")
    assert actual == f"before\n{begin}\nnew\n{end}\nafter\n"
    assert report_table.replaced(actual, "x", "new\n") == actual
    assert report_table.replaced("nothing", "x", "new\n") == "nothing"
    with pytest.raises(ValueError, match="end of figures"):
        report_table.replaced(begin, "x", "new")


def test_the_table_has_the_figures_of_the_results(tmp_path):
    spread = {"median": 1.5, "lowest": 1.25, "highest": 2.0}
    results = {
        "machine": {"cpu": "a processor", "cores": 2},
        "settings": {"source_length": 5, "target_length": 4},
        "speed_to": {"a peer": spread},
    }
    (tmp_path / "finetuning.json").write_text(json.dumps(results))
    table = report_table.summary_table(tmp_path)
    assert "5 to 4 tokens" in table
    assert "of a peer's | 1.50 (1.25-2.00) |" in table
    assert table.endswith("Measured on a processor, 2 cores.\n")


def test_the_results_of_the_repository_make_all_tables(tmp_path):
    for path in ("README.md", "docs/performance.md", "docs/scaling.md"):
        copy = tmp_path / path
        copy.parent.mkdir(exist_ok=True)
        copy.write_text((report_table.ROOT / path).read_text())
    report_table.write_tables(tmp_path)
    for path in ("README.md", "docs/performance.md", "docs/scaling.md"):
        text = (report_table.ROOT / path).read_text()
        assert (tmp_path / path).read_text() == text, (
            f"{path} is not what the results say: run "
            "`python -m benchmarks table`"
        )
