"""How fast text and packed shards become masked batches, beside KerasHub.

    python -m benchmarks input_pipeline

Rows of 512 random ids go from shards through `masked_batches`; the peer,
KerasHub's `MaskedLMMaskGenerator`, masks the same ids without reading them
from files. From text, batches of strings go through
`UniLMv2PseudoMaskedLMPreprocessor` and KerasHub's `BertMaskedLMPreprocessor`,
with the same vocabulary. All are measured alternately in one process, by the
clock and by processor time: on a machine with other work, the latter is the
steadier figure.
"""

import os
import statistics
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import keras_hub
import numpy as np
import tensorflow as tf

from unilmv2_tf.datasets.packed import PackedFolder
from unilmv2_tf.datasets.packed.pipeline import masked_batches
from unilmv2_tf.datasets.packed.row_order import row_windows
from unilmv2_tf.preprocessing import UniLMv2PseudoMaskedLMPreprocessor
from unilmv2_tf.preprocessing import UniLMv2Tokenizer
from unilmv2_tf.preprocessing import num_mask_slots

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
VOCABULARY = [*SPECIAL, *(f"t{number}" for number in range(30_517))]

NAME = "input_pipeline"
QUICK = [
    *("--rows", "600", "--length", "32", "--repeats", "1"),
    *("--seconds", "0.1"),
]


def add_arguments(parser):
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0)


def run(options):
    """Measures all pipelines; returns a dict of figures."""
    load_average = os.getloadavg()[0]
    rows = random_rows(options.rows, options.length)
    with tempfile.TemporaryDirectory() as path:
        folder = write_folder(path, rows)
        iterators = {
            name: iter(dataset) for name, dataset in datasets(folder, rows)
        }
        figures = measure(iterators, options.repeats, options.seconds)
        del iterators
    print_table(figures)
    return {
        "rows": options.rows,
        "length": options.length,
        "repeats": options.repeats,
        "seconds": options.seconds,
        "load_average": load_average,
        "figures": figures,
    }


def random_rows(num_rows, length):
    """Rows `[CLS] S1 [SEP] S2 [SEP]` without padding."""
    rng = np.random.default_rng(0)
    rows = rng.integers(len(SPECIAL), len(VOCABULARY), [num_rows, length])
    rows[:, 0] = SPECIAL.index("[CLS]")
    rows[:, [length // 2, length - 1]] = SPECIAL.index("[SEP]")
    return rows.astype("uint16")


def write_folder(path, rows, num_shards=4):
    shards = []
    for number, part in enumerate(np.array_split(rows, num_shards)):
        shards.append((os.path.join(path, f"shard-{number}"), len(part)))
        with tf.io.TFRecordWriter(shards[-1][0]) as writer:
            for row in part:
                value = tf.train.BytesList(value=[row.tobytes()])
                feature = {"token_ids": tf.train.Feature(bytes_list=value)}
                features = tf.train.Features(feature=feature)
                example = tf.train.Example(features=features)
                writer.write(example.SerializeToString())
    return PackedFolder(
        folder=path,
        sequence_length=rows.shape[1],
        vocabulary=VOCABULARY,
        tokenizer_config={},
        statistics={},
        shards={"train": shards},
        dtype=np.uint16,
    )


def datasets(folder, rows):
    """Names and datasets of batches, of which the first axis is the rows."""
    length = folder.sequence_length
    preprocessor = UniLMv2PseudoMaskedLMPreprocessor(
        UniLMv2Tokenizer(VOCABULARY), sequence_length=length, seed=0
    )
    keras_hub_masking = keras_hub.layers.MaskedLMMaskGenerator(
        vocabulary_size=len(VOCABULARY),
        mask_selection_rate=0.15,
        mask_token_id=SPECIAL.index("[MASK]"),
        mask_selection_length=num_mask_slots(length),
        unselectable_token_ids=list(range(len(SPECIAL))),
    )
    in_memory = tf.data.Dataset.from_tensor_slices(rows).repeat()
    yield "reading and shuffling", row_windows(folder.shards["train"])
    for batch_size in (32, 256, 1024):
        yield (
            f"unilmv2_tf, batch {batch_size}",
            masked_batches(folder, "train", preprocessor, batch_size),
        )
        yield (
            f"KerasHub, batch {batch_size}",
            in_memory.batch(batch_size)
            .map(
                lambda ids: keras_hub_masking(tf.cast(ids, tf.int32)),
                num_parallel_calls=tf.data.AUTOTUNE,
            )
            .prefetch(tf.data.AUTOTUNE),
        )
    yield from text_datasets(rows, preprocessor)


def text_datasets(rows, preprocessor, batch_size=256):
    """The whole way from strings, ours and KerasHub's."""
    # Words, without the special tokens that the preprocessors add.
    texts = [
        " ".join(VOCABULARY[token] for token in row if token >= len(SPECIAL))
        for row in rows[:2000]
    ]
    peer = keras_hub.models.BertMaskedLMPreprocessor(
        keras_hub.models.BertTokenizer(VOCABULARY),
        sequence_length=preprocessor.sequence_length,
        mask_selection_length=num_mask_slots(preprocessor.sequence_length),
    )
    in_memory = tf.data.Dataset.from_tensor_slices(texts).repeat()
    for name, function in (("unilmv2_tf", preprocessor), ("KerasHub", peer)):
        yield (
            f"{name}, from text",
            in_memory.batch(batch_size)
            .map(function, num_parallel_calls=tf.data.AUTOTUNE)
            .prefetch(tf.data.AUTOTUNE),
        )


def measure(iterators, repeats, seconds):
    """Rows per second, by the clock and by processor time."""
    samples = {name: [] for name in iterators}
    for repeat in range(1 + repeats):
        for name, iterator in iterators.items():
            sample = rates(iterator, seconds)
            if repeat > 0:
                samples[name].append(sample)
    figures = {}
    for name, pairs in samples.items():
        clock, cpu = zip(*pairs)
        figures[name] = {
            "rows_per_second": spread(clock),
            "rows_per_cpu_second": spread(cpu),
        }
        peer = name.replace("unilmv2_tf", "KerasHub")
        if peer != name:
            # The two were measured one right after the other.
            ratios = [a / b for (_, a), (_, b) in zip(pairs, samples[peer])]
            figures[name]["ratio_to_keras_hub_by_cpu_time"] = spread(ratios, 2)
    return figures


def spread(values, digits=None):
    return {
        "median": round(statistics.median(values), digits),
        "lowest": round(min(values), digits),
        "highest": round(max(values), digits),
    }


def rates(iterator, seconds):
    # What was made ahead is not part of this measurement.
    end = time.perf_counter() + 0.3 * seconds
    while time.perf_counter() < end:
        next(iterator)
    num_rows = 0
    start, cpu_start = time.perf_counter(), time.process_time()
    while time.perf_counter() < start + seconds:
        num_rows += int(tf.nest.flatten(next(iterator))[0].shape[0])
    return (
        num_rows / (time.perf_counter() - start),
        num_rows / (time.process_time() - cpu_start),
    )


def print_table(figures):
    print(f"{'':24}{'rows/s':>27}{'rows/CPU s':>27}{'to KerasHub':>20}")
    for name, figure in figures.items():
        cells = [
            "{median:,.0f} ({lowest:,.0f}-{highest:,.0f})".format(**figure[key])
            for key in ("rows_per_second", "rows_per_cpu_second")
        ]
        ratio = figure.get("ratio_to_keras_hub_by_cpu_time")
        cells.append(
            "{median:.2f} ({lowest:.2f}-{highest:.2f})".format(**ratio)
            if ratio
            else ""
        )
        print(f"{name:24}{cells[0]:>27}{cells[1]:>27}{cells[2]:>20}")


def table(results):
    """Rows of README's table."""
    figures = results["figures"]
    key = "ratio_to_keras_hub_by_cpu_time"
    return [
        (
            f"{what}: rows a processor second, of KerasHub's",
            "{median:.2f} ({lowest:.2f}-{highest:.2f})".format(
                **figures[name][key]
            ),
        )
        for what, name in (
            ("Masked rows from shards", "unilmv2_tf, batch 256"),
            ("Masked rows from text", "unilmv2_tf, from text"),
        )
        if name in figures
    ]
