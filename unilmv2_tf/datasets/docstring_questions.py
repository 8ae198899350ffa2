"""Questions about arguments that the embedded corpus answers."""

import bisect
import collections
import re

from unilmv2_tf.datasets.corpus.cache import digest
from unilmv2_tf.datasets.docstring_pairs import by_split

_MAX_PIECES = 150
# An estimate of WordPieces: six letters, or one symbol.
_PIECE = re.compile(r"[^\W_]{1,6}|[^\w\s]|_")
_ITEM = re.compile(r"^\*{0,2}(\w+)\b(?=[^\n]*:)", re.MULTILINE)


def argument_questions_of(documents):
    """Questions for arguments, their passages and answers, by split.

    The answer is the description of the argument; the passage a part of the
    function's documentation around it, of 160 WordPieces at most (estimated
    with room to spare), cut at the ends of lines where there are any. Arguments
    that the documentation names twice, and descriptions that stand in it twice,
    are left out.

    Args:
        documents: dictionaries with the keys `text`, `name` and `arguments`.

    Returns:
        A dictionary from split to a list of records, as `questions_dataset`
        takes them.

    Example:

    >>> (record,) = argument_questions_of([{
    ...     "text": "Adds them.\\n\\nArgs:\\nx: The first.\\ny: The last one.",
    ...     "name": "calculator.Sum.add",
    ...     "arguments": [("y", "The last one.")]}])["train"]
    >>> record[1:]
    ('What is the argument y of Sum.add?',
     'Adds them.\\n\\nArgs:\\nx: The first.\\ny: The last one.',
     ['The last one.'], [35])
    """

    def examples(document):
        if not document["arguments"]:
            return
        documentation = _Documentation(document["text"])
        for name, description in document["arguments"]:
            passage = documentation.passage(name, description)
            if passage:
                question = (
                    f"What is the argument {name} of "
                    f"{_short_name(document['name'])}?"
                )
                yield description, question, passage

    return {
        split: [_record(*example) for example in found]
        for split, found in by_split(documents, examples).items()
    }


def _record(answer, question, passage):
    # Ids of 64 bits, the same in every run with the same packages.
    identity = digest("\t".join([question, passage, answer]))
    start = passage.index(answer)
    return f"{identity:016x}", question, passage, [answer], [start]


def _short_name(name):
    """A function's name, with that of its class."""
    *_, owner, function = ["", *name.split(".")]
    is_class = owner.lstrip("_")[:1].isupper()
    return f"{owner}.{function}" if is_class else function


class _Documentation:
    """A function's documentation, with the places of its pieces."""

    def __init__(self, text):
        self.text = text
        self.starts, self.ends = [], []
        for piece in _PIECE.finditer(text):
            self.starts.append(piece.start())
            self.ends.append(piece.end())
        self.items = collections.defaultdict(list)
        for item in _ITEM.finditer(text):
            self.items[item[1]].append(item.start())

    def passage(self, name, answer):
        """The part of the text around an answer, or `None`."""
        items = self.items[name]
        if len(items) != 1 or self.text.count(answer) != 1:
            return None
        start, end = items[0], self.text.index(answer) + len(answer)
        # The answer belongs to the item only if it is of the same line.
        if start > end or "\n" in self.text[start:end]:
            return None
        first = bisect.bisect_left(self.starts, start)
        last = bisect.bisect_left(self.starts, end)
        spare = _MAX_PIECES - (last - first)
        if spare < 0:
            return None
        # What stands before the answer is a share of the rest that differs
        # from question to question, so that no place is likelier.
        before = spare * (digest(answer + self.text) % 1001) // 1000
        left = self._line_start(start, first - before)
        used = first - bisect.bisect_left(self.starts, left)
        right = self._line_end(end, last + spare - used)
        used = bisect.bisect_left(self.starts, right) - first
        left = self._line_start(start, first - (_MAX_PIECES - used))
        return self.text[left:right].strip()

    def _line_start(self, start, piece):
        """The first line that begins with this piece or later."""
        place = self.starts[piece] if piece > 0 else 0
        if place == 0 or self.text[place - 1] == "\n":
            return place
        # There is one: the item begins a line.
        return self.text.find("\n", place, start) + 1

    def _line_end(self, end, piece):
        """The last line, or else word, that ends before this piece."""
        if piece >= len(self.starts):
            return len(self.text)
        place = self.starts[piece]
        cut = self.text.rfind("\n", end, place)
        if cut < 0:
            cut = self.text.rfind(" ", end, place)
        return end if cut < 0 else end + len(self.text[end:cut].rstrip())
