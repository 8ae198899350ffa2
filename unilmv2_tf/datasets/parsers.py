"""From a line of a file to the texts of a document or a pair."""

import json

from unilmv2_tf.datasets.files import is_blank

# For each kind of record: the keys in JSON lines, and those of the dataset.
_JSON_KEYS = {"documents": ("text",), "pairs": ("src", "tgt")}
KEYS = {"documents": ("text",), "pairs": ("encoder_text", "decoder_text")}
# A source may be empty: what is to be written of nothing is a fair question.
_OPTIONAL_KEYS = ("src", "encoder_text")


def join_word_pieces(text):
    """Joins a list of WordPieces to a text; a string stays as it is.

    Args:
        text: string or list of strings.

    Returns:
        A string. Tokenizing it anew gives the same pieces, with the
        vocabulary that they are from.

    Example:

    >>> join_word_pieces(["it", "un", "##fold", "##s", "."])
    'it unfolds .'
    """
    if isinstance(text, str):
        return text
    return " ".join(text).replace(" ##", "")


def parse_tsv(line, kind, place):
    """The columns of one line of TSV.

    Args:
        line: string.
        kind: string. `"documents"` or `"pairs"`.
        place: string. File and line, for the error.

    Returns:
        A list of strings.

    Raises:
        ValueError: if there are too few or too many columns, or empty ones.

    Example:

    >>> parse_tsv("one\\ttwo", "pairs", "a.tsv:1")
    ['one', 'two']
    """
    columns = line.split("\t")
    wanted = len(KEYS[kind])
    if len(columns) != wanted:
        raise ValueError(
            f"{place}: a TSV file of {kind} has {wanted} "
            f"column{'s' if wanted > 1 else ''}, this line has "
            f"{len(columns)}"
        )
    optional = sum(key in _OPTIONAL_KEYS for key in KEYS[kind])
    check_columns(columns, place, optional)
    return columns


def check_columns(columns, place, num_optional=0):
    """Raises an error where a column of TSV is empty.

    Args:
        columns: list of strings.
        place: string. File and line, for the error.
        num_optional: int. How many of the first columns may be empty. Defaults
            to `0`.

    Raises:
        ValueError: if a column has nothing but white space.

    Example:

    >>> check_columns(["a", "b"], "a.tsv:1")
    """
    for position, column in enumerate(columns, 1):
        if position > num_optional and is_blank(column):
            raise ValueError(f"{place}: column {position} is empty")


def parse_json(line, kind, place):
    """The texts of one line of JSON.

    Args:
        line: string.
        kind: string. `"documents"` or `"pairs"`.
        place: string. File and line, for the error.

    Returns:
        A list of strings.

    Raises:
        ValueError: if the line is not JSON, or lacks a text.

    Example:

    >>> parse_json('{"text": ["un", "##like", "ly"]}', "documents", "a:1")
    ['unlike ly']
    """
    keys = _JSON_KEYS[kind]
    example = "{" + ", ".join(f'"{key}": "..."' for key in keys) + "}"
    record = parse_object(line, example, place)
    texts = []
    for key in keys:
        if key not in record:
            raise ValueError(
                f"{place}: the key {key!r} is missing. A line of {kind} is "
                f"such as {example}. Found: {', '.join(record) or 'no key'}"
            )
        texts.append(text_of(record, key, place, key in _OPTIONAL_KEYS))
    return texts


def parse_object(line, example, place):
    """The JSON object that a line holds.

    Args:
        line: string.
        example: string. What a line is like, for the error.
        place: string. File and line, for the error.

    Returns:
        A dictionary.

    Raises:
        ValueError: if the line is not JSON, or no object.

    Example:

    >>> parse_object('{"text": "a"}', "{}", "a:1")
    {'text': 'a'}
    """
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{place}: not valid JSON: {error}") from None
    if not isinstance(record, dict):
        raise ValueError(
            f"{place}: a line must be an object such as {example}, this one "
            f"is of type {type(record).__name__}"
        )
    return record


def text_of(record, key, place, may_be_empty=False):
    """The text under a key of a JSON object.

    Args:
        record: dictionary.
        key: string. One of its keys.
        place: string. File and line, for the error.
        may_be_empty: bool. Whether nothing is a text too. Defaults to `False`.

    Returns:
        A string; WordPieces are joined.

    Raises:
        ValueError: if there is no text, or an empty one that may not be.

    Example:

    >>> text_of({"text": ["un", "##like", "ly"]}, "text", "a:1")
    'unlike ly'
    """
    value = record[key]
    if not isinstance(value, str) and not (
        isinstance(value, list)
        and all(isinstance(piece, str) for piece in value)
    ):
        raise ValueError(
            f"{place}: {key!r} must be a string or a list of WordPieces, "
            f"not {json.dumps(value)[:60]}"
        )
    text = join_word_pieces(value)
    if is_blank(text) and not may_be_empty:
        raise ValueError(f"{place}: {key!r} is empty")
    check_encodable(text, key, place)
    return text


def check_encodable(text, key, place):
    """Raises an error for a string that is no text.

    Args:
        text: string.
        key: string. The key it stands under, for the error.
        place: string. File and line, for the error.

    Raises:
        ValueError: if it holds half of a surrogate pair.

    Example:

    >>> check_encodable("a", "text", "a:1")
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError(
            f"{place}: {key!r} has half of a surrogate pair (\\ud800 to "
            "\\udfff), which is no character"
        ) from None
