"""The command `predict`: the results of `classify` and `answer`, in files."""

import json
import os
import pathlib
import sys

import numpy as np
import pytest

from unilmv2_tf import UniLMv2Backbone
from unilmv2_tf import UniLMv2QuestionAnswerer
from unilmv2_tf import UniLMv2QuestionAnswererPreprocessor
from unilmv2_tf import UniLMv2TextClassifier
from unilmv2_tf import UniLMv2TextClassifierPreprocessor
from unilmv2_tf import UniLMv2Tokenizer
from unilmv2_tf.cli import main
from unilmv2_tf.inference import file_jobs

CASES = pathlib.Path(__file__).parents[1] / "data" / "cases" / "14_predict"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = "a bad good film the quick brown fox jumps over lazy dog cat".split()


@pytest.fixture(scope="module")
def tokenizer():
    return UniLMv2Tokenizer([*SPECIAL, *WORDS])


def with_random_weights(model):
    rng = np.random.default_rng(3)
    for weight in sorted(model.trainable_weights, key=lambda w: w.path):
        weight.assign(rng.normal(0, 0.7, weight.shape))
    return model


@pytest.fixture(scope="module")
def make_classifier(tokenizer):
    def make(num_classes=2, names=("bad", "good"), **options):
        return with_random_weights(
            UniLMv2TextClassifier(
                UniLMv2Backbone(18, 1, 2, 8, 12, max_sequence_length=16),
                num_classes,
                UniLMv2TextClassifierPreprocessor(tokenizer, 12),
                label_names=names,
                **options,
            )
        )

    return make


@pytest.fixture(scope="module")
def models(make_classifier, tokenizer):
    """A task for each name, instead of a preset folder."""
    return {
        "classifier": make_classifier(),
        "ids": make_classifier(3, None),
        "value": make_classifier(1, None),
        "labels": make_classifier(3, list("xyz"), multi_label=True),
        "answerer": with_random_weights(
            UniLMv2QuestionAnswerer(
                UniLMv2Backbone(18, 1, 2, 8, 12, max_sequence_length=16),
                UniLMv2QuestionAnswererPreprocessor(
                    tokenizer, 16, doc_stride=4, max_question_length=4
                ),
            )
        ),
    }


@pytest.fixture
def predict(models, tmp_path, monkeypatch, capsys):
    """Runs the command in a folder of its own: status, stderr, records."""
    monkeypatch.chdir(tmp_path)
    for function in ("task_class", "load_task"):
        real = getattr(file_jobs, function)

        def stand_in(preset, real=real, **options):
            if preset not in models:
                return real(preset, **options)
            model = models[preset]
            return type(model) if real.__name__ == "task_class" else model

        monkeypatch.setattr(file_jobs, function, stand_in)
    monkeypatch.setattr(file_jobs, "folder_checksum", str)

    def run(preset, input, *flags, command="predict", output="out.jsonl"):
        arguments = [command, preset, "--input", str(input)]
        arguments += ["--output", output, *map(str, flags)]
        status = main(arguments)
        error = capsys.readouterr().err
        if not os.path.exists(output):
            return status, error, None
        with open(output, encoding="utf-8") as file:
            records = [json.loads(line) for line in file]
        os.rename(output, f"done-{output}")
        return status, error, records

    return run


def write(name, *lines):
    pathlib.Path(name).write_text("".join(f"{line}\n" for line in lines))
    return name


def texts_of(seed, count):
    rng = np.random.default_rng(seed)
    return [
        " ".join(rng.choice(WORDS, rng.integers(1, 9))) for _ in range(count)
    ]


def test_classes_and_probabilities(predict, models):
    lines = (CASES / "texts.txt").read_text().splitlines()
    expected = models["classifier"].classify(lines, return_probabilities=True)
    expected = [{"text": x, **y} for x, y in zip(lines, expected)]
    for name in ("texts.txt", "texts.jsonl"):
        _, error, records = predict("classifier", CASES / name)
        assert records == expected
        assert f"predicting: {len(lines)}/{len(lines)} texts" in error
        assert "left" in error
    pairs = [
        line.split("\t")
        for line in (CASES / "pairs.tsv").read_text().splitlines()
    ]
    expected = models["classifier"].classify(
        tuple(map(list, zip(*pairs))), return_probabilities=True
    )
    assert predict("classifier", CASES / "pairs.tsv")[2] == [
        {"text_a": x, "text_b": y, **result}
        for (x, y), result in zip(pairs, expected)
    ]


def test_other_classifiers_and_other_keys(predict, models):
    texts = texts_of(0, 5)
    write("in.jsonl", *(json.dumps({"text": x, "label": "é"}) for x in texts))
    for name in ("ids", "labels"):
        found = models[name].classify(texts, return_probabilities=True)
        # Keys of JSON are strings.
        found = json.loads(json.dumps(found))
        key = "label" if name == "labels" else "input_label"
        assert predict(name, "in.jsonl")[2] == [
            {"text": x, key: "é", **y} for x, y in zip(texts, found)
        ]
    values = models["value"].classify(texts)
    records = predict("value", "in.jsonl")[2]
    assert [record["value"] for record in records] == values


def test_questions_without_answers(predict, models):
    article = json.loads((CASES / "questions.json").read_text())["data"][0]
    (paragraph,) = article["paragraphs"]
    records = predict("answerer", CASES / "questions.json", "--n_best", 3)[2]
    questions = [question["question"] for question in paragraph["qas"]]
    contexts = [paragraph["context"]] * 2
    found = models["answerer"].answer(questions, contexts, n_best=3)
    assert records == [
        {**question, **answers[0], "answers": answers}
        for question, answers in zip(paragraph["qas"], found)
    ]


def test_answers(predict, models):
    answerer = models["answerer"]
    context = "the quick brown fox jumps over the lazy dog"
    pairs = [("who jumps ?", context), ("what ?", "a cat"), ("?", "a " * 20)]
    expected = answerer.answer(*map(list, zip(*pairs)), n_best=2)
    write("in.tsv", *map("\t".join, pairs))
    assert predict("answerer", "in.tsv", "--n_best", 2)[2] == [
        {"question": question, **found[0], "answers": found}
        for (question, _), found in zip(pairs, expected)
    ]
    keys = ("question", "context", "id")
    items = [dict(zip(keys, (*pair, 7))) for pair in pairs]
    write("in.jsonl", *map(json.dumps, items))
    assert predict("answerer", "in.jsonl")[2] == [
        {"question": question, "id": 7, **found[0]}
        for (question, _), found in zip(pairs, expected)
    ]


def test_interrupted_twice(predict, models, monkeypatch):
    """The same bytes as undisturbed, and what `classify` gives for all."""
    monkeypatch.setattr(file_jobs, "BATCHES_PER_CHUNK", 2)
    texts = texts_of(1, 60)
    write("in.txt", *texts)
    flags = ("--batch_size", 4)
    records = predict("classifier", "in.txt", *flags)[2]
    classify = UniLMv2TextClassifier.classify
    expected = classify(
        models["classifier"], texts, batch_size=4, return_probabilities=True
    )
    assert records == [{"text": x, **y} for x, y in zip(texts, expected)]
    whole = pathlib.Path("done-out.jsonl").read_bytes()

    computed = []

    def interrupted(self, x, **options):
        if len(computed) in (16, 32):
            computed.append("interrupted")
            raise KeyboardInterrupt
        computed.extend(x)
        return classify(self, x, **options)

    monkeypatch.setattr(UniLMv2TextClassifier, "classify", interrupted)
    assert predict("classifier", "in.txt", *flags)[0] == 130
    part = pathlib.Path("out.jsonl.part")
    assert whole.startswith(part.read_bytes())
    # A power failure leaves half a line.
    part.write_bytes(part.read_bytes() + b'{"te')
    computed[16:] = []
    other = predict("classifier", "in.txt", "--batch_size", 5)[1]
    assert "started with batch_size=4 (now 5)" in other
    computed.append("resumed")
    status, error, _ = predict("classifier", "in.txt", *flags)
    assert status == 0 and "predicting: 60/60 texts" in error
    assert computed[17:] == texts[16:]
    assert pathlib.Path("done-out.jsonl").read_bytes() == whole
    assert not os.path.exists("out.jsonl.part")


def test_bad_lines(predict, models, monkeypatch):
    open("in.tsv", "wb").write(b"a cat\tthe fox\na\tb\tc\n\na\t \n\xff\ta\n")
    jsons = [{"text": "a"}, {"txt": "a"}, {"text": 1}, {"text_a": "a"}]
    write("in.jsonl", "{", *map(json.dumps, jsons))
    classify = UniLMv2TextClassifier.classify
    computed = []

    def counted(self, x, **options):
        computed.append(x)
        return classify(self, x, **options)

    monkeypatch.setattr(UniLMv2TextClassifier, "classify", counted)
    for name, numbers in (("in.tsv", (2, 3, 4, 5)), ("in.jsonl", (1, 3, 4, 5))):
        status, error, records = predict("classifier", name)
        assert (status, records, computed) == (2, None, [])
        assert error.count("\n") == 1 and "--skip_misfits true" in error
        assert "4 of 5" in error
        assert all(f" {number}: " in error for number in numbers), error
        with pytest.warns(UserWarning, match="4 of 5"):
            status, _, records = predict(
                "classifier", name, "--skip_misfits", "true"
            )
        assert status == 0 and len(records) == 1
        computed.clear()


def test_labels_are_no_second_text(predict):
    write("in.tsv", "a film\tgood", "a fox\tbad")
    status, error, _ = predict("classifier", "in.tsv")
    assert status == 2 and "cut -f1" in error and "unilmv2 evaluate" in error


def test_texts_that_are_cut_are_counted(predict):
    write("in.txt", "a " * 10, "a " * 11)
    assert "1 of 2 texts are longer than" in predict("value", "in.txt")[1]
    write("in.tsv", "a a a a\ta a a a a", "a\t" + "a " * 9)
    assert "1 of 2 texts" in predict("value", "in.tsv")[1]


def test_a_stream(predict, models, monkeypatch, capsys):
    texts = texts_of(2, 3)
    for skip, lines in (("false", texts), ("true", ["", *texts])):
        reader, writer = os.pipe()
        os.write(writer, "\n".join(lines).encode())
        os.close(writer)
        monkeypatch.setattr(sys, "stdin", os.fdopen(reader))
        assert main(["predict", "classifier", "--skip_misfits", skip]) == 0
        captured = capsys.readouterr()
        assert ("skipped: stdin:1: 'text' is empty" in captured.err) == (
            skip == "true"
        )
        records = [json.loads(line) for line in captured.out.splitlines()]
        found = models["classifier"].classify(texts, return_probabilities=True)
        assert records == [{"text": x, **y} for x, y in zip(texts, found)]


def test_mistakes(predict, preset):
    text = write("in.txt", "a")
    header = write("header.tsv", "Sentence1\tsentence2", "a cat\ta film")
    for model, input, flags, message in (
        ("answerer", text, ("--n_best", 0), "`n_best` must be at least 1"),
        ("classifier", text, ("--n_best", 2), "option of question answerers"),
        ("classifier", header, (), "header.tsv:1: this looks like a header"),
        ("answerer", text, (), "must end in .json, .jsonl, .tsv"),
        ("classifier", "in.json", (), "No file matches"),
        ("classifier", text, ("--runner_options", "[--x]"), "need a `runner`"),
        ("classifier", "-", ("--runner", "DirectRunner"), "not streams"),
        ("missing", text, (), "is no folder"),
        (preset, text, (), "a text generator (UniLMv2Seq2SeqLM). For its"),
    ):
        status, error, _ = predict(model, input, *flags)
        assert status == 2 and message in error, error
    assert "unilmv2 generate" in error
    status, error, _ = predict("answerer", text, command="generate")
    assert status == 2
    assert "a question answerer" in error and "unilmv2 predict" in error
    error = predict("classifier", text, output="out.txt")[1]
    assert "`output` must end in .jsonl" in error


def test_chunks_of_other_settings(predict):
    write("in.txt", "a")
    os.mkdir("out.jsonl.parts")
    write("out.jsonl.parts/settings.json", '{"batch_size": 9}')
    write("out.jsonl.parts/000000000000.lines", "{}")
    status, error, _ = predict("value", "in.txt", "--runner", "DirectRunner")
    assert status == 2 and "started with batch_size=9 (now 32)" in error


@pytest.mark.slow
def test_two_workers_of_beam(models, tmp_path, monkeypatch):
    """The lines of one machine, also where some chunks exist already."""
    monkeypatch.chdir(tmp_path)
    models["classifier"].save_to_preset("preset")
    write("in.txt", *texts_of(4, 60))
    command = ["predict", "preset", "--input", "in.txt", "--batch_size", "4"]
    command += ["--output"]
    assert main([*command, "one.jsonl"]) == 0
    runner = ["--runner", "DirectRunner", "--runner_options"]
    runner += [
        "[--direct_num_workers=2,--direct_running_mode=multi_processing]"
    ]
    assert main([*command, "two.jsonl", *runner]) == 0
    one = pathlib.Path("one.jsonl").read_bytes()
    assert pathlib.Path("two.jsonl").read_bytes() == one
    assert sorted(os.listdir()) == [
        "in.txt",
        "one.jsonl",
        "preset",
        "two.jsonl",
    ]
