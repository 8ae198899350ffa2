"""From a docstring as it stands in the source to plain paragraphs."""

import inspect
import re

_FENCE = re.compile(r"\s*(```|~~~)")
_DOCTEST = re.compile(r"\s*>>>( |$)")
_RULE = re.compile(r"\s*([-=~^*#+_\"`'.:])\1{2,}\s*$")
_TABLE = re.compile(r"\s*([=-]{2,}\s+)+[=-]{2,}\s*$|\s*[+|].*[+|]\s*$")
_DIRECTIVE = re.compile(r"(\s*)\.\. ([\w.-]+):: ?(.*)$")
_COMMENT = re.compile(r"(\s*)\.\. (?:_[^:]+:|\|)")
_SYMBOL = re.compile(r"(?! )[\W\d_]")
_GRAMMAR = re.compile(r".*::=")
_ITEM = re.compile(
    r"\s*([-*+o•] |\d+[.)] |:\w+|\[\d+\]"
    r"|\*{0,2}[A-Za-z_][\w.]*(, ?\*{0,2}[A-Za-z_][\w.]*)*( ?\([^()]*\))?"
    r" ?:(\s|$))"
)
# Placeholders that the generated operations of TensorFlow carry.
_FILLERS = frozenset(["TODO: add doc.", "TODO"])
# Directives whose contents are prose; those of all others are dropped.
_PROSE_DIRECTIVES = frozenset(
    """admonition attention caution danger deprecated error hint important
    note seealso tip topic versionadded versionchanged warning""".split()
)
_INLINE = (
    (re.compile(r":[\w:+-]+:`([^`<]+?)\s*<[^>`]*>`"), r"\1"),
    (re.compile(r":[\w:+-]+:`[~!]?([^`]*)`"), r"\1"),
    (re.compile(r"`([^`<]+?)\s*<[^>`]*>`_{0,2}"), r"\1"),
    (re.compile(r"`{1,3}([^`]*)`{1,3}_{0,2}"), r"\1"),
    (re.compile(r"!?\[([^\]\[]+)\]\([^()\s]*\)"), r"\1"),
    (re.compile(r"\s?\[[\w#*-]+\]_"), ""),
    (re.compile(r"\*\*([^\s*](?:[^*]*[^\s*])?)\*\*"), r"\1"),
    (re.compile(r"(?<![\w*])\*(\w(?:[^*]*\w)?)\*(?![\w*])"), r"\1"),
    (re.compile(r"%\([^()]*\)s|\$\{\w+\}"), ""),
    (re.compile(r"\\(?=[*_`|])"), ""),
    (re.compile(r"\s+"), " "),
)


def clean_inline(text):
    """Removes markup inside a line and makes all white space single.

    Args:
        text: string. reStructuredText or Markdown.

    Returns:
        A string.

    Example:

    >>> clean_inline("See :func:`~os.walk`, ``x``  and `this <http://a.b>`_.")
    'See os.walk, x and this.'
    """
    for pattern, replacement in _INLINE:
        text = pattern.sub(replacement, text)
    return text.strip()


def normalize(text):
    """What remains of a text when only its words are compared.

    Args:
        text: string.

    Returns:
        The text's letters and digits in lower case, in words separated by
        one space.

    Example:

    >>> normalize("The `axis`:\\n  an Integer.")
    'the axis an integer'
    """
    return " ".join(re.findall(r"[^\W_]+", text.lower()))


def prose_lines(docstring):
    """A docstring's lines without code, tables, rules and directives.

    Args:
        docstring: string, as it stands in the source.

    Returns:
        A list of strings with the indentation that `inspect.cleandoc` leaves.

    Example:

    >>> prose_lines('''Adds.
    ...
    ...     Example::
    ...
    ...         add(1, 2)
    ...
    ...     Returns:
    ...         The sum.
    ...     ''')
    ['Adds.', '', 'Example:', '', 'Returns:', '    The sum.']
    """
    lines = inspect.cleandoc(docstring).splitlines()
    kept, position = [], 0
    while position < len(lines):
        line = lines[position]
        position += 1
        directive = _DIRECTIVE.match(line)
        if _FENCE.match(line):
            position = _after_fence(lines, position)
        elif _DOCTEST.match(line):
            position = _after_paragraph(lines, position)
        elif directive:
            if directive[2] in _PROSE_DIRECTIVES:
                kept.append(directive[1] + directive[3])
            else:
                position = _after_block(lines, position, len(directive[1]))
        elif _COMMENT.match(line):
            position = _after_block(lines, position, _indent(line))
        elif line.rstrip().endswith("::"):
            kept.append(line.rstrip()[:-1])
            position = _after_block(lines, position, _indent(line))
        elif not (
            _RULE.match(line) or _TABLE.match(line) or _GRAMMAR.match(line)
        ):
            kept.append(line.rstrip())
    return kept


def clean_document(docstring):
    """A docstring as plain text.

    Code (doctests, fenced and literal blocks), tables and markup go; wrapped
    lines are joined; list items and arguments stay on lines of their own.

    Args:
        docstring: string, as it stands in the source.

    Returns:
        A string: paragraphs separated by one empty line.

    Example:

    >>> print(clean_document('''Adds *two*
    ...     numbers.
    ...
    ...     Args:
    ...         x: The first
    ...             of them.
    ...         y: The second.
    ...
    ...     >>> add(1, 2)
    ...     3
    ...     '''))
    Adds two numbers.
    <BLANKLINE>
    Args:
    x: The first of them.
    y: The second.
    """
    paragraphs, paragraph = [], []
    for line in [*prose_lines(docstring), ""]:
        if line.strip():
            paragraph.append(line)
        elif paragraph:
            text = _join(paragraph)
            if text:
                paragraphs.append(text)
            paragraph = []
    while paragraphs and re.fullmatch(r"Examples?( usage)?:?", paragraphs[-1]):
        paragraphs.pop()
    return "\n\n".join(paragraphs)


def is_prose(text, share=0.7):
    """Whether a text is written in words rather than in symbols.

    Args:
        text: string.
        share: float. The least share of letters and spaces. Defaults to
            `0.7`.

    Returns:
        A boolean.

    Example:

    >>> is_prose("the axis to sum over"), is_prose("x[0] = {1: y**2}")
    (True, False)
    """
    symbols = len(_SYMBOL.findall(text))
    return len(text) - symbols >= share * len(text) and bool(text)


def _join(lines):
    joined = []
    for line in lines:
        if joined and not _ITEM.match(line):
            joined[-1] += " " + line.strip()
        else:
            joined.append(line.strip())
    cleaned = [clean_inline(line) for line in joined]
    # Indented paragraphs are more often code than the others are.
    share = 0.8 if _indent(lines[0]) else 0.6
    text = " ".join(cleaned)
    if not is_prose(text, share) or text in _FILLERS:
        return ""
    return "\n".join(line for line in cleaned if line)


def _indent(line):
    return len(line) - len(line.lstrip())


def _after_fence(lines, position):
    for index in range(position, len(lines)):
        if _FENCE.match(lines[index]):
            return index + 1
    return position


def _after_paragraph(lines, position):
    while position < len(lines) and lines[position].strip():
        position += 1
    return position


def _after_block(lines, position, indent):
    end = position
    for index in range(position, len(lines)):
        if lines[index].strip():
            if _indent(lines[index]) <= indent:
                break
            end = index + 1
    return end
