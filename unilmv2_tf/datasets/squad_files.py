"""Files in SQuAD's JSON format, versions 1.1 and 2.0.

    {"data": [{"paragraphs": [{"context": "...", "qas": [
        {"id": "...", "question": "...",
         "answers": [{"text": "...", "answer_start": 0}],
         "is_impossible": false}]}]}]}

A question without an answer has an empty list of `answers`; `is_impossible`
may be missing. Other keys are ignored, `plausible_answers` too.
"""

import json

from unilmv2_tf.datasets.files import extension_of
from unilmv2_tf.datasets.files import is_blank
from unilmv2_tf.datasets.files import open_file
from unilmv2_tf.datasets.files import utf8_error
from unilmv2_tf.datasets.parsers import check_encodable

# White space that was taken off a passage moves answers by so much.
_MAX_SHIFT = 10
_KINDS = {list: "a list", int: "an integer", str: "a string"}


def read_squad_file(path):
    """The questions of a file, checked.

    An answer that does not stand where it should is moved if it stands once
    within 10 characters of there.

    Args:
        path: string. A file that ends in .json.

    Returns:
        A list of tuples, as `questions_dataset` takes them.

    Raises:
        FileNotFoundError: if there is no such file.
        PermissionError: if the file may not be read.
        ValueError: if the extension is unknown, or the file is not JSON, has
            no questions or a wrong record; the message names file and record.

    Example:

    >>> import os, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = os.path.join(folder.name, "one.json")
    >>> with open(path, "w") as file:
    ...     json.dump({"data": [{"paragraphs": [{
    ...         "context": "A fox ran.", "qas": [{
    ...             "id": "q1", "question": "Who ran?",
    ...             "answers": [{"text": "fox", "answer_start": 3}]}]}]}]},
    ...         file)
    >>> read_squad_file(path)
    [('q1', 'Who ran?', 'A fox ran.', ['fox'], [2])]
    """
    extension_of(path, "questions")
    records, places = [], {}
    for place, context, question in _questions(path, _load(path)):
        record = _record(place, context, question)
        if record[0] in places:
            raise ValueError(
                f"{place}: the id {record[0]!r} is that of "
                f"{places[record[0]]} too: ids must be unique, predictions go "
                "by them"
            )
        places[record[0]] = place
        records.append(record)
    if not records:
        raise ValueError(f"{path} is empty: it has no questions")
    return records


def _load(path):
    with open_file(path) as file:
        content = file.read()
    try:
        return json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        before = content[: error.start]
        start = before.rfind(b"\n") + 1
        line = UnicodeDecodeError(
            error.encoding,
            content[start : error.end],
            error.start - start,
            error.end - start,
            error.reason,
        )
        number = before.count(b"\n") + 1
        raise utf8_error(f"{path}:{number}", line) from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not valid JSON: {error}") from None


def _questions(path, content):
    """Yields place, context and question, of which only the place is sure."""
    articles = _field(path, content, "data", list)
    for number, article in enumerate(articles, 1):
        place = f"{path}, article {number}"
        paragraphs = _field(place, article, "paragraphs", list)
        for number, paragraph in enumerate(paragraphs, 1):
            inner = f"{place}, paragraph {number}"
            context = _text(inner, paragraph, "context")
            questions = _field(inner, paragraph, "qas", list)
            for number, question in enumerate(questions, 1):
                yield f"{inner}, question {number}", context, question


def _record(place, context, question):
    identity = _text(place, question, "id")
    place = f"{place} (id {identity})"
    text = _text(place, question, "question")
    answers = _field(place, question, "answers", list)
    if question.get("is_impossible") and answers:
        raise ValueError(
            f"{place}: 'is_impossible' is true, but there are answers. An "
            "answer that is only plausible goes under 'plausible_answers'"
        )
    texts, starts = [], []
    for answer in answers:
        texts.append(_text(place, answer, "text"))
        start = _field(place, answer, "answer_start", int)
        starts.append(_find_start(place, context, texts[-1], start))
    return identity, text, context, texts, starts


def _find_start(place, context, answer, start):
    if 0 <= start and context.startswith(answer, start):
        return start
    shifted = [
        other
        for other in range(max(start - _MAX_SHIFT, 0), start + _MAX_SHIFT + 1)
        if context.startswith(answer, other)
    ]
    if len(shifted) == 1:
        return shifted[0]
    here = context[max(start, 0) : max(start, 0) + len(answer)]
    raise ValueError(
        f"{place}: the answer {answer[:40]!r} must stand in the context at "
        f"'answer_start' {start} (in characters, from 0), or once within "
        f"{_MAX_SHIFT} of it. There stands {here[:40]!r}; it stands within "
        f"{_MAX_SHIFT} of there {len(shifted)} times"
    )


def _field(place, record, key, kind):
    if not isinstance(record, dict) or key not in record:
        found = (
            ", ".join(record) or "no key"
            if isinstance(record, dict)
            else f"a {type(record).__name__}"
        )
        raise ValueError(
            f"{place}: the key {key!r} is missing, which the format of SQuAD "
            f"has. Found: {found}"
        )
    value = record[key]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(
            f"{place}: {key!r} must be {_KINDS[kind]}, not "
            f"{json.dumps(value)[:60]}"
        )
    return value


def _text(place, record, key):
    text = _field(place, record, key, str)
    if is_blank(text):
        raise ValueError(f"{place}: {key!r} is empty")
    check_encodable(text, key, place)
    return text
