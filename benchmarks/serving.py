"""Latency of exported models, beside the live ones and PyTorch's.

At base size, random weights, texts of 126 words that are a token each; generate
writes 32 tokens with 5 beams. `exported` is the signature of a loaded
SavedModel, strings in and out, `live` the task's own `classify` and `generate`,
`PyTorch` BERT and BART of Hugging Face, tokenizing included. BART's base has 6
layers on each side, UniLMv2 has 12 that do both.

    python -m benchmarks serving
"""

import os
import tempfile

import numpy as np

from benchmarks import charts
from benchmarks.contest import installed
from benchmarks.contest import measure
from benchmarks.peer_steps import HUGGING_FACE
from benchmarks.peer_steps import hugging_face_bart_model

QUICK = {
    "preset": "unilmv2_tiny",
    "source_length": 16,
    "target_length": 4,
    "num_beams": 2,
    "rounds": 2,
}
BATCH_SIZES = (1, 8)
VOCABULARY_SIZE = 30_522
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def run(
    preset: str = "unilmv2_base",
    source_length: int = 128,
    target_length: int = 32,
    num_beams: int = 5,
    rounds: int = 20,
    threads: int | None = None,
):
    """Measures both tasks."""
    settings = dict(locals())
    figures = {}
    for kind in ("classify", "generate"):
        peer = (f"{__name__}:pytorch_{kind}", *HUGGING_FACE)
        contest = {
            "exported": f"{__name__}:exported",
            "live": f"{__name__}:live",
            **installed({"PyTorch": peer}),
        }
        figures[kind] = {name: {} for name in contest}
        for size in BATCH_SIZES:
            own = {**settings, "kind": kind, "batch_size": size}
            for name, sample in measure(contest, rounds, own).items():
                latency = latencies(sample["seconds"])
                figures[kind][name][str(size)] = latency
                print(f"  {kind} {name}, batch {size}: {latency}")
    return figures


def latencies(seconds):
    """Percentiles in milliseconds."""
    p50, p95 = (1000 * np.percentile(seconds, share) for share in (50, 95))
    return {"p50_ms": round(float(p50), 1), "p95_ms": round(float(p95), 1)}


def vocabulary():
    """Special tokens, then words that are a token each."""
    words = (f"w{number}" for number in range(VOCABULARY_SIZE))
    return [*SPECIAL, *words][:VOCABULARY_SIZE]


def text_batches(settings):
    """Endless batches of texts that fill a row."""
    rng = np.random.default_rng(0)
    shape = (settings["batch_size"], settings["source_length"] - 2)
    while True:
        rows = rng.integers(0, VOCABULARY_SIZE - 10, shape)
        yield [" ".join(f"w{word}" for word in row) for row in rows]


def make_task(settings):
    """A task with random weights."""
    import unilmv2_tf

    tokenizer = unilmv2_tf.UniLMv2Tokenizer(vocabulary())
    backbone = unilmv2_tf.UniLMv2Backbone.from_preset(
        settings["preset"], load_weights=False
    )
    length = settings["source_length"]
    if settings["kind"] == "classify":
        return unilmv2_tf.UniLMv2TextClassifier(
            backbone,
            num_classes=2,
            preprocessor=unilmv2_tf.UniLMv2TextClassifierPreprocessor(
                tokenizer, sequence_length=length
            ),
        )
    task = unilmv2_tf.UniLMv2Seq2SeqLM(
        backbone,
        unilmv2_tf.UniLMv2Seq2SeqLMPreprocessor(
            tokenizer,
            encoder_sequence_length=length,
            decoder_sequence_length=settings["target_length"],
        ),
    )
    task.compile(
        sampler=unilmv2_tf.BeamSearchSampler(
            num_beams=settings["num_beams"],
            min_length=settings["target_length"],
        )
    )
    return task


def live(settings):
    """The task's own method."""
    task, batches = make_task(settings), text_batches(settings)
    if settings["kind"] == "generate":
        return lambda: task.generate(next(batches))
    return lambda: task.classify(next(batches), return_probabilities=True)


def exported(settings):
    """The signature of a SavedModel."""
    import tensorflow as tf

    from unilmv2_tf.serving import export_model

    with tempfile.TemporaryDirectory() as folder:
        version = export_model(
            make_task(settings),
            os.path.join(folder, "model"),
            check=False,
            warm_up=False,
        )
        model = tf.saved_model.load(version)
    signature = model.signatures[settings["kind"]]
    batches = text_batches(settings)

    def ask():
        outputs = signature(text=tf.constant(next(batches)))
        # The signature does not keep its model alive.
        return model, [values.numpy() for values in outputs.values()]

    return ask


def pytorch_classify(settings):
    """`BertForSequenceClassification` of Hugging Face."""
    import torch
    import transformers

    tokenize, _ = _hugging_face_tokenizer(settings)
    config = transformers.BertConfig(vocab_size=VOCABULARY_SIZE)
    model = transformers.BertForSequenceClassification(config).eval()

    def ask():
        with torch.inference_mode():
            return model(**tokenize()).logits.softmax(-1).numpy()

    return ask


def pytorch_generate(settings):
    """`BartForConditionalGeneration` of Hugging Face."""
    import torch

    tokenize, tokenizer = _hugging_face_tokenizer(settings)
    model = hugging_face_bart_model(
        {**settings, "size": "base"},
        pad_token_id=0,
        bos_token_id=2,
        eos_token_id=3,
        decoder_start_token_id=2,
        forced_eos_token_id=None,
    ).eval()

    def ask():
        with torch.inference_mode():
            ids = model.generate(
                **tokenize(),
                num_beams=settings["num_beams"],
                min_new_tokens=settings["target_length"],
                max_new_tokens=settings["target_length"],
            )
        return tokenizer.decode_batch(ids.tolist())

    return ask


def _hugging_face_tokenizer(settings):
    """A function that makes the next batch, and the tokenizer itself."""
    import torch
    from tokenizers import BertWordPieceTokenizer

    torch.set_num_threads(settings.get("threads") or os.cpu_count())
    tokenizer = BertWordPieceTokenizer(
        {token: number for number, token in enumerate(vocabulary())}
    )
    tokenizer.enable_truncation(settings["source_length"])
    batches = text_batches(settings)

    def tokenize():
        rows = [row.ids for row in tokenizer.encode_batch(next(batches))]
        return {
            "input_ids": torch.tensor(rows),
            "attention_mask": torch.ones_like(torch.tensor(rows)),
        }

    return tokenize, tokenizer


def draw(figures, path):
    """Draws the medians, with lines up to the 95th percentile."""

    def bar(times):
        keys = {"median": "p50_ms", "lowest": "p50_ms", "highest": "p95_ms"}
        return {key: times[name] for key, name in keys.items()}

    def panel(kind):
        series = {
            name: [bar(times[str(size)]) for size in BATCH_SIZES]
            for name, times in figures[kind].items()
        }
        groups = [f"{kind}, batch {size}" for size in BATCH_SIZES]
        label = "milliseconds, median (line: p95)"
        return lambda axes: charts.bar_panel(axes, series, groups, label)

    charts.draw_panels(path, panel("classify"), panel("generate"))


def tables(figures):
    """The table of docs/serving.md."""
    names = list(figures["classify"])
    rows = []
    for kind in ("classify", "generate"):
        for size in map(str, BATCH_SIZES):
            times = (figures[kind][name][size] for name in names)
            cells = [f"{t['p50_ms']:,.0f} / {t['p95_ms']:,.0f}" for t in times]
            rows.append((kind, size, *cells))
    header = ("median / 95th percentile, ms", "batch", *names)
    return {"serving": (header, rows)}
