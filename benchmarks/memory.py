"""Memory of `unilmv2 prepare` and `pretrain` as the corpus grows.

Text is made of the sources and notes of installed packages. The memory is the
sum of the resident sets of all processes, sampled four times a second; what
they share is counted several times.

    python -m benchmarks.memory
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import sysconfig
import tempfile
import time

import psutil

from benchmarks.report import PACKAGES
from benchmarks.report import write_results

SIZES = (20, 100, 200)
UNILMV2 = os.path.join(os.path.dirname(sys.executable), "unilmv2")


def write_text(path, num_bytes):
    """Fills a file with text of installed packages, again and again."""
    root = pathlib.Path(sysconfig.get_paths()["purelib"])
    paths = [
        path
        for extension in ("py", "md", "rst", "txt")
        for path in sorted(root.rglob(f"*.{extension}"))
    ]
    with open(path, "wb") as file:
        while True:
            for source in paths:
                text = source.read_bytes()
                try:
                    text.decode("utf-8")
                except UnicodeDecodeError:
                    continue
                file.write(text + b"\n\n")
                if file.tell() >= num_bytes:
                    return


def measure(command):
    """Runs a command; returns its seconds and its peak memory in MB."""
    start = time.monotonic()
    process = psutil.Popen(command, stderr=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        memory = 0
        try:
            for member in [process, *process.children(recursive=True)]:
                memory += member.memory_info().rss
        except psutil.NoSuchProcess:
            pass
        peak = max(peak, memory)
        time.sleep(0.25)
    if process.returncode:
        raise SystemExit(f"{command} failed")
    return time.monotonic() - start, peak / 1e6


def corpora(folder):
    """Writes a text of each size, and a vocabulary of the smallest."""
    paths = {size: os.path.join(folder, f"{size}.txt") for size in SIZES}
    for size, path in paths.items():
        write_text(path, size * 1e6)
    vocabulary = os.path.join(folder, "vocabulary.txt")
    subprocess.run(
        [UNILMV2, "vocabulary", paths[SIZES[0]], "--output", vocabulary],
        check=True,
    )
    return paths, vocabulary


def measure_size(text, vocabulary, folder, num_workers):
    """Prepares a text and pre-trains on it for 200 steps."""
    packed = os.path.join(folder, "packed")
    seconds, memory = measure(
        [UNILMV2, "prepare", text, vocabulary, packed,
         f"--num_workers={num_workers}", "--overwrite=true"]
    )  # fmt: skip
    with open(os.path.join(packed, "statistics.json")) as file:
        tokens = json.load(file)["tokens"]
    with tempfile.TemporaryDirectory() as output:
        _, training_memory = measure(
            [UNILMV2, "pretrain", f"--data={packed}", f"--output={output}",
             "--preset=unilmv2_tiny", "--num_steps=200", "--batch_size=8",
             "--evaluation_rows=64"]
        )  # fmt: skip
    return {
        "num_workers": num_workers,
        "prepare_seconds": round(seconds, 1),
        "prepare_tokens_per_second": round(tokens / seconds),
        "prepare_peak_mb": round(memory),
        "pretrain_peak_mb": round(training_memory),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--num_workers", type=int, default=1)
    options = parser.parse_args()
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        texts, vocabulary = corpora(folder)
        for size, text in texts.items():
            figures = measure_size(
                text, vocabulary, folder, options.num_workers
            )
            runs.append({"megabytes": size, **figures})
            print(runs[-1], flush=True)
    write_results("memory", {"runs": runs}, (*PACKAGES, "tensorflow-datasets"))


if __name__ == "__main__":
    main()
