"""Questions with passages and answers: files in SQuAD's JSON format.

Versions 1.1 and 2.0:

    {"data": [{"paragraphs": [{"context": "...", "qas": [
        {"id": "...", "question": "...",
         "answers": [{"text": "...", "answer_start": 0}],
         "is_impossible": false}]}]}]}

A question without an answer has an empty list of `answers`; `is_impossible`
may be missing. Other keys, `plausible_answers` among them, are ignored. Also
read are integer ids, `answers` as columns, `{"text": [...], "answer_start":
[...]}`, and records `{"id", "question", "context", "answers"}` in place of
articles, both as Hugging Face's `datasets` has them.
"""

import json
import warnings

import tensorflow as tf

from unilmv2_tf.datasets.text_files import check_encodable
from unilmv2_tf.datasets.text_files import decode_line
from unilmv2_tf.datasets.text_files import errors_at
from unilmv2_tf.datasets.text_files import extension_of
from unilmv2_tf.datasets.text_files import fitting_records
from unilmv2_tf.datasets.text_files import is_blank
from unilmv2_tf.datasets.text_files import open_file

# Between a passage and the answer that a question is generated for. A plain
# character is the same to every tokenizer, where "[SEP]" would be split.
ANSWER_SEPARATOR = " | "
# A stripped passage shifts its answers by this many characters at most.
_MAX_SHIFT = 10
_ANSWER_KEYS = ("text", "answer_start")
_TYPE_NAMES = {list: "a list", int: "an integer", str: "a string"}


def read_squad_file(path, with_answers=True, skip_misfits=False):
    """Reads a file: a list of `(id, question, context, texts, starts)`."""
    extension_of(path, "questions")
    places, num_moved = {}, 0

    def parse(item):
        nonlocal num_moved
        place, context, question = item
        identity = _field(question, "id", (str, int))
        identity = str(identity).strip()
        if not identity:
            raise ValueError("'id' is empty")
        text = _text(question, "question")
        texts, starts = [], []
        for answer in _answers(question) if with_answers else ():
            texts.append(_text(answer, "text"))
            start = _field(answer, "answer_start", int)
            starts.append(_find_start(context, texts[-1], start))
            num_moved += starts[-1] != start
        if places.setdefault(identity, place) is not place:
            raise ValueError(
                f"the id {identity!r} is that of {places[identity]} too: ids "
                "must be unique, because predictions are matched by them"
            )
        return identity, text, context, texts, starts

    questions = (
        (_named(place, question), (place, context, question))
        for place, context, question in _questions(path, _load(path))
    )
    records = fitting_records(path, "questions", questions, parse, skip_misfits)
    if num_moved:
        were = "answer was" if num_moved == 1 else "answers were"
        warnings.warn(
            f"{path}: {num_moved:,} {were} moved, by at most {_MAX_SHIFT} "
            "characters, to where the passage has the text",
            stacklevel=2,
        )
    return [record for _, record in records]


def questions_dataset(records):
    """Makes a dataset of records; each passage is in memory once.

    >>> record = ("q1", "Who?", "A fox.", ["fox"], [2])
    >>> print(next(questions_dataset([record]).as_numpy_iterator()))
    {'id': b'q1', 'question': b'Who?', 'context': b'A fox.',
        'answer_texts': array([b'fox'], dtype=object),
        'answer_starts': array([2], dtype=int32)}
    """
    ids, questions, contexts, texts, starts = zip(*records)
    places = {context: i for i, context in enumerate(dict.fromkeys(contexts))}
    passages = tf.constant(list(places), tf.string)
    rows = {
        "id": tf.constant(ids),
        "question": tf.constant(questions),
        "context": tf.constant([places[context] for context in contexts]),
        "answer_texts": tf.ragged.constant(texts, tf.string, ragged_rank=1),
        "answer_starts": tf.ragged.constant(starts, tf.int32, ragged_rank=1),
    }

    def to_record(row):
        return {
            "id": row["id"],
            "question": row["question"],
            "context": tf.gather(passages, row["context"]),
            # Ragged slices become tensors: the element type of all sources.
            "answer_texts": tf.identity(row["answer_texts"]),
            "answer_starts": tf.identity(row["answer_starts"]),
        }

    return tf.data.Dataset.from_tensor_slices(rows).map(to_record)


def question_generation_pairs(source, questions):
    """Makes pairs `context | answer -> question` of a dataset of questions."""

    def is_answered(record):
        return tf.size(record["answer_texts"]) > 0

    def to_pair(record):
        texts = [record["context"], record["answer_texts"][0]]
        return {
            "encoder_text": tf.strings.join(texts, ANSWER_SEPARATOR),
            "decoder_text": record["question"],
        }

    found = [bool(x) for x in questions.map(is_answered).as_numpy_iterator()]
    total, answered = len(found), sum(found)
    if not answered:
        raise ValueError(
            f"{source} has no question with an answer in its passage: a "
            "question is generated for a passage and an answer"
        )
    if answered < total:
        warnings.warn(
            f"{source}: {total - answered:,} of {total:,} questions have no "
            "answer in their passage and are left out",
            stacklevel=2,
        )
        questions = questions.filter(is_answered)
    pairs = questions.map(to_pair)
    return pairs.apply(tf.data.experimental.assert_cardinality(answered))


def _load(path):
    with open_file(path) as file:
        content = file.read()
    try:
        return json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        for number, line in enumerate(content.split(b"\n"), 1):
            with errors_at(f"{path}:{number}"):
                decode_line(line)
        raise
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not valid JSON: {error}") from None


def _questions(path, content):
    """Yields place, context and unchecked question."""
    articles = content
    if not isinstance(content, list):
        with errors_at(path):
            articles = _field(content, "data", list)
    for number, article in enumerate(articles, 1):
        if isinstance(article, dict) and "question" in article:
            place = f"record {number}"
            with errors_at(f"{path}, {place}"):
                context = _text(article, "context")
            yield place, context, article
            continue
        place = f"article {number}"
        with errors_at(f"{path}, {place}"):
            paragraphs = _field(article, "paragraphs", list)
        for number, paragraph in enumerate(paragraphs, 1):
            inner = f"{place}, paragraph {number}"
            with errors_at(f"{path}, {inner}"):
                context = _text(paragraph, "context")
                questions = _field(paragraph, "qas", list)
            for number, question in enumerate(questions, 1):
                yield f"{inner}, question {number}", context, question


def _named(place, question):
    if isinstance(question, dict) and "id" in question:
        return f"{place} (id {question['id']})"
    return place


def _answers(question):
    """Returns the answers of a question: a list of objects."""
    if question.get("answers") is None:
        raise ValueError(
            "the key 'answers' is missing, without which nothing can be "
            f"compared. Found: {', '.join(question)}. A question without an "
            "answer has an empty list; questions to be answered go to "
            "`unilmv2 predict`"
        )
    answers = question["answers"]
    if isinstance(answers, dict):
        columns = [_field(answers, key, list) for key in _ANSWER_KEYS]
        if len({len(column) for column in columns}) > 1:
            raise ValueError(
                "'answers' must have as many texts as positions, not "
                f"{len(columns[0])} and {len(columns[1])}"
            )
        answers = [dict(zip(_ANSWER_KEYS, pair)) for pair in zip(*columns)]
    elif not isinstance(answers, list):
        raise ValueError(
            f"'answers' must be a list, not {json.dumps(answers)[:60]}"
        )
    impossible = question.get("is_impossible")
    if isinstance(impossible, str):
        impossible = {"true": True, "false": False}.get(impossible.lower(), "")
    if impossible not in (True, False, None):
        raise ValueError(
            "'is_impossible' must be true or false, not "
            f"{json.dumps(question['is_impossible'])[:60]}"
        )
    # Some write an empty answer where there is none.
    no_starts = (-1, None) if impossible is None else ()
    answers = [
        answer
        for answer in answers
        if not isinstance(answer, dict)
        or answer.get("text") != ""
        or not (impossible or answer.get("answer_start") in no_starts)
    ]
    if impossible and answers:
        raise ValueError(
            "'is_impossible' is true, but there are answers. An answer that "
            "is only plausible goes under 'plausible_answers'"
        )
    return answers


def _find_start(context, answer, start):
    if 0 <= start and context.startswith(answer, start):
        return start
    shifted = [
        other
        for other in range(max(start - _MAX_SHIFT, 0), start + _MAX_SHIFT + 1)
        if context.startswith(answer, other)
    ]
    if len(shifted) == 1:
        return shifted[0]
    found = context[max(start, 0) : max(start, 0) + len(answer)]
    raise ValueError(
        f"the answer {answer[:40]!r} must be in the context at 'answer_start' "
        f"{start} (in characters, from 0), or once within {_MAX_SHIFT} of it. "
        f"Found {found[:40]!r} there, and the answer {len(shifted)} times "
        f"within {_MAX_SHIFT} of it"
    )


def _field(record, key, kind):
    if not isinstance(record, dict) or key not in record:
        found = (
            ", ".join(record) or "no key"
            if isinstance(record, dict)
            else f"a {type(record).__name__}"
        )
        raise ValueError(
            f"the key {key!r} is missing, which SQuAD's format has. "
            f"Found: {found}"
        )
    value = record[key]
    if not isinstance(value, kind) or isinstance(value, bool):
        kind = kind if isinstance(kind, type) else kind[0]
        raise ValueError(
            f"{key!r} must be {_TYPE_NAMES[kind]}, not {json.dumps(value)[:60]}"
        )
    return value


def _text(record, key):
    text = _field(record, key, str)
    if is_blank(text):
        raise ValueError(f"{key!r} is empty")
    check_encodable(text, key)
    return text
