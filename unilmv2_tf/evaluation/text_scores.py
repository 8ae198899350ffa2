"""Several scores of generated texts at once, and what each of them means."""

import re

from unilmv2_tf.evaluation.text import ROUGE_VARIANTS
from unilmv2_tf.evaluation.text import check_texts
from unilmv2_tf.evaluation.text import exact_match
from unilmv2_tf.evaluation.text import rouge
from unilmv2_tf.evaluation.text_bleu import bleu
from unilmv2_tf.evaluation.text_bleu import bleu_signature
from unilmv2_tf.evaluation.text_meteor import has_wordnet
from unilmv2_tf.evaluation.text_meteor import meteor
from unilmv2_tf.evaluation.text_meteor import meteor_exact_stem

_ROUGE = "ROUGE F-measure of rouge-score, words of letters and digits, stemmed"
_METEOR = "of NLTK (0.9, 3, 0.5), lowercased words and marks"
_DESCRIPTIONS = {
    "rouge1": lambda: f"{_ROUGE}, single words",
    "rouge2": lambda: f"{_ROUGE}, pairs of words",
    "rougeL": lambda: f"{_ROUGE}, longest common subsequence of whole texts",
    "rougeLsum": lambda: (
        f"{_ROUGE}, longest common subsequences of sentences, which end in a "
        "line break or in . ! ? and a space"
    ),
    "bleu4": lambda: (
        "BLEU-4 of sacrebleu over all texts, lowercased words and marks, "
        + bleu_signature()
    ),
    "meteor": lambda: f"METEOR {_METEOR}, with the synonyms of WordNet",
    "meteor_exact_stem": lambda: (
        f"METEOR's formula {_METEOR}, words and stems only, without synonyms: "
        "not METEOR"
    ),
    "exact_match": lambda: "equal texts, case and white space aside",
}
TEXT_METRICS = tuple(_DESCRIPTIONS)
_DEFAULT = ("rouge1", "rouge2", "rougeL", "bleu4", "exact_match")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


def score_texts(predictions, references, metrics=None):
    """Several scores of generated texts, by name.

    All of them lie between 0 and 1, and treat the two forms of a text alike,
    as it was written and as it comes out of a lowercasing WordPiece tokenizer
    (`num _ units`). What exactly they compare says `describe_metrics`.

    Args:
        predictions: list of strings.
        references: list of as many strings. Instead of a string, a list of
            strings, any of which will do.
        metrics: strings. `rouge1`, `rouge2`, `rougeL`, `rougeLsum`, `bleu4`,
            `meteor`, `meteor_exact_stem` and `exact_match`. Defaults to
            `None`: all but `rougeLsum`, `meteor` where WordNet is installed,
            and `meteor_exact_stem` elsewhere.

    Returns:
        A dictionary from metric to float, in the order of `metrics`.

    Raises:
        ValueError: if a metric is unknown or needs files that are not there,
            there are no predictions, or not as many as references.

    Example:

    >>> score_texts(["num _ units"], ["num_units"], ["rougeL", "exact_match"])
    {'rougeL': 1.0, 'exact_match': 1.0}

    Reference:
        Bao et al., 2020, section 3.4 (what is reported of which task).
    """
    predictions, references = check_texts(predictions, references)
    metrics = _default_metrics() if metrics is None else check_metrics(metrics)
    variants = [name for name in metrics if name in ROUGE_VARIANTS]
    scores = {}
    if variants:
        scores = _rouge(predictions, references, variants)
    for name in metrics:
        if name == "bleu4":
            scores[name] = bleu(predictions, references)
        elif name == "meteor":
            scores[name] = meteor(predictions, references)
        elif name == "meteor_exact_stem":
            scores[name] = meteor_exact_stem(predictions, references)
        elif name == "exact_match":
            scores[name] = exact_match(
                predictions, references, ignore_case=True, ignore_spaces=True
            )
    return {name: scores[name] for name in metrics}


def describe_metrics(metrics):
    """What metrics compare, and by which library, in words.

    Args:
        metrics: strings, see `score_texts`.

    Returns:
        A dictionary from metric to string.

    Raises:
        ValueError: if a metric is unknown.

    Example:

    >>> describe_metrics(["exact_match"])
    {'exact_match': 'equal texts, case and white space aside'}
    """
    return {name: _DESCRIPTIONS[name]() for name in check_metrics(metrics)}


def check_metrics(metrics):
    """Checks the names of metrics.

    Args:
        metrics: strings.

    Returns:
        A list of them, each once.

    Raises:
        ValueError: if one is unknown, or there is none.

    Example:

    >>> check_metrics(["rougeL", "bleu4", "rougeL"])
    ['rougeL', 'bleu4']
    """
    names = [metrics] if isinstance(metrics, str) else list(metrics)
    unknown = [name for name in names if name not in TEXT_METRICS]
    if unknown or not names:
        raise ValueError(
            f"`metrics` must be some of {', '.join(TEXT_METRICS)}. Received: "
            f"{', '.join(map(str, unknown)) or 'none'}"
        )
    return list(dict.fromkeys(names))


def _default_metrics():
    other = "meteor" if has_wordnet() else "meteor_exact_stem"
    return [*_DEFAULT[:-1], other, _DEFAULT[-1]]


def _rouge(predictions, references, variants):
    whole = [name for name in variants if name != "rougeLsum"]
    scores = rouge(predictions, references, whole, True) if whole else {}
    if "rougeLsum" in variants:
        scores |= rouge(
            [_sentences(text) for text in predictions],
            [[_sentences(text) for text in texts] for texts in references],
            ["rougeLsum"],
            use_stemmer=True,
        )
    return scores


def _sentences(text):
    return _SENTENCE_END.sub("\n", text)
