"""The split of the embedded corpus, and tasks made of its documents.

Documents with the same words exist once. A document's split follows from the
words of its summary line: docstrings that share it, such as copies of a
function in another package, are in one split. A validation example whose input
has the same words as one of training is dropped.

Texts that differ in a word count as different: descriptions that were copied
and edited are in both splits. So validation scores tell how well a model knows
this family of texts, not how well it knows English.
"""

import collections
import hashlib
import re

from unilmv2_tf.datasets.docstring_cleaning import is_prose
from unilmv2_tf.datasets.docstring_cleaning import normalize
from unilmv2_tf.datasets.splits import SPLITS

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
# The names of packages, with the short forms that code uses.
_PACKAGE_NAMES = re.compile(
    r"(?<![^\W_])(tensorflow|tf|keras[_-]?(hub|nlp)|keras|numpy|np|scipy|sp"
    r"|scikit[- ]learn|sklearn|matplotlib|mpl|plt|pyplot|python|pydoc_data)"
    r"(?![^\W_])\.?",
    re.IGNORECASE,
)
_LABELED_WORDS = range(5, 65)
_MAX_PIECES = 150
# An estimate of WordPieces: six letters, or one symbol.
_PIECE = re.compile(r"[^\W_]{1,6}|[^\w\s]|_")
_ITEM = re.compile(r"\*{0,2}(\w+)\b(?=.*:)")


def digest(text):
    """Hashes a text to 64 bits, the same on every machine."""
    data = hashlib.blake2b(text.encode("utf-8"), digest_size=8).digest()
    return int.from_bytes(data, "big")


def split_of(document):
    """Returns the split of a document."""
    summary, _ = split_summary(document["text"])
    share = digest("split " + normalize(summary)) / 2**64
    return "validation" if share < VALIDATION_SHARE else "train"


def split_summary(text):
    """Splits a document into its first sentence (or line) and the rest."""
    line, _, rest = text.partition("\n")
    sentence = _SENTENCE.match(line)
    if sentence:
        return sentence[0], text[sentence.end() :].lstrip()
    return line, rest.lstrip()


def opening_prose(text, max_words=None):
    """Returns what a document says before its first section, on one line."""
    prose = []
    for line in text.split("\n"):
        if _SECTION.match(line):
            break
        prose.append(line)
    return " ".join(" ".join(prose).split()[:max_words])


def by_split(documents, examples_of):
    """Makes the examples of both splits, tuples of strings, each once."""
    found = {split: {} for split in SPLITS}
    for document in documents:
        examples = found[split_of(document)]
        for example in examples_of(document):
            source, *others = example
            examples.setdefault((normalize(source), *others), example)
    known = {source for source, *_ in found["train"]}
    found["validation"] = {
        key: example
        for key, example in found["validation"].items()
        if key[0] not in known
    }
    return {
        split: sorted(
            examples.values(), key=lambda example: digest("\t".join(example))
        )
        for split, examples in found.items()
    }


def argument_pairs_of(document):
    """Yields descriptions and names of the arguments of a document."""
    for name, description in document["arguments"]:
        yield description, name


def summary_pairs_of(document):
    """Yields the body of a document and its summary, if it has both."""
    summary, rest = split_summary(document["text"])
    body = opening_prose(rest, _MAX_BODY_WORDS)
    if (
        len(summary.split()) in _SUMMARY_WORDS
        and len(body.split()) >= _MIN_BODY_WORDS
        and is_prose(summary)
        and normalize(summary) not in normalize(body)
    ):
        yield body, summary


def package_texts_of(document):
    """Yields the prose of a document without names of packages, its package."""
    text = _PACKAGE_NAMES.sub("", opening_prose(document["text"]))
    words = text.split()[: _LABELED_WORDS.stop - 1]
    if len(words) in _LABELED_WORDS:
        yield " ".join(words), document["package"]


def argument_questions_of(document):
    """Yields answer, question and passage for the arguments of a document."""
    if not document["arguments"]:
        return
    *_, owner, function = ["", *document["name"].split(".")]
    if owner.lstrip("_")[:1].isupper():
        function = f"{owner}.{function}"
    text = document["text"]
    lines = text.split("\n")
    num_pieces = [len(_PIECE.findall(line)) for line in lines]
    items = collections.defaultdict(list)
    for number, line in enumerate(lines):
        item = _ITEM.match(line)
        if item:
            items[item[1]].append(number)
    for name, answer in document["arguments"]:
        if len(items[name]) != 1 or text.count(answer) != 1:
            continue
        (item,) = items[name]
        # The answer belongs to the item only if it is on the same line.
        if answer not in lines[item] or num_pieces[item] > _MAX_PIECES:
            continue
        part = _lines_around(item, num_pieces, digest(answer + text) % 1001)
        passage = "\n".join(lines[part]).strip()
        yield answer, f"What is the argument {name} of {function}?", passage


def _lines_around(item, num_pieces, share_before):
    """Returns a slice of as many lines around one as may be in a passage."""
    first, end = item, item + 1
    spare = _MAX_PIECES - num_pieces[item]
    before = spare * share_before // 1000
    while first > 0 and num_pieces[first - 1] <= before:
        first -= 1
        before -= num_pieces[first]
        spare -= num_pieces[first]
    while end < len(num_pieces) and num_pieces[end] <= spare:
        spare -= num_pieces[end]
        end += 1
    while first > 0 and num_pieces[first - 1] <= spare:
        first -= 1
        spare -= num_pieces[first]
    return slice(first, end)


def question_record(answer, question, passage):
    """Makes a record for `squad_files.questions_dataset`."""
    identity = digest("\t".join([question, passage, answer]))
    start = passage.index(answer)
    return f"{identity:016x}", question, passage, [answer], [start]
