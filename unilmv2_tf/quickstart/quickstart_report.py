"""The quick start's report: a page to read, with pictures."""

import platform

from unilmv2_tf.filesystem import write_text
from unilmv2_tf.plots import plot_history
from unilmv2_tf.plots import show_mask
from unilmv2_tf.training.history import read_history

SENTENCE = "The shape of the tensor is given by a tuple of integers."


def write_report(run, tokenizer, scores, answers):
    """Writes `report.md`, `curves.png` and `mask.png`.

    Args:
        run: the `QuickStart`.
        tokenizer: its tokenizer.
        scores: dict from method to scores.
        answers: list of dicts, what the SavedModel answered.

    Returns:
        The part of the report that is worth printing, a string.
    """
    pretraining = run.read_json("pretraining.json", {})
    plot_history(
        read_history(run.path("pretraining", "history.csv")),
        path=run.path("curves.png"),
        title="Pre-training",
        reference=pretraining["unigram_entropy"],
        reference_label="word frequencies alone",
        show_sum=False,
    )
    show_mask(SENTENCE, tokenizer, path=run.path("mask.png"))
    findings = "\n\n".join(
        [
            _pretraining_text(pretraining),
            _score_text(run.task.title, scores),
            _answer_text(answers),
        ]
    )
    write_text(
        run.path("report.md"),
        "\n\n".join(
            [
                "# UniLMv2 quick start",
                f"Corpus: {pretraining['corpus']} (embedded docstrings). "
                f"Model: {run.settings['preset']}, "
                f"{pretraining['parameters']:,} parameters.",
                findings,
                "![Losses while pre-training](curves.png)",
                "Who sees whom, for one sentence and one draw of the masks:",
                "![Visibility of a masked row](mask.png)",
                _settings_text(run),
            ]
        )
        + "\n",
    )
    return findings


def _pretraining_text(pretraining):
    held_out = pretraining["held_out"]
    entropy = pretraining["unigram_entropy"]
    return (
        "## Pre-training\n\n"
        "Loss on held-out text, in nats for each masked token:\n\n"
        "| | loss | accuracy |\n|---|---|---|\n"
        f"| word frequencies alone | {entropy:.2f} | |\n"
        f"| autoencoding (AE) | {held_out['ae_loss']:.2f} "
        f"| {held_out['ae_accuracy']:.1%} |\n"
        f"| partially autoregressive (PAR) | {held_out['par_loss']:.2f} "
        f"| {held_out['par_accuracy']:.1%} |"
    )


def _score_text(title, scores):
    lines = [
        f"| {method} | {values['exact_match']:.1%} | {values['rougeL']:.1%} |"
        for method, values in scores.items()
    ]
    return "\n".join(
        [
            f"## Fine-tuning: {title}\n",
            "Held-out pairs:\n",
            "| method | exact match | ROUGE-L |",
            "|---|---|---|",
            *lines,
            "",
            _verdict(scores),
        ]
    )


def _verdict(scores):
    # What the task is about: names are right or wrong, summaries overlap.
    metric = "exact_match"
    if max(values[metric] for values in scores.values()) < 0.05:
        metric = "rougeL"
    ours = scores["pre-trained"][metric]
    scratch = scores["from scratch"][metric]
    sentences = []
    if ours > scratch:
        sentences.append(
            "Pre-training pays: the same fine-tuning from random weights "
            f"reaches {scratch:.1%} instead of {ours:.1%}."
        )
    else:
        sentences.append(
            "Pre-training did not pay here: the same fine-tuning from random "
            f"weights reaches {scratch:.1%}, with it {ours:.1%}."
        )
    better = [
        f"{method} ({values[metric]:.1%})"
        for method, values in scores.items()
        if method not in ("pre-trained", "from scratch")
        and values[metric] > ours
    ]
    if better:
        sentences.append(
            f"Better than this small model: {', '.join(better)}. Many "
            "docstrings are near-copies of others, which a lookup exploits."
        )
    return " ".join(sentences)


def _answer_text(answers):
    parts = [
        "## The exported model answers",
        "From the SavedModel, in a process with nothing but TensorFlow:",
    ]
    for answer in answers:
        parts.append(
            f"- source: {_one_line(answer['source'])}\n"
            f"  - reference: `{answer['reference']}`\n"
            f"  - generated: `{answer['generated']}` "
            f"(score {answer['score']:.2f})"
        )
    return "\n\n".join([*parts[:2], "\n".join(parts[2:])])


def _one_line(text, longest=200):
    text = " ".join(text.split())
    return text if len(text) <= longest else text[: longest - 3] + "..."


def _settings_text(run):
    seconds = ", ".join(
        f"{part} {value:.0f} s" for part, value in run.seconds.items()
    )
    settings = ", ".join(
        f"{name}={value}" for name, value in run.settings.items()
    )
    return (
        f"## How it was made\n\nSettings: {settings}.\n\nTime: {seconds}. "
        f"Python {platform.python_version()}."
    )
