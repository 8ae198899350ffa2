"""Scores of generated texts against references."""

ROUGE_VARIANTS = ("rouge1", "rouge2", "rougeL", "rougeLsum")


def exact_match(
    predictions, references, ignore_case=False, ignore_spaces=False
):
    """The share of predictions that are equal to their reference.

    White space around a text never counts.

    Args:
        predictions: list of strings.
        references: list of as many strings. Instead of a string, a list of
            strings: any of them will do.
        ignore_case: bool. Whether capitals are equal to small letters, as they
            have to be where a lowercasing tokenizer wrote the predictions.
            Defaults to `False`.
        ignore_spaces: bool. Whether white space inside a text is left out,
            so that "num _ units", detokenized from WordPieces, is equal to
            "num_units". Defaults to `False`.

    Returns:
        A float between 0 and 1.

    Raises:
        ValueError: if there are no predictions, or not as many as references.

    Example:

    >>> exact_match(["axis", "num _ units"], ["axis", "num_units"])
    0.5
    >>> exact_match(["num _ units"], ["num_units"], ignore_spaces=True)
    1.0
    """
    predictions, references = check_texts(predictions, references)

    def plain(text):
        text = text.casefold() if ignore_case else text
        return "".join(text.split()) if ignore_spaces else text.strip()

    hits = sum(
        plain(prediction) in map(plain, accepted)
        for prediction, accepted in zip(predictions, references)
    )
    return hits / len(predictions)


def rouge(
    predictions,
    references,
    variants=("rouge1", "rouge2", "rougeL"),
    use_stemmer=False,
):
    """Mean ROUGE F-measures, by the library `rouge-score`.

    Lin, "ROUGE: A Package for Automatic Evaluation of Summaries" (2004).

    Args:
        predictions: list of strings.
        references: list of as many strings. Instead of a string, a list of
            strings: the best score among them counts.
        variants: strings. Any of `"rouge1"` to `"rouge9"`, `"rougeL"` and
            `"rougeLsum"` (texts with a sentence a line). Defaults to
            `("rouge1", "rouge2", "rougeL")`.
        use_stemmer: bool. Whether words are compared by their stems, as
            published scores of English summaries have it. Defaults to
            `False`.

    Returns:
        A dictionary from variant to a float between 0 and 1.

    Raises:
        ValueError: if there are no predictions, not as many as references, or
            a variant is unknown.

    Example:

    >>> scores = rouge(["the cat sat"], ["the cat ran"])
    >>> {name: round(score, 3) for name, score in scores.items()}
    {'rouge1': 0.667, 'rouge2': 0.5, 'rougeL': 0.667}
    """
    # Imported here: it brings NLTK along.
    from rouge_score import rouge_scorer

    predictions, references = check_texts(predictions, references)
    known = {*ROUGE_VARIANTS, *(f"rouge{size}" for size in range(1, 10))}
    unknown = [variant for variant in variants if variant not in known]
    if unknown or not variants or isinstance(variants, str):
        raise ValueError(
            "`variants` must be a list of rouge1 to rouge9, rougeL and "
            f"rougeLsum. Received: variants={variants!r}"
        )
    scorer = rouge_scorer.RougeScorer(list(variants), use_stemmer=use_stemmer)
    totals = dict.fromkeys(variants, 0.0)
    for prediction, accepted in zip(predictions, references):
        scores = scorer.score_multi(accepted, prediction)
        for variant in variants:
            totals[variant] += scores[variant].fmeasure
    return {
        variant: float(total / len(predictions))
        for variant, total in totals.items()
    }


def check_texts(predictions, references):
    """Checks predictions and references, as all scores of texts take them.

    Args:
        predictions: list of strings.
        references: list of as many strings, or lists of strings.

    Returns:
        The list of predictions, and one of lists of accepted texts.

    Raises:
        ValueError: if there are no predictions, not as many as references, or
            something else than strings.

    Example:

    >>> check_texts(["a"], ["b"])
    (['a'], [['b']])
    """
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
    accepted = [
        [reference] if isinstance(reference, str) else reference
        for reference in references
    ]
    for position, (text, texts) in enumerate(zip(predictions, accepted)):
        if not isinstance(text, str):
            raise ValueError(
                "`predictions` must hold strings (decode bytes first). "
                f"Received: {text!r:.60} at position {position}"
            )
        if (
            not isinstance(texts, list | tuple)
            or not texts
            or not all(isinstance(other, str) for other in texts)
        ):
            raise ValueError(
                "`references` must hold strings or lists of strings (decode "
                f"bytes first). Received: {texts!r:.60} at position {position}"
            )
    return predictions, accepted
