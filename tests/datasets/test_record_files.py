import csv
import json
import pathlib
import unicodedata
import warnings

import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from unilmv2_tf.datasets import label_names
from unilmv2_tf.datasets import load_documents
from unilmv2_tf.datasets import load_labeled
from unilmv2_tf.datasets import load_pairs
from unilmv2_tf.datasets.shard_plan import plan_shards

CASES = pathlib.Path(__file__).parent / "cases"


def examples(path, **options):
    return [
        (tuple(text.decode() for text in record.values()), label)
        for record, label in load_labeled(path, **options).as_numpy_iterator()
    ]


texts = st.text(
    st.characters(exclude_characters="\t\n\r\ufeff", exclude_categories=["Cs"]),
    min_size=1,
).filter(
    lambda text: (
        any(unicodedata.category(character)[0] in "LNPS" for character in text)
        and text.lower() != "text"
    )
)
LABELS = {
    "classes": st.sampled_from(["b", "a c", "\u00e9", "7", "-10", "1.2.3"]),
    "values": st.floats(-(2.0**99), 2.0**99, allow_subnormal=False, width=32),
}


@pytest.mark.parametrize("kind", list(LABELS))
@pytest.mark.parametrize("keys", [("text",), ("text_a", "text_b")])
@pytest.mark.parametrize("extension", ["tsv", "jsonl"])
def test_examples_come_back_as_they_were_written(
    tmp_path_factory, kind, keys, extension
):
    rows = st.lists(
        st.tuples(st.tuples(*[texts] * len(keys)), LABELS[kind]),
        min_size=1,
        max_size=5,
    )

    @settings(max_examples=10, deadline=None)
    @given(rows)
    def check(rows):
        path = tmp_path_factory.mktemp("texts") / f"a.{extension}"
        lines = [
            "\t".join([*texts, str(label)])
            if extension == "tsv"
            else json.dumps({**dict(zip(keys, texts)), "label": label, "x": 1})
            for texts, label in rows
        ]
        text = "\n\n".join(lines) + "\r\n"
        path.write_text(text, encoding="utf-8", newline="")
        task = "regress" if kind == "values" else None
        found = examples(path, task=task, quoting=False)
        names = label_names(path, task=task, quoting=False)
        if kind == "values":
            assert names is None
            assert found == rows
        else:
            assert set(names) == {name for _, name in rows}
            assert found == [(texts, name.encode()) for texts, name in rows]

    check()


def test_integers_are_classes_and_points_make_values(tmp_path):
    def labels_of(name, *labels):
        path = tmp_path / name
        path.write_text("".join(f"text of it\t{label}\n" for label in labels))
        if name.endswith("jsonl"):
            path.write_text(
                "".join(f'{{"text": "a", "label": {x}}}\n' for x in labels)
            )
        return label_names(str(path))

    assert labels_of("a.tsv", 10, 9, 10, -1) == ["-1", "9", "10"]
    assert labels_of("b.tsv", 10, "ten") == ["10", "ten"]
    assert labels_of("c.tsv", 10, 2.5, "1e3", ".5") is None
    assert labels_of("d.jsonl", 10, '"9"', '"ten"') == ["10", "9", "ten"]
    assert labels_of("e.jsonl", 10.0, 2.5) is None
    # Data of one class can be read; whether it can be trained on is not asked.
    assert labels_of("f.tsv", "only", "only") == ["only"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.tsv", "", "a.tsv is empty: it has no labeled examples"),
        ("a.tsv", "a\tb\nonly\n", "a.tsv:2: .*2 columns.*or 3.*has 1"),
        ("a.tsv", "a\tb\tc\td", "a.tsv:1: .*this line has 4"),
        ("a.tsv", "a\tx\na\tb\tx", "a.tsv:2: .*texts or pairs, not both"),
        ("a.tsv", "a\tx\n\n \tx", "a.tsv:3: column 1 is empty"),
        ("a.tsv", "a\tx\na\t ", "a.tsv:2: column 2 is empty"),
        ("a.tsv", "a\t1.5\na\tnan", "a.tsv:2: the label nan is not a finite"),
        ("a.tsv", "a\t1.5\na\t-inf", "a.tsv:2: the label -inf is not"),
        ("a.tsv", "a\t1.5\na\t1e39", r"a.tsv:2: the label 1e\+39 is not"),
        ("a.tsv", "a\t1\na\t1.5\na\tx", "tsv:3: .*class 'x'.*value 1.5"),
        ("a.tsv", "sentence\tlabel\na\tx", "a.tsv:1: .*header.*tail -n"),
        ("a.jsonl", '{"text": "a", "label": 1.5}\n{"text": "a", "label": "x"}',
         "jsonl:2: .*class 'x'.*value 1.5.*--task"),
        ("a.tsv", "a\tscore\na\t1.5", "a.tsv:1: .*header.*label is 'score'"),
        ("a.tsv", "a\n\nb\tx\nc", "a.tsv: 2 of 3 labeled.*1: .*; 4: .*misfits"),
        ("a.jsonl", '{"text": "a", "label": NaN}', "1: the label nan is not"),
        ("a.jsonl", '{"text": "a", "label": null}', "1: 'label' must.*null"),
        ("a.jsonl", '{"text": "a", "label": true}', "1: 'label' must.*true"),
        ("a.jsonl", '{"text": "a", "label": " "}', "1: 'label' is empty"),
        ("a.jsonl", '{"text": "", "label": "x"}', "1: 'text' is empty"),
        ("a.jsonl", '{"text": "a", "labels": "x"}', "'labels' must be a list"),
        ("a.jsonl", '{"text": "a", "labels": [true]}', "'labels' must.*true"),
        ("a.jsonl", '{"text": "a", "labels": [], "label": 1}', "'labels' must"),
        ("a.jsonl", '{"text_a": "a", "label": 1}', "'text_b' is missing"),
        ("a.jsonl", '{"text": "a", "text_b": "b", "label": 1}', "not all"),
        ("a.jsonl", '{"text": "a", "label": "\\ud800"}', "'label'.*surrogate"),
        ("a.jsonl", "[]", "a.jsonl:1: .*of type list"),
        ("a.txt", "a", "cannot hold labeled examples.*hold documents"),
        ("a.csv", "a,b", "unknown extension"),
    ],
)  # fmt: skip
def test_errors_name_the_file_and_the_line(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(ValueError, match=f"(?s){message}"):
        load_labeled(str(path))


def write_table(path, rows, quoting=csv.QUOTE_MINIMAL):
    with open(path, "w", newline="") as file:
        csv.writer(file, delimiter="\t", quoting=quoting).writerows(rows)
    return path


def test_a_header_of_unknown_names(tmp_path):
    for name in ("header.tsv", "ids.tsv"):
        with pytest.raises(ValueError, match=r":1: this looks like a header"):
            load_labeled(CASES / "11_tables" / name)
    reviews = [(f"a long review {n}", str(n % 5)) for n in range(40)]
    path = write_table(tmp_path / "a.tsv", [("Review Body", "Stars"), *reviews])
    with pytest.raises(ValueError, match=r"'Stars', the others are num"):
        load_labeled(path)
    # One word a text: only the class is odd.
    names = [(f"Ann{n}", "ab"[n % 2]) for n in range(9)]
    path = write_table(tmp_path / "b.tsv", [("name", "group"), *names])
    with pytest.warns(
        UserWarning, match="b.tsv:1: .*only one of class 'group'"
    ):
        assert len(load_labeled(path)) == 10


def test_a_header_of_pairs(tmp_path):
    pairs = [(f"the long text {n}", f"summary {n}") for n in range(9)]
    path = write_table(tmp_path / "a.tsv", [("article", "summary"), *pairs])
    with pytest.raises(ValueError, match=r"a.tsv:1: this looks like a header"):
        load_pairs(path)
    path = write_table(tmp_path / "b.tsv", [("Quelle", "Ziel"), *pairs])
    with pytest.warns(
        UserWarning, match=r"b.tsv:1: .*few words .Quelle / Ziel"
    ):
        assert len(load_pairs(path)) == 10


def test_a_column_of_ids(tmp_path):
    rows = [(f"train-{n}", f"text {n}", "ab"[n % 2]) for n in range(9)]
    path = write_table(tmp_path / "a.tsv", rows)
    with pytest.warns(UserWarning, match="column 1 looks like ids, 'train-1'"):
        load_labeled(path)
    with pytest.warns(UserWarning, match="column 1 looks like ids"):
        load_pairs(write_table(tmp_path / "b.tsv", [row[:2] for row in rows]))


@pytest.mark.parametrize("name", ["quoted.tsv", "quoted_breaks.tsv"])
def test_tables_with_quotes(name):
    path = CASES / "11_tables" / name
    with pytest.raises(ValueError, match=r"--quoting true.*--quoting false"):
        load_labeled(path)
    with open(path, newline="") as file:
        rows = list(csv.reader(file, delimiter="\t"))
    assert examples(path, quoting=True) == [
        ((text,), label.encode()) for text, label in rows
    ]
    assert len(rows) == 60
    assert label_names(path, quoting=True) == ["bad", "good"]


@pytest.mark.parametrize("quoting", [csv.QUOTE_ALL, csv.QUOTE_MINIMAL])
def test_pairs_with_quotes(tmp_path, quoting):
    rows = [('say "hi"', "x\ny"), ("plain", 'a\t"b"')]
    path = write_table(tmp_path / "a.tsv", rows, quoting)
    with pytest.raises(ValueError, match="looks like TSV with quotes"):
        load_pairs(path)
    found = [
        tuple(text.decode() for text in record.values())
        for record in load_pairs(path, quoting=True).as_numpy_iterator()
    ]
    assert found == rows
    path.write_text('"one ""document"""\nand another\n')
    with pytest.raises(ValueError, match=r"quotes.*JSON lines"):
        load_documents(path)
    with pytest.raises(ValueError, match=r"quotes.*JSON lines"):
        plan_shards(path)
    path.write_text('a\tb\n"never closed\tx\n')
    assert len(load_pairs(path)) == 2
    with pytest.raises(ValueError, match=r"a.tsv:2: not valid TSV with quotes"):
        load_pairs(path, quoting=True)


def test_labels_of_0_and_1_are_classes(tmp_path):
    path = CASES / "11_tables" / "floats.tsv"
    with pytest.warns(UserWarning, match="taken for classes.*--task regress"):
        assert label_names(path) == ["0", "1"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert label_names(path, task="regress") is None
        assert label_names(path, task="classify") == ["0", "1"]
        stars = tmp_path / "a.jsonl"
        stars.write_text('{"text": "a", "label": 4.0}\n' * 2)
        assert label_names(stars) is None
        assert label_names(stars, task="classify") == ["4"]
        whole = tmp_path / "a.tsv"
        whole.write_text("a\t3\nb\t10\n")
        assert [y for _, y in examples(whole, task="regress")] == [3.0, 10.0]
    with pytest.raises(ValueError, match="'bad' is no number"):
        load_labeled(CASES / "11_tables/header.tsv", task="regress")
    with pytest.raises(ValueError, match="task='rank'"):
        load_labeled(path, task="rank")


def test_lists_of_labels(tmp_path):
    path = CASES / "many_labels.jsonl"
    expected = [json.loads(line)["labels"] for line in open(path)]
    dataset = load_labeled(path)
    found = [y.tolist() for _, y in dataset.as_numpy_iterator()]
    assert found == [[name.encode() for name in names] for names in expected]
    assert label_names(path) == ["late", "loud", "rude"]
    other = tmp_path / "a.jsonl"
    other.write_text('{"text_a": "a", "text_b": "b", "labels": [2, 1, 2]}\n')
    ((record, labels),) = load_labeled(other).as_numpy_iterator()
    assert set(record) == {"text_a", "text_b"} and [*labels] == [b"2", b"1"]


def test_misfits_are_skipped_and_counted(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("one\ta\nonly\ntwo\tb\n\tb\n" * 4)
    with pytest.raises(ValueError, match=r"8 of 16 .*; and 3 more. Correct"):
        load_labeled(path)
    with pytest.warns(UserWarning, match=r"8 of 16 .*first: 2: a TSV file"):
        assert len(load_labeled(path, skip_misfits=True)) == 8
    path.write_text("only\n")
    with pytest.raises(ValueError, match="no labeled examples that fit, of 1"):
        load_labeled(path, skip_misfits=True)
