"""One docstring parser: plain paragraphs, and descriptions of arguments."""

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

_MIN_DESCRIPTION_WORDS = 3
_MAX_DESCRIPTION_WORDS = 48


def clean_inline(text):
    """Removes inline reStructuredText and Markdown and extra white space."""
    for pattern, replacement in _INLINE:
        text = pattern.sub(replacement, text)
    return text.strip()


def normalize(text):
    """Reduces a text to its words in lower case, to compare texts."""
    return " ".join(re.findall(r"[^\W_]+", text.lower()))


def prose_lines(docstring):
    """Returns the lines that are not code, tables, rules or directives."""
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
    """Returns a docstring as plain paragraphs."""
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
    """Returns whether at least `share` of a text is letters and spaces."""
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


def argument_descriptions(docstring):
    """Returns the arguments of a docstring: a list of name and description."""
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
        indent = _indent(line)
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
        if not line.strip() or _indent(line) <= indent:
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
    text = " ".join(words[:_MAX_DESCRIPTION_WORDS])
    if len(words) > _MAX_DESCRIPTION_WORDS:
        sentences = _SENTENCE_END.match(text)
        text = sentences[0] if sentences else text
    return text


def _is_description(text):
    return len(text.split()) >= _MIN_DESCRIPTION_WORDS and is_prose(text)
