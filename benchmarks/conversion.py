"""Seconds and memory of `unilmv2 convert` at base and large size.

The checkpoints hold random weights under the authors' names. Two memories are
sampled every 10 ms: the resident set, of which TensorFlow's code alone takes
some 560 MB, and its private part, what the process allocated itself.

    python -m benchmarks.conversion
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
import psutil
from safetensors.numpy import save_file

from benchmarks.report import write_results
from unilmv2_tf.checkpoints.pytorch_writer import write_pytorch_file
from unilmv2_tf.preprocessing.vocabulary import SPECIAL_TOKENS
from unilmv2_tf.preprocessing.vocabulary import save_vocabulary

UNILMV2 = os.path.join(os.path.dirname(sys.executable), "unilmv2")
SIZES = {"base": (12, 768, 12), "large": (24, 1024, 16)}
VOCABULARY_SIZE = 30522


def random_tensors(num_layers, hidden, heads):
    """Tensors as in `unilm2-base-uncased.bin`."""
    rng = np.random.default_rng(0)

    def draw(*shape):
        return rng.standard_normal(shape, dtype="float32") * np.float32(0.02)

    def layer(name, outputs, inputs):
        return {
            f"{name}.weight": draw(outputs, inputs),
            f"{name}.bias": draw(outputs),
        }

    def norm(name):
        return {
            f"{name}.weight": 1 + draw(hidden),
            f"{name}.bias": draw(hidden),
        }

    tables = {
        "word_embeddings": VOCABULARY_SIZE,
        "position_embeddings": 512,
        "token_type_embeddings": 2,
    }
    tensors = {
        f"bert.embeddings.{name}.weight": draw(rows, hidden)
        for name, rows in tables.items()
    }
    tensors |= norm("bert.embeddings.LayerNorm")
    tensors["bert.encoder.rel_pos_bias.weight"] = draw(heads, 32)
    for number in range(num_layers):
        name = f"bert.encoder.layer.{number}"
        attention = f"{name}.attention.self"
        tensors[f"{attention}.qkv_linear.weight"] = draw(3 * hidden, hidden)
        tensors[f"{attention}.q_bias"] = draw(1, 1, hidden)
        tensors[f"{attention}.v_bias"] = draw(1, 1, hidden)
        tensors |= layer(f"{name}.attention.output.dense", hidden, hidden)
        tensors |= norm(f"{name}.attention.output.LayerNorm")
        tensors |= layer(f"{name}.intermediate.dense", 4 * hidden, hidden)
        tensors |= layer(f"{name}.output.dense", hidden, 4 * hidden)
        tensors |= norm(f"{name}.output.LayerNorm")
    tensors |= layer("cls.predictions.transform.dense", hidden, hidden)
    tensors |= norm("cls.predictions.transform.LayerNorm")
    tensors["cls.predictions.bias"] = draw(VOCABULARY_SIZE)
    return tensors


def measure(command):
    """Runs a command; its seconds, and peaks of memory in MB."""
    start = time.monotonic()
    process = psutil.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    resident, private, processor = 0, 0, 0
    while process.poll() is None:
        try:
            memory = process.memory_info()
            processor = sum(process.cpu_times()[:2])
        except psutil.NoSuchProcess:
            break
        resident = max(resident, memory.rss)
        private = max(private, memory.rss - memory.shared)
        time.sleep(0.01)
    if process.wait():
        raise SystemExit(f"{command} failed")
    return {
        "seconds": round(time.monotonic() - start, 1),
        "processor_seconds": round(processor, 1),
        "resident_mb": round(resident / 1e6),
        "private_mb": round(private / 1e6),
    }


def measure_size(size, folder):
    """Writes checkpoints of a size, and converts them there and back."""
    tensors = random_tensors(*SIZES[size])
    weights_mb = sum(values.nbytes for values in tensors.values()) / 1e6
    vocabulary = folder / "vocab.txt"
    words = (f"word{number}" for number in range(VOCABULARY_SIZE))
    save_vocabulary([*SPECIAL_TOKENS, *words][:VOCABULARY_SIZE], vocabulary)
    name = f"unilm2-{size}-uncased"
    write_pytorch_file(folder / f"{name}.bin", tensors)
    save_file(tensors, folder / f"{name}.safetensors")
    del tensors
    runs = {}
    for source, output in (
        (f"{name}.bin", "from_bin"),
        (f"{name}.safetensors", "from_safetensors"),
        ("from_bin", "official"),
    ):
        figures = measure(
            [UNILMV2, "convert", str(folder / source),
             "--output", str(folder / output)]
        )  # fmt: skip
        for kind in ("resident", "private"):
            share = figures[f"{kind}_mb"] / weights_mb
            figures[f"{kind}_per_weights"] = round(share, 2)
        runs[output] = figures
        print(size, output, figures, flush=True)
    return {"weights_mb": round(weights_mb), **runs}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=list(SIZES))
    options = parser.parse_args()
    idle = measure([sys.executable, "-c", "import unilmv2_tf.checkpoints"])
    print("imports alone", idle, flush=True)
    runs = {}
    for size in options.sizes:
        with tempfile.TemporaryDirectory() as folder:
            runs[size] = measure_size(size, pathlib.Path(folder))
    write_results("conversion", {"imports_alone": idle, "runs": runs})


if __name__ == "__main__":
    main()
