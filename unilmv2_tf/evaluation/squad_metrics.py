"""Scores of answers to questions: those of SQuAD 1.1 and 2.0."""

import collections
import math
import numbers
import re
import string

import numpy as np

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def score_squad(
    predictions: dict[str, str],
    references,
    null_odds: dict[str, float] | None = None,
) -> dict[str, float]:
    """Exact match and F1 of answers, by the rules of SQuAD.

    Case, punctuation, articles and white space are ignored; the best of
    several references counts. Where a question has no answer, `""` is the only
    right prediction.

    Args:
        predictions: dict from the id of a question to a string, `""` for no
            answer.
        references: a `tf.data.Dataset` as `load_questions` returns it, or a
            dict from id to a list of strings, which is empty where there is
            no answer.
        null_odds: dict from id to a float, the larger the likelier there is
            no answer. Predictions should be texts then, also where there
            may be no answer. Defaults to `None`.

    Returns:
        A dict of `exact_match` and `f1`, floats between 0 and 100, and of
        `total`, the number of questions. If some questions have no answer, the
        same with the prefixes `has_answer_` and `no_answer_`, of the
        questions that have one and of the others. With `null_odds`,
        `best_exact_match` and `best_f1`, the scores if the answer is `""`
        where the odds exceed the best threshold, and these thresholds,
        `best_exact_match_threshold` and `best_f1_threshold`.

    Raises:
        ValueError: if there are no questions, or one has no prediction or no
            odds.

    Example:

    >>> from unilmv2_tf.evaluation import score_squad
    >>> scores = score_squad(
    ...     {"q1": "the red fox", "q2": "a hen"}, {"q1": ["fox"], "q2": []})
    >>> scores["exact_match"], round(scores["has_answer_f1"], 2)
    (0.0, 66.67)

    Reference:
        Rajpurkar et al., 2016 and 2018.
    """
    references = _texts_by_id(references)
    predictions = _values_of(predictions, references, "predictions", str)
    tokens = {
        key: [_tokens(text) for text in texts if _tokens(text)] or [[]]
        for key, texts in references.items()
    }
    # For each question: exact match, F1, and both if the answer were "".
    rows = np.array(
        [
            (
                _tokens(text) in tokens[key],
                max(_f1(_tokens(text), gold) for gold in tokens[key]),
                [] in tokens[key],
            )
            for key, text in predictions.items()
        ],
        "float64",
    )
    has_answer = np.array([bool(references[key]) for key in predictions])
    scores = {}
    for prefix, chosen in (
        ("", np.ones_like(has_answer)),
        ("has_answer_", has_answer),
        ("no_answer_", ~has_answer),
    ):
        if chosen.any() and (not prefix or not all(references.values())):
            means = 100 * rows[chosen].mean(axis=0)
            scores[f"{prefix}exact_match"] = float(means[0])
            scores[f"{prefix}f1"] = float(means[1])
            scores[f"{prefix}total"] = int(chosen.sum())
    if null_odds is not None:
        odds = _values_of(null_odds, references, "null_odds", numbers.Real)
        odds = np.array([float(odds[key]) for key in predictions])
        for column, metric in enumerate(("exact_match", "f1")):
            best, threshold = _best_threshold(rows[:, column], rows[:, 2], odds)
            scores[f"best_{metric}"] = best
            scores[f"best_{metric}_threshold"] = threshold
    return scores


def _tokens(text):
    """Words without case, punctuation and articles.

    >>> _tokens("The RED-fox!")
    ['redfox']
    """
    text = text.lower().translate(_PUNCTUATION)
    return _ARTICLES.sub(" ", text).split()


def _f1(prediction, gold):
    if not prediction or not gold:
        return float(prediction == gold)
    common = collections.Counter(prediction) & collections.Counter(gold)
    # 2 P R / (P + R)
    return 2 * sum(common.values()) / (len(prediction) + len(gold))


def _best_threshold(scores, empty_scores, odds):
    """The best mean score in percent, and the odds up to which texts count."""
    order = np.argsort(odds, kind="stable")
    # All answers are "" at first; in the order of their odds they become the
    # predicted text.
    gains = (scores - empty_scores)[order]
    totals = np.sum(empty_scores) + np.concatenate([[0.0], np.cumsum(gains)])
    odds = odds[order]
    thresholds = np.concatenate([[math.nextafter(odds[0], -math.inf)], odds])
    # A threshold cannot separate equal odds.
    is_possible = np.concatenate([odds != thresholds[:-1], [True]])
    best = np.argmax(np.where(is_possible, totals, -1.0))
    return 100 * float(totals[best]) / len(odds), float(thresholds[best])


def _texts_by_id(references):
    # A dataset has this method; TensorFlow need not be imported to know.
    if hasattr(references, "as_numpy_iterator"):
        references = {
            record["id"].decode("utf-8"): [
                text.decode("utf-8") for text in record["answer_texts"]
            ]
            for record in references.as_numpy_iterator()
        }
    if not references:
        raise ValueError(
            "`references` must hold at least one question. Received: none"
        )
    return {key: list(texts) for key, texts in references.items()}


def _values_of(values, references, name, kind):
    for key in references:
        if key not in values:
            missing = len(references.keys() - values.keys())
            raise ValueError(
                f"`{name}` must have a value for every question. Received: "
                f"none for {missing} of {len(references)}, {key!r} among them"
            )
        value = values[key]
        if not isinstance(value, kind) or value != value:
            raise ValueError(
                f"`{name}` must hold {'strings' if kind is str else 'numbers'}"
                f". Received: {name}[{key!r}]={value!r}"
            )
    return {key: values[key] for key in references}
