"""The command `generate`."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections import Counter

import keras_hub
import numpy as np
import pytest

from unilmv2_tf import BeamSearchSampler
from unilmv2_tf import UniLMv2Seq2SeqLM
from unilmv2_tf import UniLMv2TextClassifier
from unilmv2_tf import UniLMv2TextClassifierPreprocessor
from unilmv2_tf.cli import main
from unilmv2_tf.inference import file_jobs

SCRIPT = os.path.join(os.path.dirname(sys.executable), "unilmv2")


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path, monkeypatch, preset, task, beam):
    """Runs in a folder of its own, and loads the shared preset once."""
    monkeypatch.chdir(tmp_path)
    load, compile_task = file_jobs.load_task, task.compile

    def compile_once(sampler):
        """Keeps the traced search of the same sampler."""
        config = sampler.get_config()
        is_beam = isinstance(sampler, BeamSearchSampler)
        if not is_beam or config != task.sampler.get_config():
            compile_task(sampler=sampler)

    def load_once(path, **options):
        if path != preset:
            return load(path, **options)
        task.compile(sampler=BeamSearchSampler(**beam))
        return task

    monkeypatch.setattr(file_jobs, "load_task", load_once)
    monkeypatch.setattr(task, "compile", compile_once)


@pytest.fixture(scope="module")
def sources(words):
    """Twenty texts, the second one empty, the third one too long."""
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(words, rng.integers(1, 7))) for _ in range(20)]
    return [texts[0], "", "the lazy dog slept " * 3, *texts[3:]]


@pytest.fixture(scope="module")
def expected(task, beam, sources):
    """What the model says one by one, with nothing beside a text."""
    task.compile(sampler=BeamSearchSampler(**beam))
    answers = [task.generate(source) for source in sources]
    assert len(set(answers)) > 5
    return answers


def write(name, lines):
    with open(name, "w", encoding="utf-8", newline="\n") as file:
        file.write("".join(line + "\n" for line in lines))
    return name


def generate(preset, *arguments):
    arguments = [str(argument) for argument in arguments]
    assert main(["generate", preset, *arguments]) == 0


def fails(capsys, preset, *arguments):
    capsys.readouterr()
    arguments = [str(argument) for argument in arguments]
    assert main(["generate", preset, *arguments]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    return error


def read_json(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def test_a_line_for_a_line(preset, sources, expected, capsys):
    write("sources.txt", sources)
    generate(preset, "--input", "sources.txt", "--batch_size", 8)
    captured = capsys.readouterr()
    assert captured.out.split("\n") == [*expected, ""]
    assert "1 of 20 texts are longer than the rows" in captured.err


def test_json_lines_keep_what_they_have(preset, sources, expected):
    records = [{"id": 1, "src": sources[0], "tgt": "ä"}, {"src": ""}]
    records.append({"src": ["the", "dog", "##s"], "prediction": "old"})
    lines = [json.dumps(record) for record in records]
    # A blank line is no record.
    write("sources.jsonl", [lines[0], " ", *lines[1:]])
    generate(
        preset, "--input", "sources.jsonl", "--output", "new/answers.jsonl"
    )
    answers = read_json("new/answers.jsonl")
    assert answers[0] == {**records[0], "prediction": expected[0]}
    assert answers[1] == {"src": "", "prediction": expected[1]}
    assert answers[2]["src"] == ["the", "dog", "##s"]
    assert answers[2]["prediction"] != "old"
    assert os.listdir("new") == ["answers.jsonl"]
    # WordPieces are the text that they stand for.
    write("sources.tsv", ["the dogs\tleft out", "\t", sources[0]])
    generate(preset, "--input", "sources.tsv", "--output", "answers.txt")
    with open("answers.txt", encoding="utf-8") as file:
        lines = file.read().split("\n")
    assert lines == [answers[2]["prediction"], *expected[1::-1], ""]


CASES = pathlib.Path(__file__).parents[1] / "data/cases/10_word_pieces"


def test_special_tokens_and_word_pieces(preset, task, capsys, monkeypatch):
    given = []

    def record(model, x, **options):
        given.extend(model.preprocessor.tokenizer(x["encoder_text"]))
        return ["a text"] * len(x["encoder_text"])

    monkeypatch.setattr(UniLMv2Seq2SeqLM, "generate", record)
    lists = [["the", "[UNK]", "fox"], ["##s", "##s"], ["fox", "[SEP]", "cat"]]
    write("lists.jsonl", [json.dumps({"src": pieces}) for pieces in lists])
    generate(preset, "--input", "lists.jsonl")
    id_of = task.preprocessor.tokenizer.token_to_id
    assert given == [list(map(id_of, pieces)) for pieces in lists]
    assert "hold special tokens" not in capsys.readouterr().err

    strings = str(CASES / "strings.jsonl")
    generate(preset, "--input", strings)
    error = capsys.readouterr().err
    assert "3 of 30 sources hold special tokens such as [SEP]" in error
    assert 3 not in given[3]
    given.clear()
    # Another path, so that the preset is loaded anew.
    options = ("--special_tokens_in_strings", "true")
    generate(preset + os.sep, "--input", strings, *options)
    assert "hold special tokens" not in capsys.readouterr().err
    assert given[0].count(3) == 1


@pytest.mark.slow
def test_several_texts(preset, task, beam, sources, capsys):
    sampler = BeamSearchSampler(
        **{**beam, "num_beams": 4, "length_penalty": 0.5},
        num_return_sequences=2,
        return_scores=True,
    )
    task.compile(sampler=sampler)
    texts = sources[:3]
    outputs = task.generate(texts)
    write("sources.txt", texts)
    flags = ("--input", "sources.txt", "--num_return_sequences", 2)
    flags += ("--num_beams", 4, "--length_penalty", 0.5)
    generate(preset, *flags, "--output", "answers.jsonl")
    for index, answer in enumerate(read_json("answers.jsonl")):
        best = outputs["generated_text"][index]
        assert answer["prediction"] == best[0]
        assert [x["text"] for x in answer["predictions"]] == best
        np.testing.assert_allclose(
            [x["score"] for x in answer["predictions"]],
            outputs["scores"][index],
            atol=1e-5,
        )
    capsys.readouterr()
    generate(preset, *flags)
    blocks = capsys.readouterr().out.split("\n\n")
    assert len(blocks) == 4
    for index, block in enumerate(blocks[:3]):
        source, *ranked = block.split("\n")
        assert source == texts[index]
        for line, text, score in zip(
            ranked, outputs["generated_text"][index], outputs["scores"][index]
        ):
            assert line.split() == [f"{score:.3f}", *text.split()]
    error = fails(capsys, preset, *flags, "--output", "answers.txt")
    assert ".jsonl or to stdout" in error


@pytest.mark.slow
def test_flags_change_the_sampler_of_the_preset(preset, words, sources, capsys):
    write("sources.txt", sources)

    def lines(*flags):
        capsys.readouterr()
        generate(preset, "--input", "sources.txt", *flags)
        return capsys.readouterr().out.split("\n")[:-1]

    before = lines()
    # Each word once, unless the rule makes an exception for it.
    assert all(len(set(x.split())) == len(x.split()) for x in before)
    ignoring = lines("--ignored_tokens", " ".join(words))
    assert any(len(set(x.split())) < len(x.split()) for x in ignoring)
    begun = lines("--max_length", 3, "--prefix", "a cat")
    assert all(x.startswith("a cat") and len(x.split()) <= 3 for x in begun)
    frequent = Counter(" ".join(before).split()).most_common(1)[0][0]
    without = lines("--forbidden_words", f'{frequent} "the fox"')
    assert not any(frequent in x.split() or "the fox" in x for x in without)
    generate(
        *(preset, "--input", "sources.txt", "--output", "grouped.jsonl"),
        *("--num_beams", 4, "--num_groups", 2, "--diversity_penalty", 99),
        *("--num_return_sequences", 2),
    )
    begins = [
        [text["text"].split()[:1] for text in answer["predictions"]]
        for answer in read_json("grouped.jsonl")
    ]
    # Special tokens, which are not in the texts, may come before.
    assert sum(first != second for first, second in begins) > 15
    greedy = lines("--sampler", "greedy")
    assert greedy == lines("--sampler", "top_k", "--k", 1)
    drawn = [
        lines("--sampler", "random", "--temperature", 3, "--seed", seed)
        for seed in (1, 2)
    ]
    assert drawn[0] != drawn[1]


@pytest.mark.slow
def test_interrupted_and_resumed(preset, sources, monkeypatch, capsys):
    """Byte for byte as without an interruption, though texts are drawn."""
    monkeypatch.setattr("unilmv2_tf.inference.file_jobs.BATCHES_PER_CHUNK", 2)
    write("sources.txt", sources)
    command = ["--input", "sources.txt", "--batch_size", 3]
    command += ["--sampler", "top_k", "--k", 4]
    generate(preset, *command, "--output", "whole.jsonl")
    whole = open("whole.jsonl", "rb").read()

    computed = []
    generate_texts = UniLMv2Seq2SeqLM.generate

    def interrupted(self, inputs, **kwargs):
        if len(computed) == 12:
            raise KeyboardInterrupt
        computed.extend(inputs["encoder_text"])
        return generate_texts(self, inputs, **kwargs)

    command += ["--output", "answers.jsonl"]
    with monkeypatch.context() as patch:
        patch.setattr(UniLMv2Seq2SeqLM, "generate", interrupted)
        arguments = [str(argument) for argument in command]
        capsys.readouterr()
        assert main(["generate", preset, *arguments]) == 130
    assert "after 12 results; they are kept" in capsys.readouterr().err
    assert not os.path.exists("answers.jsonl")
    lines = whole.splitlines(keepends=True)
    assert open("answers.jsonl.part", "rb").read() == b"".join(lines[:12])
    # A power failure leaves half a chunk and half a line.
    with open("answers.jsonl.part", "ab") as file:
        file.write(lines[12] + lines[13][:5])

    other = fails(capsys, preset, *command, "--seed", "5")
    assert "started with seed=None (now 5)" in other
    computed.clear()
    with monkeypatch.context() as patch:
        patch.setattr(UniLMv2Seq2SeqLM, "generate", interrupted)
        generate(preset, *command)
    # The finished chunks are not computed again.
    assert computed == sources[12:]
    assert open("answers.jsonl", "rb").read() == whole
    assert sorted(os.listdir()) == [
        "answers.jsonl",
        "sources.txt",
        "whole.jsonl",
    ]


def test_an_output_that_is_there(preset, sources, expected, capsys):
    write("sources.txt", sources[:3])
    write("answers.txt", ["earlier"])
    flags = ("--input", "sources.txt", "--output", "answers.txt")
    assert "exists" in fails(capsys, preset, *flags)
    assert open("answers.txt").read() == "earlier\n"
    generate(preset, *flags, "--overwrite", "true")
    assert open("answers.txt").read().split("\n") == [*expected[:3], ""]
    os.remove("answers.txt")

    def part(settings):
        write("answers.txt.part", ["earlier"])
        if settings is not None:
            write("answers.txt.part.json", [settings])

    part(None)
    assert "is missing" in fails(capsys, preset, *flags)
    part("{")
    assert "is damaged" in fails(capsys, preset, *flags)
    part('{"input": "another"}')
    error = fails(capsys, preset, *flags)
    assert "started with input='another'" in error
    assert open("answers.txt.part").read() == "earlier\n"
    stream = ("--output", "answers.txt")
    assert "a stream cannot be resumed" in fails(capsys, preset, *stream)
    generate(preset, *flags, "--overwrite", "true")
    assert open("answers.txt").read().split("\n") == [*expected[:3], ""]
    assert sorted(os.listdir()) == ["answers.txt", "sources.txt"]


@pytest.mark.slow
def test_a_pipe_in_a_process_of_its_own(preset, sources, expected):
    """Answers come while the pipe is open; a reader may leave at any time."""
    environment = {**os.environ, "PYTHONUNBUFFERED": ""}
    process = subprocess.Popen(
        [SCRIPT, "generate", preset],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    )
    try:
        answers = []
        for source in sources[:3]:
            process.stdin.write(source.encode() + b"\n")
            process.stdin.flush()
            # There is no other line, and no end.
            answers.append(process.stdout.readline().decode())
        assert answers == [answer + "\n" for answer in expected[:3]]
        process.stdin.write("\n".join(sources[3:]).encode())
        process.stdin.flush()
        assert process.stdout.readline().decode() == expected[3] + "\n"
        process.stdout.close()
        # All but the last one, which has no end yet.
        process.stdin.write(b"\n")
        process.stdin.close()
        error = process.stderr.read().decode()
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
        process.stderr.close()
    assert "Error" not in error and "Traceback" not in error


@pytest.mark.slow
def test_killed_and_resumed(preset, sources, expected):
    write("sources.txt", sources * 12)
    command = [SCRIPT, "generate", preset, "--input", "sources.txt"]
    command += ["--output", "answers.txt", "--batch_size", "4"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        while process.poll() is None:
            path = "answers.txt.part"
            if os.path.exists(path) and os.path.getsize(path):
                process.send_signal(signal.SIGKILL)
                process.wait()
            time.sleep(0.01)
    finally:
        process.kill()
    kept = open("answers.txt.part", "rb").read()
    assert 0 < kept.count(b"\n") < 240
    resumed = subprocess.run(command, capture_output=True, text=True)
    assert resumed.returncode == 0, resumed.stderr
    whole = "".join(answer + "\n" for answer in expected * 12).encode()
    assert whole.startswith(kept)
    assert open("answers.txt", "rb").read() == whole
    assert "generating: 240/240 texts" in resumed.stderr


def test_mistakes(preset, capsys):
    write("sources.txt", ["the fox"])
    open("latin.txt", "wb").write(b"the fox\ncaf\xe9\n")
    write("answer.jsonl", ['{"src": "a"}', '{"text": "a"}'])
    write("a1.txt", ["a"])
    write("a2.txt", ["a"])
    assert "is no folder" in fails(capsys, "missing", "--input", "sources.txt")
    for flags, message in (
        (["--input", "missing.txt"], "missing.txt"),
        (["--input", "latin.txt"], "latin.txt:2: not valid UTF-8"),
        (["--input", "answer.jsonl"], "answer.jsonl:2: the key 'src'"),
        (["--input", "a*.txt"], "must name one file"),
        (["--input", "sources.txt", "--output", "a.csv"], ".txt or .jsonl"),
        (["--input", "sources.txt", "--batch_size", "0"], "at least 1"),
        (["--input", "sources.txt", "--sampler", "best"], "sampler"),
        (["--input", "sources.txt", "--k", "3"], "top_k or top_p"),
        (
            ["--input", "sources.txt", "--num_return_sequences", "9"],
            "must be at most `num_beams`",
        ),
        (["--input", "sources.txt", "--max_length", "99"], "decoder length 99"),
        (["--input", "sources.txt", "--prefix", "a " * 6], "leave room"),
        (["--input", "sources.txt", "--min_length", "50"], "`min_length` must"),
        (["--input", "sources.txt", "--num_groups", "2"], "divide `num_beams`"),
        (
            ["--input", "sources.txt", "--forbidden_words", "zebra"],
            "can spell. Received: 'zebra'",
        ),
        (
            ["--input", "sources.txt", "--ignored_tokens", "zebra"],
            "can spell. Received: 'zebra'",
        ),
    ):
        assert message in fails(capsys, preset, *flags), flags
    assert not os.path.exists("a.csv")


def test_a_preset_of_another_task(task, capsys):
    write("sources.txt", ["the fox"])
    tokenizer = task.preprocessor.tokenizer
    UniLMv2TextClassifier(
        task.backbone,
        2,
        preprocessor=UniLMv2TextClassifierPreprocessor(tokenizer, 8),
    ).save_to_preset("classifier")
    error = fails(capsys, "classifier", "--input", "sources.txt")
    assert "a classifier (UniLMv2TextClassifier)" in error
    assert "unilmv2 predict" in error
    UniLMv2Seq2SeqLM(task.backbone, pseudo_token_id=4).save_to_preset("ids")
    error = fails(capsys, "ids", "--input", "sources.txt")
    assert "must hold a preprocessor" in error


def test_the_sampler_of_keras_hub_in_a_preset(task, sources, capsys):
    """It draws with a seed, though none was given to it."""
    write("sources.txt", sources)
    sampler = task.sampler
    task.compile(sampler=keras_hub.samplers.TopKSampler(k=4))
    task.save_to_preset("top_k")
    task.compile(sampler=sampler)
    outputs = []
    for _ in range(2):
        capsys.readouterr()
        generate("top_k", "--input", "sources.txt")
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1]
    error = fails(capsys, "top_k", "--input", "sources.txt", "--num_beams", 2)
    assert "the sampler of the preset" in error and "--sampler beam" in error
