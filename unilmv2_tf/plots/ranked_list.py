"""The best texts for a source, as plain text."""


def format_ranked(source, texts, scores):
    """Lists the texts that were generated for a source, with their scores.

    Args:
        source: string.
        texts: list of strings, best first.
        scores: list of floats, one for each text.

    Returns:
        A string of a line for the source and one for each text.

    Raises:
        ValueError: if there are not as many scores as texts.

    Example:

    >>> from unilmv2_tf.plots import format_ranked
    >>> print(format_ranked("the fox jumped", ["fox", "a fox"], [-0.5, -12]))
    the fox jumped
       -0.500  fox
      -12.000  a fox
    """
    if len(texts) != len(scores):
        raise ValueError(
            "`scores` must hold a number for each text. Received: "
            f"{len(texts)} texts, {len(scores)} scores"
        )
    numbers = [f"{score:.3f}" for score in scores]
    width = max(map(len, numbers), default=0)
    lines = [
        f"  {number:>{width}}  {text}".rstrip()
        for number, text in zip(numbers, texts)
    ]
    return "\n".join([source, *lines])
