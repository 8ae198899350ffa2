"""How fast shards and text become masked batches, beside KerasHub.

Rows of random words go from the shards of `unilmv2 prepare` through
`masked_batches`; the peer, KerasHub's `MaskedLMMaskGenerator`, masks rows of
ids that lie in memory. From text, strings go through
`UniLMv2PseudoMaskedLMPreprocessor` and KerasHub's `BertMaskedLMPreprocessor`,
with the same vocabulary. All take turns in one process, by the clock and by CPU
time: on a machine with other work, the latter is the steadier figure.

    python -m benchmarks input_pipeline
"""

import os
import pathlib
import tempfile
import time

import keras_hub
import numpy as np
import tensorflow as tf

from benchmarks.contest import faster_than
from benchmarks.contest import ratio
from benchmarks.contest import shown
from benchmarks.contest import spread
from unilmv2_tf.cli import main as unilmv2
from unilmv2_tf.datasets import masked_batches
from unilmv2_tf.preprocessing import UniLMv2PseudoMaskedLMPreprocessor
from unilmv2_tf.preprocessing import UniLMv2Tokenizer
from unilmv2_tf.preprocessing.blockwise_masking import num_mask_slots

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
VOCABULARY = [*SPECIAL, *(f"t{number}" for number in range(30_517))]
RATIO = "ratio_to_keras_hub_by_cpu_time"
QUICK = {"rows": 2500, "length": 32, "repeats": 1, "seconds": 0.1}


def run(
    rows: int = 10_000,
    length: int = 512,
    repeats: int = 7,
    seconds: float = 1.0,
):
    """Measures all pipelines, `repeats` times for some seconds each."""
    ids = np.random.default_rng(0).integers(
        len(SPECIAL), len(VOCABULARY), [rows, length - 3], dtype="int32"
    )
    texts = [" ".join(VOCABULARY[token] for token in row) for row in ids]
    samples = {}
    with tempfile.TemporaryDirectory() as folder:
        shards = write_shards(pathlib.Path(folder), texts, length)
        pipelines = datasets(shards, ids, texts, length)
        pipelines = {name: iter(dataset) for name, dataset in pipelines}
        for _ in range(repeats):
            for name, iterator in pipelines.items():
                rates = rows_per_second(iterator, seconds)
                samples.setdefault(name, []).append(rates)
        del pipelines
    figures = {}
    for name, rates in samples.items():
        clock, cpu = zip(*rates)
        figures[name] = {"rows_per_second": spread(clock)}
        peer = name.replace("unilmv2_tf", "KerasHub")
        if peer != name:
            theirs = [rate for _, rate in samples[peer]]
            figures[name][RATIO] = ratio(cpu, theirs)
        print(f"  {name}: {shown(figures[name]['rows_per_second'], 0)} rows/s")
    return {"load_average": os.getloadavg()[0], "figures": figures}


def write_shards(folder, texts, length):
    """Prepares texts that fill a row each; returns the folder of shards."""
    (folder / "text.txt").write_text("\n\n".join(texts))
    (folder / "vocabulary.txt").write_text("\n".join(VOCABULARY))
    paths = [folder / name for name in ("text.txt", "vocabulary.txt", "shards")]
    flags = [f"--sequence_length={length}", "--validation_share=0"]
    if unilmv2(["prepare", *map(str, paths), *flags]):
        raise ValueError("`unilmv2 prepare` failed.")
    return paths[-1]


def datasets(shards, ids, texts, length):
    """Names and endless datasets of batches, whose first axis is the rows."""
    preprocessor = UniLMv2PseudoMaskedLMPreprocessor(
        UniLMv2Tokenizer(VOCABULARY), sequence_length=length, seed=0
    )
    masking = {"mask_selection_length": num_mask_slots(length)}
    mask = keras_hub.layers.MaskedLMMaskGenerator(
        vocabulary_size=len(VOCABULARY),
        mask_selection_rate=0.15,
        mask_token_id=SPECIAL.index("[MASK]"),
        unselectable_token_ids=list(range(len(SPECIAL))),
        **masking,
    )
    peer = keras_hub.models.BertMaskedLMPreprocessor(
        keras_hub.models.BertTokenizer(VOCABULARY),
        sequence_length=length,
        **masking,
    )
    for size in (32, 256, 1024):
        batches = masked_batches(shards, "train", preprocessor, size)
        yield f"unilmv2_tf, batch {size}", batches
        yield f"KerasHub, batch {size}", _mapped(ids, mask, size)
    yield "unilmv2_tf, from text", _mapped(texts[:2000], preprocessor, 256)
    yield "KerasHub, from text", _mapped(texts[:2000], peer, 256)


def _mapped(rows, function, batch_size):
    batches = tf.data.Dataset.from_tensor_slices(rows).repeat()
    batches = batches.batch(batch_size)
    batches = batches.map(function, num_parallel_calls=tf.data.AUTOTUNE)
    return batches.prefetch(tf.data.AUTOTUNE)


def rows_per_second(iterator, seconds):
    """Rows a second, by the clock and by CPU time."""
    # What was prefetched is not part of this measurement.
    end = time.perf_counter() + 0.3 * seconds
    while time.perf_counter() < end:
        next(iterator)
    num_rows = 0
    start, cpu_start = time.perf_counter(), time.process_time()
    while time.perf_counter() < start + seconds:
        num_rows += int(tf.nest.flatten(next(iterator))[0].shape[0])
    clock = time.perf_counter() - start
    return num_rows / clock, num_rows / (time.process_time() - cpu_start)


def summary(results):
    """Rows of the summary in docs/results/speed.md."""
    shards, text = (
        results["figures"][f"unilmv2_tf, {name}"][RATIO]
        for name in ("batch 256", "from text")
    )
    return [
        (
            "Masked batches from shards, CPU time",
            faster_than("KerasHub", shards),
        ),
        ("Masked batches from text, CPU time", faster_than("KerasHub", text)),
    ]


def tables(results):
    """The table of docs/pretraining.md."""
    figures, rows = results["figures"], []
    for name in figures:
        if RATIO in figures[name]:
            peer = name.replace("unilmv2_tf", "KerasHub")
            rates = (figures[n]["rows_per_second"] for n in (name, peer))
            rates = (shown(rate, 0) for rate in rates)
            by_cpu_time = faster_than("KerasHub", figures[name][RATIO])
            source = name.removeprefix("unilmv2_tf, ")
            rows.append((source, *rates, by_cpu_time))
    header = ("rows a second", "unilmv2_tf", "KerasHub", "by CPU time")
    return {"input_pipeline": (header, rows)}
