"""Memory and speed of `unilmv2 prepare` as the corpus grows.

Text is made of the sources and notes of installed packages. The memory is the
sum of the resident sets of all processes, sampled four times a second; what
they share is counted several times.

    python benchmarks/prepare_memory.py
"""

import json
import os
import pathlib
import platform
import subprocess
import sys
import sysconfig
import tempfile
import time

import psutil

SIZES = (20, 100, 200)
RESULTS = pathlib.Path(__file__).parent / "results" / "prepare_memory.json"


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


def processor():
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def main():
    import tensorflow as tf
    import tensorflow_datasets as tfds

    script = os.path.join(os.path.dirname(sys.executable), "unilmv2")
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        path = {n: os.path.join(folder, n) for n in ("v.txt", "packed")}
        for size in SIZES:
            write_text(os.path.join(folder, f"{size}.txt"), size * 1e6)
        learn = [script, "vocabulary", os.path.join(folder, "20.txt")]
        subprocess.run([*learn, "--output", path["v.txt"]], check=True)
        for workers in (1, 2):
            for size in SIZES:
                text = os.path.join(folder, f"{size}.txt")
                seconds, memory = measure(
                    [script, "prepare", text, path["v.txt"], path["packed"],
                     f"--num_workers={workers}", "--overwrite=true"]
                )  # fmt: skip
                with open(os.path.join(path["packed"], "statistics.json")) as f:
                    tokens = json.load(f)["tokens"]
                runs.append(
                    {
                        "megabytes": size,
                        "workers": workers,
                        "seconds": round(seconds, 1),
                        "peak_memory_mb": round(memory),
                        "megabytes_per_second": round(size / seconds, 2),
                        "tokens_per_second": round(tokens / seconds),
                    }
                )
                print(runs[-1], flush=True)
    results = {
        "machine": {"cpu": processor(), "cores": os.cpu_count()},
        "versions": {
            "python": platform.python_version(),
            "tensorflow": tf.__version__,
            "tensorflow_datasets": tfds.__version__,
        },
        "runs": runs,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
