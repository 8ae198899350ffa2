import json
import pathlib
import warnings

import pytest

from unilmv2_tf.datasets.squad_files import read_squad_file

CASES = pathlib.Path(__file__).parent / "cases/12_squad"
CONTEXT = "\U0001f98a caf\u00e9: the fox ate the hen, and the fox slept."
FOX = CONTEXT.index("fox")


def question(identity="q1", answers=(("fox", FOX),), **others):
    return {
        "id": identity,
        "question": "Who?",
        "answers": [
            {"text": text, "answer_start": start} for text, start in answers
        ],
        **others,
    }


def write(path, *questions, context=CONTEXT):
    paragraph = {"context": context, "qas": list(questions)}
    content = {
        "version": "v2.0",
        "data": [{"title": "t", "paragraphs": [paragraph]}],
    }
    path.write_text(json.dumps(content))
    return str(path)


def test_both_versions(tmp_path):
    path = write(
        tmp_path / "a.json",
        question(answers=[("fox", FOX), ("the fox", FOX - 4)]),
        question("q2", [], is_impossible=True, plausible_answers=[{"text": 3}]),
        question("q3", [("hen", CONTEXT.index("hen"))], is_impossible=False),
    )
    records = read_squad_file(path)
    assert [record[0] for record in records] == ["q1", "q2", "q3"]
    assert records[0][2:] == (CONTEXT, ["fox", "the fox"], [FOX, FOX - 4])
    assert records[1][3:] == ([], [])
    for _, _, context, texts, starts in records:
        for text, start in zip(texts, starts):
            # Code points, with a character of four bytes before them.
            assert context[start : start + len(text)] == text


@pytest.mark.parametrize("shift", [-10, -1, 3, 10])
def test_an_answer_that_was_moved_is_mended(tmp_path, shift):
    start = CONTEXT.index("hen")
    path = write(
        tmp_path / "a.json", question(answers=[("hen", start + shift)])
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert read_squad_file(path)[0][4] == [start]
    assert "1 answer was moved" in str(caught[0].message)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (question(answers=[("hen", FOX - 11)]), "answer 0 times"),
        (question(answers=[("the ", FOX + 3)]), "answer 2 times"),
        (question(answers=[("cat", FOX)]), "answer 'cat' must be.*'fox'"),
        (question(answers=[("fox", -30)]), "'answer_start' -30"),
        (question(answers=[("fox", 9999)]), "'answer_start' 9999"),
        (question(answers=[("fox", "7")]), 'must be an integer.*"7"'),
        (question(answers=[(" ", FOX)]), "'text' is empty"),
        (question(is_impossible=True), "'is_impossible' is true, but"),
        (question(question="\n"), "'question' is empty"),
        (question(question="\ud800"), "'question' has half of a surrogate"),
        (question(answers=[]) | {"answers": None}, "'answers' is missing"),
        (question() | {"answers": 3}, "'answers' must be a list, not 3"),
        (question(is_impossible="maybe"), "'is_impossible' must be.*maybe"),
        (question(answers=[("", 3)]), "'text' is empty"),
        (question(answers=[("", -1)], is_impossible=False), "'text' is empty"),
        (question() | {"answers": {"text": ["a"], "answer_start": []}},
         "as many texts as positions, not 1 and 0"),
        ({"id": "q2", "question": "Who?"}, "'answers' is missing.*id, q"),
        ({"question": "Who?"}, "'id' is missing"),
        ("q2", "'id' is missing.*a str"),
        (question("q0"), r"the id 'q0' is that of .*question 1"),
    ],
)  # fmt: skip
def test_wrong_records_are_named(tmp_path, wrong, message):
    path = write(tmp_path / "a.json", question("q0"), wrong)
    place = r"a\.json, article 1, paragraph 1, question 2"
    with pytest.raises(ValueError, match=f"(?s){place}.*{message}"):
        read_squad_file(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"[" * 99999, "not valid JSON"),
        (b'{"data":\n "caf\xe9"}', r"a.json:2: .*byte 6 .* 0xe9"),
        (b"{}", "'data' is missing.*no key"),
        (b"[3]", "article 1: .*'paragraphs' is missing.*a int"),
        (b'{"data": {}}', "'data' must be a list"),
        (b'{"data": []}', "a.json is empty: it has no questions"),
        (
            b'{"data": [{"title": "t"}]}',
            "article 1: .*'paragraphs' is missing",
        ),
        (
            b'{"data": [{"paragraphs": [{"context": ""}]}]}',
            "'context' is empty",
        ),
    ],
)
def test_wrong_files(tmp_path, content, message):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_squad_file(str(tmp_path / "a.json"))


def test_other_extensions(tmp_path):
    (tmp_path / "a.jsonl").write_text("{}")
    with pytest.raises(ValueError, match=r"cannot hold questions.*\.json$"):
        read_squad_file(str(tmp_path / "a.jsonl"))


def test_files_as_others_write_them(tmp_path):
    def read(name):
        return read_squad_file(str(CASES / name))

    assert [record[0] for record in read("integer_ids.json")] == ["297", "298"]
    assert [record[3:] for record in read("columns.json")] == [
        (["brown fox"], [10])
    ]
    assert [x[3] for x in read("empty_answer.json")] == [["brown fox"], []]
    assert read("impossible_text.json")[0][3] == ["brown fox"]
    with pytest.warns(UserWarning, match="1 answer was moved"):
        assert [x[4] for x in read("moved.json")] == [[16], [16]]
    # Records as `datasets` writes them, one without an answer.
    answers = [{"text": ["fox"], "answer_start": [FOX]}]
    answers.append({"text": [], "answer_start": []})
    records = [
        {"id": n, "question": "Who?", "context": CONTEXT, "answers": x}
        for n, x in enumerate(answers)
    ]
    (tmp_path / "a.json").write_text(json.dumps({"data": records}))
    (tmp_path / "b.json").write_text(json.dumps(records))
    for name in ("a.json", "b.json"):
        found = read_squad_file(str(tmp_path / name))
        assert [x[3:] for x in found] == [(["fox"], [FOX]), ([], [])]


def test_answers_are_asked_for_or_not():
    path = str(CASES / "without_answers.json")
    with pytest.raises(ValueError, match=r"2 of 2 .*unilmv2 predict"):
        read_squad_file(path)
    found = read_squad_file(path, with_answers=False)
    assert [(x[0], x[1], x[3]) for x in found] == [
        ("a", "who jumps?", []), ("b", "what?", []),
    ]  # fmt: skip


def test_all_misfits_are_named_or_skipped():
    path = str(CASES / "wrong_starts.json")
    with pytest.raises(ValueError, match=r"3 of 12 .*q3\).*q5\).*q9\)"):
        read_squad_file(path)
    with pytest.warns(UserWarning, match=r"3 of 12 .*left out"):
        found = read_squad_file(path, skip_misfits=True)
    assert [x[0] for x in found] == [
        f"q{n}" for n in range(12) if n not in (3, 5, 9)
    ]
