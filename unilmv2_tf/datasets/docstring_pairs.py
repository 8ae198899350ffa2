"""The split of the embedded corpus and the pairs that are learned from it."""

import re

from unilmv2_tf.datasets.corpus.cache import digest
from unilmv2_tf.datasets.corpus.cleaning import is_prose
from unilmv2_tf.datasets.corpus.cleaning import normalize

SPLITS = ("train", "validation")
# One document in 20 is held out.
VALIDATION_SHARE = 0.05

_SENTENCE = re.compile(r".+?[.!?](?=\s+[A-Z\"'(])")
_SECTION = re.compile(
    r"#*\s*(args|arguments|call arguments|keyword args|parameters"
    r"|other parameters|attributes|inputs?|outputs?|returns?|raises?|yields?"
    r"|see also|references?|examples?|usage)\s*:?$",
    re.IGNORECASE,
)
_MIN_BODY_WORDS = 12
_MAX_BODY_WORDS = 200
_SUMMARY_WORDS = range(4, 31)


def check_split(split):
    """Raises an error for a split that the corpus does not have.

    Args:
        split: string.

    Raises:
        ValueError: if `split` is not `"train"` or `"validation"`.

    Example:

    >>> check_split("train")
    """
    if split not in SPLITS:
        raise ValueError(
            "`split` must be 'train' or 'validation': the embedded corpus has "
            f"no other. Received: split={split!r}"
        )


def split_of(document):
    """The split that a document of the corpus belongs to.

    Decided by the words of the summary line, so that the versions of a
    docstring that differ in what follows stay together.

    Args:
        document: dictionary with the key `text`.

    Returns:
        `"train"` or `"validation"`.

    Example:

    >>> split_of({"text": "Adds numbers.\\n\\nArgs:\\nx: int."}) == split_of(
    ...     {"text": "Adds `numbers`."}
    ... )
    True
    """
    summary, _ = split_summary(document["text"])
    share = digest("split " + normalize(summary)) / 2**64
    return "validation" if share < VALIDATION_SHARE else "train"


def split_summary(text):
    """Takes the first sentence off a cleaned docstring.

    Args:
        text: string. Paragraphs separated by empty lines.

    Returns:
        Two strings: the sentence (or the first line, where that is shorter)
        and all that follows.

    Example:

    >>> split_summary("Adds numbers. Both may be arrays.\\n\\nArgs:\\nx: int.")
    ('Adds numbers.', 'Both may be arrays.\\n\\nArgs:\\nx: int.')
    """
    line, _, rest = text.partition("\n")
    sentence = _SENTENCE.match(line)
    if sentence:
        return sentence[0], text[sentence.end() :].lstrip()
    return line, rest.lstrip()


def argument_pairs_of(documents):
    """Pairs of an argument's description and its name, by split.

    Every pair occurs once. What validation shares with training is dropped
    from validation: see `unilmv2_tf.datasets.docstrings`.

    Args:
        documents: dictionaries with the keys `text` and `arguments`.

    Returns:
        A dictionary from split to a list of pairs: description, name.
    """

    def pairs(document):
        for name, description in document["arguments"]:
            yield description, name

    return by_split(documents, pairs)


def summary_pairs_of(documents):
    """Pairs of the body of a docstring and its summary line, by split.

    The body is what stands between the summary and the first section
    (arguments, returned values and so on), at least 12 words of prose and
    cut to 200; summaries have 4 to 30 words.

    Args:
        documents: dictionaries with the key `text`.

    Returns:
        A dictionary from split to a list of pairs: body, summary.
    """

    def pairs(document):
        summary, rest = split_summary(document["text"])
        body = opening_prose(rest, _MAX_BODY_WORDS)
        if (
            len(summary.split()) in _SUMMARY_WORDS
            and len(body.split()) >= _MIN_BODY_WORDS
            and is_prose(summary)
            and normalize(summary) not in normalize(body)
        ):
            yield body, summary

    return by_split(documents, pairs)


def opening_prose(text, max_words):
    """What a docstring says before its first section.

    Args:
        text: string. A cleaned docstring.
        max_words: int. Where it is cut.

    Returns:
        A string without line breaks, perhaps empty.

    Example:

    >>> opening_prose("Adds numbers.\\n\\nAll of them.\\n\\nArgs:\\nx: int.", 9)
    'Adds numbers. All of them.'
    """
    prose = []
    for line in text.split("\n"):
        if _SECTION.match(line):
            break
        prose.append(line)
    return " ".join(" ".join(prose).split()[:max_words])


def by_split(documents, examples):
    """Sorts the examples that documents give into the two splits.

    Every example occurs once. Those of validation whose first part has the
    same words as one of training are dropped.

    Args:
        documents: dictionaries with the key `text`.
        examples: callable. From a document to tuples of strings, the first of
            them what a model reads.

    Returns:
        A dictionary from split to a list of tuples, mixed, in an order that
        never changes.

    Example:

    >>> documents = [{"text": "Adds numbers."}, {"text": "Adds `numbers`."}]
    >>> by_split(documents, lambda document: [(document["text"], "sum")])
    {'train': [('Adds numbers.', 'sum')], 'validation': []}
    """
    found = {split: {} for split in SPLITS}
    for document in documents:
        for example in examples(document):
            source, *others = example
            key = (normalize(source), *others)
            found[split_of(document)].setdefault(key, example)
    known = {source for source, *_ in found["train"]}
    found["validation"] = {
        key: example
        for key, example in found["validation"].items()
        if key[0] not in known
    }
    # The examples of one document would stand together otherwise.
    return {
        split: sorted(
            examples.values(), key=lambda example: digest("\t".join(example))
        )
        for split, examples in found.items()
    }
