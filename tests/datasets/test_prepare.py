"""The command: one-line errors, and what is left when it is killed."""

import json
import os
import resource
import signal
import subprocess
import sys
import time

import psutil
import pytest

from unilmv2_tf.cli import main
from unilmv2_tf.datasets import open_token_shards

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = [chr(code) for code in range(ord("a"), ord("z") + 1)]


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    """A vocabulary and 3 MB of text in the current folder."""
    monkeypatch.chdir(tmp_path)
    tokens = [*SPECIAL, *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    (tmp_path / "v.txt").write_text("\n".join(tokens))
    words = "the quick brown fox jumps over the lazy dog "
    documents = [f"{number}\n" + words * 20 for number in range(3500)]
    (tmp_path / "a.txt").write_text("\n\n".join(documents))
    return tmp_path


def left(folder="."):
    return sorted(set(os.listdir(folder)) - {"a.txt", "v.txt"})


def error_of(capsys):
    error = capsys.readouterr().err
    lines = [x for x in error.splitlines() if not x.startswith("preparing")]
    assert len(lines) == 1, error
    return lines[0]


def test_statistics_are_printed_and_written(capsys):
    arguments = ["prepare", "a.txt", "v.txt", "shards", "--num_workers", "1"]
    assert main([*arguments, "--sequence_length", "128"]) == 0
    output = capsys.readouterr()
    written = json.loads(open("shards/statistics.json").read())
    assert written == open_token_shards("shards").statistics
    assert written["documents"] == 3500
    assert written["bytes"] > 3_000_000
    for split, counted in written["splits"].items():
        assert f"{split}: {counted['documents']:,} documents" in output.out
    assert "preparing: 5/5 shards" in output.err and "MB/s" in output.err
    assert left() == ["shards"]


@pytest.mark.slow
def test_a_preset_has_a_tokenizer():
    import unilmv2_tf

    tokenizer = unilmv2_tf.UniLMv2Tokenizer(
        [*SPECIAL, *LETTERS], lowercase=False
    )
    unilmv2_tf.UniLMv2PseudoMaskedLM.from_preset(
        "unilmv2_tiny",
        load_weights=False,
        vocabulary_size=tokenizer.vocabulary_size(),
        preprocessor=unilmv2_tf.UniLMv2PseudoMaskedLMPreprocessor(tokenizer),
    ).save_to_preset("preset")
    # In a process that has not imported the models.
    assert run("--num_workers=1", vocabulary="preset").wait() == 0
    rebuilt = open_token_shards("shards").tokenizer()
    assert rebuilt.get_vocabulary() == tokenizer.get_vocabulary()
    assert rebuilt.lowercase is False


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["missing.txt", "v.txt", "shards"], "missing.txt"),
        (["a.txt", "missing.txt", "shards"], "missing.txt"),
        (["a.txt", "v.txt", "a.txt/packed"], "a.txt"),
        (["a.txt", "v.txt", "/proc/packed"], "/proc"),
        (["a.txt", "v.txt", "."], "--overwrite"),
        (["tfds:no_such_corpus", "v.txt", "shards"], "no_such_corpus"),
        (["a.txt", "v.txt", "shards", "--sequence_length", "3"], "at least 5"),
        (["a.txt", "v.txt", "shards", "--num_workers", "0"], "num_workers=0"),
    ],
)
def test_mistakes(arguments, message, capsys):
    assert main(["prepare", *arguments]) == 2
    assert message in error_of(capsys)
    assert left() == []


def run(*arguments, vocabulary="v.txt", **keywords):
    script = os.path.join(os.path.dirname(sys.executable), "unilmv2")
    return subprocess.Popen(
        [script, "prepare", "a.txt", vocabulary, "shards", *arguments],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
        **keywords,
    )


@pytest.mark.slow
def test_a_full_disk():
    # Files of at most 100 kB stand in for it.
    process = run(
        "--num_workers=1",
        preexec_fn=lambda: resource.setrlimit(
            resource.RLIMIT_FSIZE, (100_000, 100_000)
        ),
    )
    error = process.communicate()[1].splitlines()[-1]
    assert process.returncode == 2
    assert "File too large" in error and "disk is full" in error
    assert left() == []


@pytest.mark.slow
@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_ended(sign):
    process = run(
        "--num_workers=2",
        start_new_session=True,
        # A shell that starts the tests in the background has it ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 120
    while not [name for name in os.listdir(".") if name.endswith(".part")]:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    # Both workers have been started, and nothing is done.
    family = psutil.Process(process.pid)
    while len(workers := family.children(recursive=True)) < 2:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(sign)
    error = process.communicate()[1]
    gone, alive = psutil.wait_procs(workers, timeout=60)
    assert not alive and gone
    assert "shards" not in left()
    if sign == signal.SIGINT:
        assert process.returncode == 130 and "interrupted" in error
    assert all(name.startswith(".shards.") for name in left())
    again = run("--num_workers=1")
    assert again.wait() == 0
    assert left() == ["shards"]
    assert open_token_shards("shards").statistics["documents"] == 3500


def test_two_runs_with_one_output(capsys):
    import fcntl

    with open(".shards.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert main(["prepare", "a.txt", "v.txt", "shards"]) == 2
        assert "Another process" in error_of(capsys)
