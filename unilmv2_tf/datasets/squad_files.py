"""Questions with passages and answers: files in SQuAD's JSON format.

Versions 1.1 and 2.0:

    {"data": [{"paragraphs": [{"context": "...", "qas": [
        {"id": "...", "question": "...",
         "answers": [{"text": "...", "answer_start": 0}],
         "is_impossible": false}]}]}]}

A question without an answer has an empty list of `answers`; `is_impossible`
may be missing. Other keys, `plausible_answers` among them, are ignored.
"""

import json
import warnings

import tensorflow as tf

from unilmv2_tf.datasets.text_files import check_encodable
from unilmv2_tf.datasets.text_files import decode_line
from unilmv2_tf.datasets.text_files import errors_at
from unilmv2_tf.datasets.text_files import extension_of
from unilmv2_tf.datasets.text_files import is_blank
from unilmv2_tf.datasets.text_files import open_file

# Between a passage and the answer that a question is generated for. A plain
# character is the same to every tokenizer, where "[SEP]" would be split.
ANSWER_SEPARATOR = " | "
# A stripped passage shifts its answers by this many characters at most.
_MAX_SHIFT = 10
_TYPE_NAMES = {list: "a list", int: "an integer", str: "a string"}


def read_squad_file(path):
    """Reads a file: a list of `(id, question, context, texts, starts)`.

    `texts` and `starts` are the answers and their positions in the context in
    code points. An answer that is not at its position is moved if it occurs
    once within 10 characters of it.
    """
    extension_of(path, "questions")
    records, places = [], {}
    for place, context, question in _questions(path, _load(path)):
        record = _record(place, context, question)
        if record[0] in places:
            raise ValueError(
                f"{place}: the id {record[0]!r} is that of "
                f"{places[record[0]]} too: ids must be unique, because "
                "predictions are matched by them"
            )
        places[record[0]] = place
        records.append(record)
    if not records:
        raise ValueError(f"{path} is empty: it has no questions")
    return records


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
    """Makes pairs `context | answer -> question` of a dataset of questions.

    Questions without an answer are left out with a warning. The answer is
    last, so that `truncation_side="left"` keeps it in long passages.
    """

    def is_answered(record):
        return tf.size(record["answer_texts"]) > 0

    def count(counts, record):
        return counts + tf.cast(tf.stack([True, is_answered(record)]), tf.int64)

    def to_pair(record):
        texts = [record["context"], record["answer_texts"][0]]
        return {
            "encoder_text": tf.strings.join(texts, ANSWER_SEPARATOR),
            "decoder_text": record["question"],
        }

    counts = questions.reduce(tf.zeros([2], tf.int64), count)
    total, answered = counts.numpy().tolist()
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
    for number, article in enumerate(_field(path, content, "data", list), 1):
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
    found = context[max(start, 0) : max(start, 0) + len(answer)]
    raise ValueError(
        f"{place}: the answer {answer[:40]!r} must be in the context at "
        f"'answer_start' {start} (in characters, from 0), or once within "
        f"{_MAX_SHIFT} of it. Found {found[:40]!r} there, and the answer "
        f"{len(shifted)} times within {_MAX_SHIFT} of it"
    )


def _field(place, record, key, kind):
    if not isinstance(record, dict) or key not in record:
        found = (
            ", ".join(record) or "no key"
            if isinstance(record, dict)
            else f"a {type(record).__name__}"
        )
        raise ValueError(
            f"{place}: the key {key!r} is missing, which SQuAD's format has. "
            f"Found: {found}"
        )
    value = record[key]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(
            f"{place}: {key!r} must be {_TYPE_NAMES[kind]}, not "
            f"{json.dumps(value)[:60]}"
        )
    return value


def _text(place, record, key):
    text = _field(place, record, key, str)
    if is_blank(text):
        raise ValueError(f"{place}: {key!r} is empty")
    with errors_at(place):
        check_encodable(text, key)
    return text
