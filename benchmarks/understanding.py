"""Fine-tuned models on the embedded sets, beside the trivial methods.

Runs of `unilmv2 finetune` are collected from their folders, and the trivial
methods are computed on the same examples, those of the first run of each set:

    python -m benchmarks.understanding NAME=FOLDER ...

`docs/understanding.md` has the commands that made the folders.
"""

import argparse
import json
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from benchmarks.report import PACKAGES
from benchmarks.report import write_results
from unilmv2_tf.metrics import LinearBaseline
from unilmv2_tf.metrics import LookupBaseline
from unilmv2_tf.metrics import MajorityBaseline
from unilmv2_tf.metrics import score_labels
from unilmv2_tf.metrics import score_squad
from unilmv2_tf.trainers.finetuning import labelled
from unilmv2_tf.trainers.finetuning import questions
from unilmv2_tf.trainers.finetuning.examples import take

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


def read_run(folder):
    """What a run was, and its scores."""
    with open(os.path.join(folder, "results.json"), encoding="utf-8") as file:
        results = json.load(file)
    with open(os.path.join(folder, "settings.json"), encoding="utf-8") as file:
        settings = json.load(file)
    kept = ("num_examples", "epochs", "batch_size", "learning_rate", "backbone")
    return {
        **{key: results[key] for key in ("command", "data", "metric", "mean")},
        **{key: settings[key] for key in kept},
        "preset": os.path.basename(os.path.dirname(settings["preset"]))
        or settings["preset"],
        "standard_deviation": results["standard_deviation"],
        "seeds": [
            {"seed": seed["seed"], "epoch": seed["best"]["epoch"]}
            | seed["best"]["scores"]
            for seed in results["seeds"]
        ],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("runs", nargs="+", metavar="NAME=FOLDER")
    arguments = parser.parse_args()
    runs, methods = {}, {}
    for run in arguments.runs:
        name, _, folder = run.partition("=")
        runs[name] = read_run(folder)
        source, number = runs[name]["data"], runs[name]["num_examples"]
        if runs[name]["command"] == "finetune answer":
            methods.setdefault(source, score_questions(source))
            continue
        key = f"{source}, {number} examples" if number else source
        if key not in methods:
            methods[key] = score_classification(source, number)
    packages = (*PACKAGES, "scikit-learn", "numpy", "scipy")
    figures = {"runs": runs, "trivial_methods": methods}
    write_results("understanding", figures, packages)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
