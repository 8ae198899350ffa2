"""Questions, passages and answers as a dataset."""

import tensorflow as tf


def questions_dataset(records):
    """Records as a dataset in which passages are held once.

    Args:
        records: list of tuples: id, question, context, list of answers, list
            of their starts in the context, in code points.

    Returns:
        A `tf.data.Dataset` as `load_questions` returns it, of known length.

    Example:

    >>> record = ("q1", "Who?", "A fox.", ["fox"], [2])
    >>> print(next(questions_dataset([record]).as_numpy_iterator()))
    {'id': b'q1', 'question': b'Who?', 'context': b'A fox.',
        'answer_texts': array([b'fox'], dtype=object),
        'answer_starts': array([2], dtype=int32)}
    """
    ids, questions, contexts, texts, starts = zip(*records)
    places = {
        context: place for place, context in enumerate(dict.fromkeys(contexts))
    }
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
            # The same type of element as in every other source.
            "answer_texts": tf.identity(row["answer_texts"]),
            "answer_starts": tf.identity(row["answer_starts"]),
        }

    return tf.data.Dataset.from_tensor_slices(rows).map(to_record)
