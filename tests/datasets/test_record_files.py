import json

import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from unilmv2_tf.datasets import label_names
from unilmv2_tf.datasets import load_labeled


def examples(path):
    return [
        (tuple(text.decode() for text in record.values()), label)
        for record, label in load_labeled(str(path)).as_numpy_iterator()
    ]


texts = st.text(
    st.characters(exclude_characters="\t\n\r\ufeff", exclude_categories=["Cs"]),
    min_size=1,
).filter(lambda text: text.strip(" \v\f") and text.lower() != "text")
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
        found = examples(path)
        names = label_names(str(path))
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
        ("a.jsonl", '{"text": "a", "label": 1}\n{"text": "a", "label": 1.5}',
         "jsonl:2: .*class '1'.*value 1.5.*3.0"),
        ("a.jsonl", '{"text": "a", "label": NaN}', "1: the label nan is not"),
        ("a.jsonl", '{"text": "a", "label": null}', "1: 'label' must.*null"),
        ("a.jsonl", '{"text": "a", "label": true}', "1: 'label' must.*true"),
        ("a.jsonl", '{"text": "a", "label": " "}', "1: 'label' is empty"),
        ("a.jsonl", '{"text": "", "label": "x"}', "1: 'text' is empty"),
        ("a.jsonl", '{"text": "a", "labels": "x"}', "'label' is missing.*text"),
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
