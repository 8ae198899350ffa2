"""Latency of exported models, beside the live ones and PyTorch's.

At base size, random weights, texts of 126 words that are a token each; generate
writes 32 tokens with 5 beams. `exported` is the signature of a loaded
SavedModel, strings in and out, `live` the task's own `classify` and `generate`,
`PyTorch` BERT and BART of Hugging Face with as many layers, tokenizing
included. BART's base has 6 layers on each side, UniLMv2 has 12 that do both.

    python -m benchmarks.serving classify
    python -m benchmarks.serving generate
    python -m benchmarks.serving --plot docs/serving.png
"""

import argparse
import json
import os
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from benchmarks.report import PACKAGES
from benchmarks.report import RESULTS
from benchmarks.report import write_results

BATCH_SIZES = (1, 8)
SOURCE_LENGTH, TARGET_LENGTH, NUM_BEAMS = 128, 32, 5
VOCABULARY_SIZE = 30522
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
COLORS = {"exported": "#2f5d9b", "live": "#8fb0d9", "PyTorch": "#d98b4b"}


def vocabulary():
    """Special tokens, then words that are a token each."""
    words = (f"w{number}" for number in range(VOCABULARY_SIZE))
    return [*SPECIAL, *words][:VOCABULARY_SIZE]


def make_texts(number):
    """Texts that fill a row."""
    rng = np.random.default_rng(0)
    words = rng.integers(0, VOCABULARY_SIZE - 10, (number, SOURCE_LENGTH - 2))
    return [" ".join(f"w{word}" for word in row) for row in words]


def make_task(kind):
    """A task of base size with random weights."""
    import unilmv2_tf

    tokenizer = unilmv2_tf.UniLMv2Tokenizer(vocabulary())
    backbone = unilmv2_tf.UniLMv2Backbone.from_preset(
        "unilmv2_base", load_weights=False
    )
    if kind == "classify":
        return unilmv2_tf.UniLMv2TextClassifier(
            backbone,
            num_classes=2,
            preprocessor=unilmv2_tf.UniLMv2TextClassifierPreprocessor(
                tokenizer, sequence_length=SOURCE_LENGTH
            ),
        )
    task = unilmv2_tf.UniLMv2Seq2SeqLM(
        backbone,
        unilmv2_tf.UniLMv2Seq2SeqLMPreprocessor(
            tokenizer,
            encoder_sequence_length=SOURCE_LENGTH,
            decoder_sequence_length=TARGET_LENGTH,
        ),
    )
    task.compile(
        sampler=unilmv2_tf.BeamSearchSampler(
            num_beams=NUM_BEAMS, min_length=TARGET_LENGTH
        )
    )
    return task


def live(task, kind):
    """A function of texts: the task's own."""
    if kind == "generate":
        return task.generate
    return lambda texts: task.classify(texts, return_probabilities=True)


def exported(folder, kind):
    """A function of texts: the signature of a SavedModel."""
    import tensorflow as tf

    model = tf.saved_model.load(folder)
    signature = model.signatures[kind]

    def ask(texts):
        outputs = signature(text=tf.constant(texts))
        return {name: values.numpy() for name, values in outputs.items()}, model

    return ask


def pytorch(kind):
    """A function of texts: BERT or BART of Hugging Face."""
    import torch
    import transformers
    from tokenizers import BertWordPieceTokenizer

    torch.set_num_threads(os.cpu_count())
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(vocabulary()))
        file.flush()
        tokenizer = BertWordPieceTokenizer(file.name)
    tokenizer.enable_padding()
    tokenizer.enable_truncation(SOURCE_LENGTH)

    def rows(texts):
        encodings = tokenizer.encode_batch(texts)
        return {
            "input_ids": torch.tensor([e.ids for e in encodings]),
            "attention_mask": torch.tensor(
                [e.attention_mask for e in encodings]
            ),
        }

    if kind == "classify":
        model = transformers.BertForSequenceClassification(
            transformers.BertConfig(vocab_size=VOCABULARY_SIZE)
        ).eval()

        def ask(texts):
            with torch.inference_mode():
                return model(**rows(texts)).logits.softmax(-1).numpy()

        return ask
    model = transformers.BartForConditionalGeneration(
        transformers.BartConfig(
            vocab_size=VOCABULARY_SIZE,
            d_model=768,
            encoder_layers=6,
            decoder_layers=6,
            encoder_attention_heads=12,
            decoder_attention_heads=12,
            encoder_ffn_dim=3072,
            decoder_ffn_dim=3072,
            pad_token_id=0,
            bos_token_id=2,
            eos_token_id=3,
            decoder_start_token_id=2,
            forced_eos_token_id=None,
        )
    ).eval()

    def ask(texts):
        with torch.inference_mode():
            ids = model.generate(
                **rows(texts),
                num_beams=NUM_BEAMS,
                min_new_tokens=TARGET_LENGTH,
                max_new_tokens=TARGET_LENGTH,
            )
        return tokenizer.decode_batch(ids.tolist())

    return ask


def measure(ask, batch_size, seconds):
    """Calls with texts that differ; milliseconds and texts a second."""
    texts = make_texts(4 * batch_size)
    ask(texts[:batch_size])
    taken, end = [], time.monotonic() + seconds
    while len(taken) < 5 or time.monotonic() < end:
        start = len(taken) % 4 * batch_size
        begin = time.perf_counter()
        ask(texts[start : start + batch_size])
        taken.append(time.perf_counter() - begin)
    return {
        "calls": len(taken),
        "p50_ms": round(1000 * float(np.percentile(taken, 50)), 1),
        "p95_ms": round(1000 * float(np.percentile(taken, 95)), 1),
        "texts_per_second": round(batch_size * len(taken) / sum(taken), 2),
    }


def run(kind, seconds):
    """Measures one task, with all three."""
    from unilmv2_tf.serving import export_model

    task = make_task(kind)
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        start = time.monotonic()
        version = export_model(
            task, os.path.join(folder, kind), check=False, warm_up=False
        )
        figures["export_seconds"] = round(time.monotonic() - start, 1)
        asked = {
            "exported": exported(version, kind),
            "live": live(task, kind),
            "PyTorch": pytorch(kind),
        }
        for name, ask in asked.items():
            figures[name] = {}
            for size in BATCH_SIZES:
                figures[name][str(size)] = measure(ask, size, seconds)
                print(kind, name, size, figures[name][str(size)], flush=True)
    return figures


def plot(results, path):
    """Bars of the median, lines up to the 95th percentile."""
    from matplotlib.figure import Figure

    from unilmv2_tf.plots.figures import QUIET_COLOR
    from unilmv2_tf.plots.figures import save_figure

    kinds = [kind for kind in ("classify", "generate") if kind in results]
    figure = Figure(figsize=(8, 3.6), dpi=150, layout="constrained")
    for axes, kind in zip(np.atleast_1d(figure.subplots(1, len(kinds))), kinds):
        for place, (name, color) in enumerate(COLORS.items()):
            times = [results[kind][name][str(size)] for size in BATCH_SIZES]
            middle = np.array([time["p50_ms"] for time in times])
            above = np.array([time["p95_ms"] for time in times]) - middle
            x = np.arange(len(BATCH_SIZES)) + 0.27 * (place - 1)
            bars = axes.bar(
                x, middle, 0.25, color=color, label=name,
                yerr=[np.zeros_like(above), np.maximum(above, 0)],
                ecolor=QUIET_COLOR,
            )  # fmt: skip
            axes.bar_label(
                bars, [f"{value:,.0f}" for value in middle], fontsize=8,
                padding=1,
            )  # fmt: skip
        axes.set_xticks(
            range(len(BATCH_SIZES)), [f"batch {size}" for size in BATCH_SIZES]
        )
        axes.set_title(kind, loc="left", fontweight="bold")
        axes.set_ylabel("milliseconds, median (line: p95)")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
    save_figure(figure, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    # With choices argparse would refuse that there is none.
    parser.add_argument("kinds", nargs="*", metavar="classify|generate")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--plot")
    options = parser.parse_args()
    path = RESULTS / "serving.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    results = {
        kind: results[kind]
        for kind in ("classify", "generate")
        if kind in results
    }
    for kind in options.kinds:
        results[kind] = run(kind, options.seconds)
        write_results("serving", results, (*PACKAGES, "torch", "transformers"))
    if options.plot:
        plot(results, options.plot)


if __name__ == "__main__":
    main()
