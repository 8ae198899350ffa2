# How much is answered at once: memory stays bounded.
_EXAMPLES_AT_ONCE = 256
_CHARACTERS_AT_ONCE = 250_000


def parts_of(contexts):
    """Parts of a list with a bounded number of passages and characters.

    Args:
        contexts: list of strings.

    Returns:
        An iterator of slices, at least one passage each.

    Example:

    >>> list(parts_of(["a" * 200_000, "b" * 90_000, "c"]))
    [slice(0, 1, None), slice(1, 3, None)]
    """
    start = size = 0
    for stop, context in enumerate(contexts):
        size += len(context)
        if stop > start and (
            size > _CHARACTERS_AT_ONCE or stop - start == _EXAMPLES_AT_ONCE
        ):
            yield slice(start, stop)
            start, size = stop, len(context)
    if start < len(contexts):
        yield slice(start, len(contexts))


def list_answers(context, found, null_threshold=None):
    """Writes down the answers that were found in a passage.

    Args:
        context: string, the passage.
        found: a dict of NumPy values. `score`, `probability`, `start`, `end`
            of shape `(n_best,)`, best first, with `start` -1 where there is
            no more; `null_score` and `null_probability`.
        null_threshold: float. No answer comes first if the null score exceeds
            the best score by more. Defaults to `None`: only if nothing was
            found.

    Returns:
        A list of dicts of `text`, `score`, `probability`, `start`, `end` and
        `null_score`, at least one.

    Example:

    >>> import numpy as np
    >>> found = {
    ...     "score": np.array([3.0]), "probability": np.array([0.4]),
    ...     "start": np.array([4]), "end": np.array([7]),
    ...     "null_score": np.array(3.5), "null_probability": np.array(0.6)}
    >>> [answer["text"] for answer in list_answers("the fox", found, 1.0)]
    ['fox']
    >>> [answer["text"] for answer in list_answers("the fox", found, 0.0)]
    ['', 'fox']
    """
    null_score = float(found["null_score"])
    answers = [
        {
            "text": context[start:end],
            "score": float(score),
            "probability": float(probability),
            "start": int(start),
            "end": int(end),
            "null_score": null_score,
        }
        for score, probability, start, end in zip(
            *(found[k] for k in ("score", "probability", "start", "end"))
        )
        if start >= 0
    ]
    is_none = not answers or (
        null_threshold is not None
        and null_score - answers[0]["score"] > null_threshold
    )
    if not is_none:
        return answers
    none = {
        "text": "",
        "score": null_score,
        "probability": float(found["null_probability"]),
        "start": -1,
        "end": -1,
        "null_score": null_score,
    }
    return [none, *answers]
