"""The scores of a fine-tuning over all seeds, and the card of its model."""

import json
import os
import statistics

import keras
import keras_hub
import tensorflow as tf

import unilmv2_tf
from unilmv2_tf.checkpoints import write_model_card
from unilmv2_tf.filesystem import write_text
from unilmv2_tf.plots.figures import try_plot
from unilmv2_tf.plots.training_plots import plot_scores
from unilmv2_tf.run_settings import recorded_settings


def write_report(adapter, results, final_scores):
    """Writes `results.json`, `results.md` and `scores.png`."""
    args = adapter.args
    scores = [result["best"]["score"] for result in results]
    best = max(results, key=lambda result: result["best"]["score"])
    summary = {
        "command": f"finetune {adapter.command}",
        "data": args.data,
        "preset": args.preset,
        "metric": adapter.metric,
        "metric_notes": adapter.metric_notes(),
        "mean": statistics.fmean(scores),
        "standard_deviation": (
            statistics.stdev(scores) if len(scores) > 1 else None
        ),
        "minimum": min(scores),
        "maximum": max(scores),
        "best_seed": best["seed"],
        "seeds": results,
        "final": final_scores,
        "examples": adapter.facts(),
        "versions": {
            "unilmv2_tf": unilmv2_tf.__version__,
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "keras_hub": keras_hub.__version__,
        },
    }
    for name, text in (
        ("results.json", json.dumps(summary, indent=2) + "\n"),
        ("results.md", format_results(summary)),
    ):
        write_text(os.path.join(args.output, name), text)
    try_plot(
        plot_scores,
        {f"seed {result['seed']}": result["curve"] for result in results},
        adapter.metric.replace("_", " "),
        os.path.join(args.output, "scores.png"),
        title=f"{args.data}, from {os.path.basename(args.preset)}",
    )
    return summary


def format_results(summary):
    """The scores as a page of Markdown."""
    names = list(summary["seeds"][0]["best"]["scores"])
    rows = [["seed", "epoch", *names], ["---"] * (len(names) + 2)]
    for result in summary["seeds"]:
        best = result["best"]
        scores = (f"{best['scores'][name]:.4f}" for name in names)
        rows.append([str(result["seed"]), f"{best['epoch']:g}", *scores])
    mean = f"{summary['metric']}: {summary['mean']:.4f}"
    if summary["standard_deviation"] is not None:
        mean += (
            f", mean of {len(summary['seeds'])} seeds, standard deviation "
            f"{summary['standard_deviation']:.4f}, "
            f"{summary['minimum']:.4f} to {summary['maximum']:.4f}"
        )
    final = [
        f"The best model on {source}: "
        + ", ".join(f"{name} {value:.4f}" for name, value in scores.items())
        for source, scores in summary["final"].items()
    ]
    notes = [f"- {x}: {note}" for x, note in summary["metric_notes"].items()]
    paragraphs = [
        f"# {summary['command']}",
        f"{summary['data']}, from {summary['preset']}. The best evaluation of "
        f"each seed, selected by {summary['metric']}:",
        "\n".join(f"| {' | '.join(row)} |" for row in rows),
        mean,
        *final,
        *(["\n".join(notes)] if notes else []),
    ]
    return "\n\n".join(paragraphs) + "\n"


def write_card(folder, args, training_data, scores):
    """Writes the model card of a preset: its data, settings and scores."""
    recipe = {
        name: value
        for name, value in recorded_settings(args).items()
        if value not in (None, {})
    }
    # Folders of this machine mean nothing elsewhere.
    for name in {"preset", "vocabulary"} & set(recipe):
        recipe[name] = os.path.basename(os.path.normpath(recipe[name]))
    scores = {name: round(value, 4) for name, value in scores.items()}
    write_model_card(
        folder, training_data=training_data, recipe=recipe, scores=scores
    )
