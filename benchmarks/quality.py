"""What fine-tuned models reach on the embedded sets, beside trivial methods.

Runs of `unilmv2 finetune` are collected from their folders, and the trivial
methods are computed on the same examples:

    python -m benchmarks.quality NAME=FOLDER ...

`docs/results/understanding.md` and `docs/generation.md` have the commands that
made the folders. Runs that were collected before, under other names, are kept.
"""

import argparse
import json
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from benchmarks.report import PACKAGES
from benchmarks.report import read_results
from benchmarks.report import write_results
from unilmv2_tf.evaluation import LinearBaseline
from unilmv2_tf.evaluation import LookupBaseline
from unilmv2_tf.evaluation import MajorityBaseline
from unilmv2_tf.evaluation import score_labels
from unilmv2_tf.evaluation import score_squad
from unilmv2_tf.evaluation import score_texts
from unilmv2_tf.evaluation.evaluating import fit_baselines
from unilmv2_tf.training.finetuning import labelled
from unilmv2_tf.training.finetuning import pairs
from unilmv2_tf.training.finetuning import questions
from unilmv2_tf.training.finetuning.examples import take

METRICS = ("accuracy", "macro_f1")


class DefaultRegression:
    """TF-IDF of words and logistic regression, as scikit-learn has them."""

    def fit(self, examples):
        """Learns from pairs of text and label."""
        texts, labels = zip(*examples)
        self.vectorizer = TfidfVectorizer()
        self.model = LogisticRegression(max_iter=200)
        self.model.fit(self.vectorizer.fit_transform(texts), labels)
        return self

    def predict(self, texts):
        """Predicts the labels of texts."""
        return list(self.model.predict(self.vectorizer.transform(texts)))


def score_classification(source, num_examples):
    """Scores of the trivial methods on a set of labelled texts."""

    def pairs(examples):
        texts = [text.decode() for text in examples.texts["text"]]
        return list(zip(texts, examples.labels.tolist()))

    train = pairs(take(labelled.read(source, "train"), num_examples))
    held_out = pairs(labelled.read(source, "validation"))
    texts, labels = zip(*held_out)
    scores = {}
    for name, method in (
        ("majority", MajorityBaseline()),
        ("TF-IDF and logistic regression, defaults", DefaultRegression()),
        ("TF-IDF of words and pairs, tuned", LinearBaseline()),
    ):
        predictions = method.fit(train).predict(list(texts))
        names = sorted({*labels, *predictions})
        scores[name] = score_labels(labels, predictions, METRICS, names)
    return scores


def score_questions(source):
    """Scores of a regular expression on a set of questions."""
    held_out = questions.read(source, "validation")
    texts = LookupBaseline().predict(held_out.questions, held_out.contexts)
    references = dict(zip(held_out.ids, held_out.answer_texts))
    return {"lookup": score_squad(dict(zip(held_out.ids, texts)), references)}


def score_generation(source, num_examples):
    """Scores of the first words and of the nearest neighbour's target.

    Args:
        source: string. Where pairs come from.
        num_examples: int. How many of those held out are scored.

    Returns:
        A dict from the name of a method to its scores.
    """
    held_out = pairs.read(source, "validation").spread(num_examples)
    sources, targets = held_out.source_texts(), held_out.target_texts()
    return {
        name: score_texts(
            method.predict(sources), targets, ("rougeL", "rouge1", "rouge2")
        )
        for name, method in fit_baselines(source).items()
    }


def read_run(folder):
    """What a run was, and its scores."""
    with open(os.path.join(folder, "results.json"), encoding="utf-8") as file:
        results = json.load(file)
    with open(os.path.join(folder, "settings.json"), encoding="utf-8") as file:
        settings = json.load(file)
    kept = ["num_examples", "epochs", "batch_size", "learning_rate", "backbone"]
    kept += ["precision", "source_length", "evaluation_examples"]
    return {
        **{key: results[key] for key in ("command", "data", "metric", "mean")},
        **{key: settings[key] for key in kept if key in settings},
        "preset": os.path.basename(os.path.dirname(settings["preset"]))
        or settings["preset"],
        "standard_deviation": results["standard_deviation"],
        "seeds": [
            {"seed": seed["seed"], "epoch": seed["best"]["epoch"]}
            | seed["best"]["scores"]
            for seed in results["seeds"]
        ],
    }


def score_methods(run):
    """The trivial methods for the data of a run.

    Args:
        run: what `read_run` returned.

    Returns:
        A tuple of the name of the set and a function of no arguments that
        returns the scores.
    """
    source, number = run["data"], run["num_examples"]
    if run["command"] == "finetune answer":
        return source, lambda: score_questions(source)
    if run["command"] == "finetune seq2seq":
        held_out = run["evaluation_examples"]
        name = f"{source}, {held_out} held out" if held_out else source
        return name, lambda: score_generation(source, held_out)
    name = f"{source}, {number} examples" if number else source
    return name, lambda: score_classification(source, number)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("runs", nargs="+", metavar="NAME=FOLDER")
    arguments = parser.parse_args()
    before = read_results("quality") or {}
    runs = before.get("runs", {})
    methods = before.get("trivial_methods", {})
    for run in arguments.runs:
        name, _, folder = run.partition("=")
        runs[name] = read_run(folder)
        source, score = score_methods(runs[name])
        if source not in methods:
            methods[source] = score()
    packages = (*PACKAGES, "scikit-learn", "numpy", "scipy")
    figures = {"runs": runs, "trivial_methods": methods}
    write_results("quality", figures, packages)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
