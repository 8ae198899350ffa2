"""What an export is tried with: ordinary texts, and hostile ones.

This file is imported in processes without this package, too.
"""

PLAIN = (
    "The quick brown fox jumps over the lazy dog.",
    "Returns a new array with the same shape and type as a given array.",
    "A path.",
    "It was the best of times, it was the worst of times, it was the age of "
    "wisdom, it was the age of foolishness.",
    "Why?",
    "The number of elements, or None if it is unknown.",
    "Caf\u00e9 na\u00efve \u65e5\u672c\u8a9e 3.14 e-mail@example.org",
    "a b c d e f g h i j k l m n o p q r s t u v w x y z",
)

_MEGABYTE = 1_000_000

HOSTILE = {
    "empty": b"",
    "10,000 spaces": b" " * 10_000,
    "1 MB of words": b"fox " * (_MEGABYTE // 4),
    "1 MB, one word": b"x" * _MEGABYTE,
    "NUL bytes": b"\x00a\x00 the\x00fox \x00",
    "invalid UTF-8": b"\xff\xfe the caf\xe9 \xc3( \xed\xa0\x80 \xf8 fox",
    "unknown characters": "\ua66e \u16a0\u16a2 \ue000 \U0001fae0".encode(),
    "right to left": "\u05e9\u05dc\u05d5\u05dd \u202e fox \u0645".encode(),
    "emoji": "\U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f98a".encode(),
    "special tokens": b"[CLS] the [SEP] [PAD] [MASK] [UNK] fox [MASK]",
}

_QUESTIONS = (
    "What jumps over the dog?",
    "What does it return?",
    "Which?",
    "What was it?",
)


def probes(names):
    """Inputs for a signature that takes strings.

    Args:
        names: the names of its inputs.

    Returns:
        A dict from each name to a list of bytes, all of one length: ordinary
        ones first, then hostile ones.

    Raises:
        ValueError: if there is an input of another name.

    Example:

    >>> len(probes(["text"])["text"]) == len(PLAIN) + len(HOSTILE)
    True
    """
    plain = [text.encode() for text in PLAIN]
    hostile = list(HOSTILE.values())
    texts = plain + hostile
    values = {
        "text": texts,
        "text_a": texts,
        "text_b": texts[1:] + texts[:1],
        "question": [
            _QUESTIONS[row % len(_QUESTIONS)].encode()
            for row in range(len(texts))
        ],
        # A megabyte of words has thousands of windows, an hour of a large
        # model: the question is that long instead.
        "context": [
            text if text != HOSTILE["1 MB of words"] else text[:2000]
            for text in texts
        ],
    }
    values["question"][-len(hostile) :] = hostile
    unknown = set(names) - set(values)
    if unknown:
        raise ValueError(
            f"`names` must be among {', '.join(values)}. Received: "
            f"{', '.join(sorted(unknown))}"
        )
    return {name: values[name] for name in names}


def with_gaps(texts):
    """Texts with a gap to be filled in most of them.

    Args:
        texts: list of bytes.

    Returns:
        A list of bytes.

    Example:

    >>> with_gaps([b"the fox", b""])
    [b'the [MASK] fox', b'']
    """
    return [text.replace(b" ", b" [MASK] ", 1) for text in texts]
