"""Scores of answers to questions: those of SQuAD 1.1 and 2.0."""

import math
import numbers


def score_squad(predictions, references, null_odds=None):
    """Exact match and F1 of answers, by Model Garden's evaluation of SQuAD.

    Case, punctuation, articles and white space do not count; the best of
    several references does. Where all questions have answers, the rules are
    those of version 1.1, and those of 2.0 elsewhere.

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
        A dictionary: `exact_match` and `f1`, floats between 0 and 100;
        `total`, the number of questions. If some questions have no answer,
        the same with `has_answer_` and `no_answer_` before the name, of the
        questions that have one and of the others. With `null_odds`,
        `best_exact_match` and `best_f1`, what is reached if the answer is `""`
        where the odds are above the best threshold, and these thresholds,
        `best_exact_match_threshold` and `best_f1_threshold`.

    Raises:
        ValueError: if there are no questions, or one has no prediction or no
            odds.

    Example:

    >>> scores = score_squad(
    ...     {"q1": "the red fox", "q2": "a hen"}, {"q1": ["fox"], "q2": []})
    >>> scores["exact_match"], round(scores["has_answer_f1"], 2)
    (0.0, 66.67)

    Reference:
        Rajpurkar et al., "SQuAD: 100,000+ Questions for Machine Comprehension
        of Text" (2016); "Know What You Don't Know" (2018).
    """
    references = _texts_by_id(references)
    predictions = _of_all(predictions, references, "predictions", str)
    if null_odds is None and all(references.values()):
        return _score_answerable(predictions, references)
    scores = _score(predictions, references)
    if null_odds is not None:
        odds = _of_all(null_odds, references, "null_odds", numbers.Real)
        for metric, threshold in _thresholds(
            predictions, references, odds
        ).items():
            answers = {
                key: "" if odds[key] > threshold else text
                for key, text in predictions.items()
            }
            best = _score(answers, references)
            scores[f"best_{metric}"] = best[metric]
            scores[f"best_{metric}_threshold"] = threshold
    return scores


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


def _of_all(values, references, name, kind):
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
                f"`{name}` must hold strings or numbers of the right kind. "
                f"Received: {name}[{key!r}]={value!r}"
            )
    return {key: values[key] for key in references}


def _articles(references):
    """The references in the form of a file of SQuAD."""
    questions = [
        {"id": key, "answers": [{"text": text} for text in texts]}
        for key, texts in references.items()
    ]
    return [{"paragraphs": [{"qas": questions}]}]


def _score_answerable(predictions, references):
    from official.nlp.tools import squad_evaluate_v1_1

    found = squad_evaluate_v1_1.evaluate(_articles(references), predictions)
    # This version's are shares.
    return {
        "exact_match": 100.0 * found["exact_match"],
        "f1": 100.0 * found["final_f1"],
        "total": len(references),
    }


def _score(predictions, references):
    from official.nlp.tools import squad_evaluate_v2_0

    found = squad_evaluate_v2_0.evaluate(_articles(references), predictions)
    scores = {}
    for prefix, original in (
        ("", ""),
        ("has_answer_", "HasAns_"),
        ("no_answer_", "NoAns_"),
    ):
        if f"{original}total" in found:
            scores[f"{prefix}exact_match"] = found[f"{original}exact"]
            scores[f"{prefix}f1"] = found[f"{original}f1"]
            scores[f"{prefix}total"] = found[f"{original}total"]
    return scores


def _thresholds(predictions, references, odds):
    """The best thresholds of the odds, by metric."""
    from official.nlp.tools import squad_evaluate_v2_0

    # The evaluation takes probabilities, and 0 for a threshold that nothing
    # is below: ranks instead of any numbers.
    levels = sorted(set(odds.values()))
    ranks = {
        value: (i + 1) / (len(levels) + 1) for i, value in enumerate(levels)
    }
    found = squad_evaluate_v2_0.evaluate(
        _articles(references),
        predictions,
        {key: ranks[value] for key, value in odds.items()},
    )
    below_all = math.nextafter(levels[0], -math.inf)
    values = {rank: value for value, rank in ranks.items()}
    return {
        metric: float(values.get(found[f"{original}_thresh"], below_all))
        for metric, original in (
            ("exact_match", "final_exact"),
            ("f1", "final_f1"),
        )
    }
