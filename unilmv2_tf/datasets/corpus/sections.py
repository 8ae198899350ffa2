"""The arguments that a docstring describes, in the three common styles."""

import re

from .cleaning import clean_inline
from .cleaning import is_prose
from .cleaning import normalize
from .cleaning import prose_lines

_NAME = r"\*{0,2}([A-Za-z_]\w*)"
_GOOGLE_HEADER = re.compile(
    r"(\s*)(?:Args|Arguments|Keyword Args|Keyword Arguments|Kwargs"
    r"|Call arguments|Call Args|Parameters):\s*$",
    re.IGNORECASE,
)
_GOOGLE_ITEM = re.compile(rf"\s*`{{0,2}}{_NAME}`{{0,2}}\s*(?:\([^()]*\))?:(.*)")
_NUMPY_ITEM = re.compile(rf"\s*{_NAME}(?:\s*:.*)?$")
_SPHINX_ITEM = re.compile(rf"(\s*):param(?:eter)?\s+(?:[^:]*\s)?{_NAME}:(.*)")
_NUMPY_HEADER = re.compile(
    r"^([ \t]*)(?:Other |Keyword )?(?:Parameters|Arguments)[ \t]*\n"
    r"[ \t]*-{3,}[ \t]*$",
    re.MULTILINE,
)
_NUMPY_MARK = "<numpy arguments>"
_ANY_NUMPY_HEADER = re.compile(r"^([ \t]*)\S.*\n[ \t]*[-=]{3,}[ \t]*$", re.M)
_NUMPY_END = "<end of section>"
_HINT = re.compile(r"arg|param", re.IGNORECASE)
_LIST_ITEM = re.compile(r"\s*([-*+•] |\d+[.)] )")
_SENTENCE_END = re.compile(r".*[.!?](?= [A-Z\d\"'(])")

MIN_WORDS = 3
MAX_WORDS = 48


def argument_descriptions(docstring):
    """The arguments of a docstring with one line of description each.

    Google and Keras sections (`Args:`), NumPy sections (`Parameters` over a
    rule) and Sphinx fields (`:param x:`) are understood. A description is
    the first paragraph up to a list, cleaned and cut to the sentences that
    fit 48 words; those of less than three words, or mostly of symbols, are
    left out.

    Args:
        docstring: string, as it stands in the source.

    Returns:
        A list of pairs: name, description.

    Examples:

    >>> argument_descriptions('''Adds.
    ...
    ...     Args:
    ...         x: int. The first
    ...             of them.
    ...     ''')
    [('x', 'int. The first of them.')]
    >>> argument_descriptions('''Adds.
    ...
    ...     Parameters
    ...     ----------
    ...     x : int
    ...         The first of them.
    ...
    ...     Returns
    ...     -------
    ...     int
    ...     ''')
    [('x', 'The first of them.')]
    """
    if not _HINT.search(docstring):
        return []
    lines = prose_lines(_mark_numpy_sections(docstring))
    found = []
    for position, line in enumerate(lines):
        header = _GOOGLE_HEADER.match(line)
        if header:
            found += _items(
                lines[position + 1 :], _GOOGLE_ITEM, len(header[1]), True
            )
        elif line.strip() == _NUMPY_MARK:
            found += _items(lines[position + 1 :], _NUMPY_ITEM, -1, False)
        else:
            field = _SPHINX_ITEM.match(line)
            if field:
                block = _block(lines[position + 1 :], len(field[1]))
                found.append((field[2], [field[3], *block]))
    pairs = ((name, _describe(lines)) for name, lines in found)
    return [
        (name, text)
        for name, text in pairs
        if _is_description(text) and normalize(text) != normalize(name)
    ]


def _mark_numpy_sections(docstring):
    # The rules below the headings are dropped with all others by
    # `prose_lines`, so that the headings need marks of their own.
    marked = _NUMPY_HEADER.sub(rf"\1{_NUMPY_MARK}", docstring)
    return _ANY_NUMPY_HEADER.sub(rf"\1{_NUMPY_END}", marked)


def _items(lines, pattern, header_indent, same_line):
    """Items of one section: [(name, lines of the description), ...]."""
    items, base = [], None
    for line in lines:
        if not line.strip():
            if items:
                items[-1][1].append("")
            continue
        indent = len(line) - len(line.lstrip())
        base = indent if base is None else base
        if (
            indent <= header_indent
            or indent < base
            or line.strip() in (_NUMPY_END, _NUMPY_MARK)
        ):
            break
        if indent == base:
            item = pattern.match(line)
            if item:
                items.append((item[1], [item[2]] if same_line else []))
            else:
                # Not an item, so that what follows describes no argument.
                items.append(("", []))
        elif items:
            items[-1][1].append(line)
    return [(name, lines) for name, lines in items if name]


def _block(lines, indent):
    block = []
    for line in lines:
        if not line.strip() or len(line) - len(line.lstrip()) <= indent:
            break
        block.append(line)
    return block


def _describe(lines):
    first = []
    for line in lines:
        if line.strip() and not (first and _LIST_ITEM.match(line)):
            first.append(line.strip())
        elif first:
            break
    words = clean_inline(" ".join(first)).split(" ")
    text = " ".join(words[:MAX_WORDS])
    if len(words) > MAX_WORDS:
        sentences = _SENTENCE_END.match(text)
        text = sentences[0] if sentences else text
    return text


def _is_description(text):
    return len(text.split()) >= MIN_WORDS and is_prose(text)
