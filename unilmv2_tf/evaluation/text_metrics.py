"""Scores of generated texts: ROUGE, BLEU, METEOR and exact match."""

import re

from unilmv2_tf.optional_imports import optional_import

_WORDS = re.compile(r"[^\W_]+|[^\w\s]|_")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_ROUGE = "ROUGE F-measure of rouge-score, stemmed words of letters and digits"
_DESCRIPTIONS = {
    "rouge1": f"{_ROUGE}, single words",
    "rouge2": f"{_ROUGE}, pairs of words",
    "rougeL": f"{_ROUGE}, longest common subsequence of whole texts",
    "rougeLsum": f"{_ROUGE}, longest common subsequences of sentences, which "
    "end in a line break or in . ! ? and a space",
    "bleu4": "BLEU-4 of sacrebleu over all texts, lowercased words and marks",
    "meteor": "METEOR of NLTK (0.9, 3, 0.5) with the synonyms of WordNet, "
    "lowercased words and marks",
    "exact_match": "equal texts, ignoring case and white space",
}
TEXT_METRICS = tuple(_DESCRIPTIONS)
_DEFAULT_METRICS = ("rouge1", "rouge2", "rougeL", "bleu4", "exact_match")


def score_texts(
    predictions: list[str],
    references: list[str | list[str]],
    metrics: list[str] | None = None,
) -> dict[str, float]:
    """Scores generated texts against references.

    All scores lie between 0 and 1. They treat a plain text and its form after
    a lowercasing WordPiece tokenizer (`num _ units`) alike. `describe_metrics`
    says what each of them compares.

    Args:
        predictions: list of strings.
        references: list of as many strings. Instead of a string, a list of
            strings: alternatives, the best counts.
        metrics: list of `"rouge1"`, `"rouge2"`, `"rougeL"`, `"rougeLsum"`,
            `"bleu4"`, `"meteor"` and `"exact_match"`. Defaults to `None`: all
            but `rougeLsum`, and `meteor` only where WordNet is installed.

    Returns:
        A dict from metric to float, in the order of `metrics`.

    Raises:
        ValueError: if a metric is unknown, WordNet is missing, or there are no
            predictions, or not as many as references.
        ImportError: if the extra `metrics` is not installed.

    Example:

    >>> from unilmv2_tf.evaluation import score_texts
    >>> score_texts(["num _ units"], ["num_units"], ["rougeL", "exact_match"])
    {'rougeL': 1.0, 'exact_match': 1.0}

    Reference:
        Lin, 2004 (ROUGE); Papineni et al., 2002 (BLEU); Post, 2018
        (sacrebleu); Banerjee and Lavie, 2005 (METEOR).
    """
    predictions, references = _check_texts(predictions, references)
    if metrics is None:
        metrics = list(_DEFAULT_METRICS)
        if _find_wordnet() is not None:
            metrics.insert(-1, "meteor")
    metrics = _check_metrics(metrics)
    variants = [name for name in metrics if name.startswith("rouge")]
    scores = _rouge(predictions, references, variants) if variants else {}
    for name in metrics:
        if name in _SCORERS:
            scores[name] = _SCORERS[name](predictions, references)
    return {name: scores[name] for name in metrics}


def describe_metrics(metrics: list[str]) -> dict[str, str]:
    """Returns what metrics of texts compare, and by which library.

    Args:
        metrics: list of names, see `score_texts`.

    Returns:
        A dict from metric to description.

    Raises:
        ValueError: if a metric is unknown.

    Example:

    >>> from unilmv2_tf.evaluation import describe_metrics
    >>> describe_metrics(["exact_match"])
    {'exact_match': 'equal texts, ignoring case and white space'}
    """
    notes = {name: _DESCRIPTIONS[name] for name in _check_metrics(metrics)}
    if "bleu4" in notes:
        scorer = _bleu_scorer()
        scorer.corpus_score(["a"], [["a"]])
        # What others need to compute the same score.
        notes["bleu4"] += f", {scorer.get_signature().format()}"
    return notes


def _exact_match(predictions, references):
    def plain(text):
        return "".join(text.casefold().split())

    hits = [
        plain(prediction) in map(plain, accepted)
        for prediction, accepted in zip(predictions, references)
    ]
    return sum(hits) / len(hits)


def _rouge(predictions, references, variants):
    rouge_scorer = optional_import("rouge_score.rouge_scorer", "metrics")
    scorer = rouge_scorer.RougeScorer(variants, use_stemmer=True)
    totals = dict.fromkeys(variants, 0.0)
    for prediction, accepted in zip(predictions, references):
        # Only rougeLsum reads the line breaks.
        texts = [_SENTENCE_END.sub("\n", x) for x in (prediction, *accepted)]
        scores = scorer.score_multi(texts[1:], texts[0])
        for variant in variants:
            totals[variant] += float(scores[variant].fmeasure)
    return {name: total / len(predictions) for name, total in totals.items()}


def _bleu(predictions, references):
    # Joined WordPieces have spaces around punctuation, plain texts do not: both
    # are split into words and single marks.
    predictions = [" ".join(_split_words(text)) for text in predictions]
    references = [
        [" ".join(_split_words(text)) for text in accepted]
        for accepted in references
    ]
    # sacrebleu takes a list for the first references, one for the second...
    by_number = [
        [accepted[i] if i < len(accepted) else None for accepted in references]
        for i in range(max(map(len, references)))
    ]
    return _bleu_scorer().corpus_score(predictions, by_number).score / 100


def _bleu_scorer():
    # Without `force`, sacrebleu warns that the texts look tokenized.
    sacrebleu = optional_import("sacrebleu.metrics", "metrics")
    return sacrebleu.BLEU(tokenize="none", force=True)


def _meteor(predictions, references):
    wordnet = _find_wordnet()
    if wordnet is None:
        raise ValueError(
            "`meteor` needs the files of WordNet, which NLTK does not find. "
            "Download them with: python -m nltk.downloader wordnet"
        )
    nltk = optional_import("nltk.translate.meteor_score", "metrics")
    scores = [
        nltk.meteor_score(
            [_split_words(text) for text in accepted],
            _split_words(prediction),
            wordnet=wordnet,
        )
        for prediction, accepted in zip(predictions, references)
    ]
    return sum(scores) / len(scores)


def _find_wordnet():
    """NLTK's WordNet, or `None` where its files are missing."""
    wordnet = optional_import("nltk.corpus", "metrics").wordnet
    try:
        wordnet.ensure_loaded()
    except (LookupError, OSError):
        return None
    return wordnet


_SCORERS = {"bleu4": _bleu, "meteor": _meteor, "exact_match": _exact_match}


def _split_words(text):
    """
    >>> _split_words("Don't use num_units.")
    ['don', "'", 't', 'use', 'num', '_', 'units', '.']
    """
    return _WORDS.findall(text.lower())


def _check_metrics(metrics):
    names = [metrics] if isinstance(metrics, str) else list(metrics)
    unknown = [name for name in names if name not in TEXT_METRICS]
    if unknown or not names:
        raise ValueError(
            f"`metrics` must be some of {', '.join(TEXT_METRICS)}. Received: "
            f"{', '.join(map(str, unknown)) or 'none'}"
        )
    return list(dict.fromkeys(names))


def _check_texts(predictions, references):
    """The predictions, and a list of accepted texts for each."""
    for name, texts in (
        ("predictions", predictions),
        ("references", references),
    ):
        if isinstance(texts, str | bytes):
            raise ValueError(
                f"`{name}` must be a list of strings, not one string. "
                f"Received: {name}={texts[:40]!r}"
            )
    predictions, references = list(predictions), list(references)
    if len(predictions) != len(references) or not predictions:
        raise ValueError(
            "`predictions` and `references` must have the same length, at "
            f"least 1. Received: {len(predictions)} predictions, "
            f"{len(references)} references"
        )
    accepted = [[x] if isinstance(x, str) else x for x in references]
    for position, (text, texts) in enumerate(zip(predictions, accepted)):
        is_list = isinstance(texts, list | tuple) and len(texts) > 0
        if not is_list or not all(isinstance(x, str) for x in (text, *texts)):
            raise ValueError(
                "`predictions` must hold strings, and `references` strings or "
                "lists of strings (decode bytes first). Received: "
                f"{text!r:.60} and {texts!r:.60} at position {position}"
            )
    return predictions, accepted
