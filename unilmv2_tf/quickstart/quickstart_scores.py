"""The quick start's tasks, and how predictions for them are scored."""

import dataclasses
import json
from collections.abc import Callable

import numpy as np

from unilmv2_tf.datasets import docstrings
from unilmv2_tf.evaluation import LeadBaseline
from unilmv2_tf.evaluation import MajorityBaseline
from unilmv2_tf.evaluation import NearestNeighborBaseline
from unilmv2_tf.evaluation import score_texts
from unilmv2_tf.filesystem import write_text
from unilmv2_tf.progress import Progress


@dataclasses.dataclass(frozen=True)
class Task:
    """A task of text to text.

    Args:
        title: string. What goes in and what comes out.
        pairs: function from split to a dataset of pairs.
        lengths: tuple of the longest source and target, in tokens.
        length_penalty: float, of the beam search.
        baselines: dict from the name of a trivial method to its class.
    """

    title: str
    pairs: Callable
    lengths: tuple
    length_penalty: float
    baselines: dict


TASKS = {
    "name": Task(
        title="an argument's description -> its name",
        pairs=docstrings.argument_pairs,
        lengths=(48, 12),
        length_penalty=0.0,
        baselines={
            "nearest neighbor": NearestNeighborBaseline,
            "majority": MajorityBaseline,
        },
    ),
    "summary": Task(
        title="the body of a docstring -> its first line",
        pairs=docstrings.summary_pairs,
        lengths=(128, 32),
        length_penalty=0.7,
        baselines={
            "nearest neighbor": NearestNeighborBaseline,
            "first words": LeadBaseline,
        },
    ),
}


def column_arrays(pairs):
    """Reads a dataset of pairs into arrays.

    Args:
        pairs: a `tf.data.Dataset` of dicts of scalar strings.

    Returns:
        A dict of arrays of bytes.

    Example:

    >>> import tensorflow as tf
    >>> from unilmv2_tf.quickstart.quickstart_scores import column_arrays
    >>> pairs = tf.data.Dataset.from_tensor_slices({"encoder_text": ["a"]})
    >>> column_arrays(pairs)
    {'encoder_text': array([b'a'], dtype=object)}
    """
    batches = list(pairs.batch(4096).as_numpy_iterator())
    return {
        key: np.concatenate([batch[key] for batch in batches])
        for key in batches[0]
    }


def score(predictions, references):
    """Exact match and ROUGE-L of predictions.

    The tokenizer lowercases and puts spaces around an underscore, so both are
    left out of account.

    Args:
        predictions: list of strings.
        references: list of strings.

    Returns:
        A dict of `exact_match` and `rougeL`, from 0 to 1.

    Example:

    >>> from unilmv2_tf.quickstart.quickstart_scores import score
    >>> score(["num _ units"], ["num_units"])
    {'exact_match': 1.0, 'rougeL': 1.0}
    """
    return score_texts(predictions, references, ["exact_match", "rougeL"])


def score_task(seq_2_seq_lm, held_out, path, label, batch_size=128):
    """Generates for all held-out sources, keeps the texts, and scores them.

    Args:
        seq_2_seq_lm: a compiled `UniLMv2Seq2SeqLM`.
        held_out: dict of arrays of `encoder_text` and `decoder_text`.
        path: string. The JSON file for what is generated.
        label: string. What the progress line says.
        batch_size: int. Defaults to `128`.

    Returns:
        A dict of scores.
    """
    sources = [text.decode("utf-8") for text in held_out["encoder_text"]]
    references = [text.decode("utf-8") for text in held_out["decoder_text"]]
    num_batches = -(-len(sources) // batch_size)
    with Progress(
        f"generating ({label})", num_batches, examples_per_step=batch_size
    ) as progress:
        predictions = seq_2_seq_lm.generate(
            sources,
            batch_size=batch_size,
            on_batch=lambda num_texts: progress.advance(),
        )
    rows = [
        {"source": source, "reference": reference, "generated": generated}
        for source, reference, generated in zip(
            sources, references, predictions
        )
    ]
    write_text(path, json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
    return score(predictions, references)


def score_trivial_methods(task, train, held_out):
    """Scores methods that any model should be compared with.

    Args:
        task: a `Task`.
        train: dict of arrays of `encoder_text` and `decoder_text`.
        held_out: dict of such arrays.

    Returns:
        A dict from method to its scores.
    """

    def texts(column):
        return [text.decode("utf-8") for text in column]

    pairs = list(
        zip(texts(train["encoder_text"]), texts(train["decoder_text"]))
    )
    sources = texts(held_out["encoder_text"])
    references = texts(held_out["decoder_text"])
    scores = {}
    for name, method in task.baselines.items():
        baseline = method()
        baseline.fit(pairs)
        scores[name] = score(baseline.predict(sources), references)
    return scores


def unigram_cross_entropy(rows, held_out, tokenizer):
    """What a model of mere word frequencies pays for a held-out token.

    Args:
        rows: dict with the `token_ids` that the frequencies are taken from.
        held_out: dict with the `token_ids` to predict.
        tokenizer: a `UniLMv2Tokenizer`. Its special tokens do not count.

    Returns:
        A float, in nats.

    Example:

    >>> import numpy as np
    >>> from unilmv2_tf import UniLMv2Tokenizer
    >>> from unilmv2_tf.quickstart import quickstart_scores
    >>> tokenizer = UniLMv2Tokenizer(
    ...     ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b"])
    >>> rows = {"token_ids": np.array([[2, 5, 6, 3]])}
    >>> round(quickstart_scores.unigram_cross_entropy(rows, rows, tokenizer), 4)
    0.6931
    """
    size = tokenizer.vocabulary_size()
    special = [tokenizer.pad_token_id, tokenizer.cls_token_id]
    special.append(tokenizer.sep_token_id)

    def counts(columns):
        count = np.bincount(columns["token_ids"].ravel(), minlength=size)
        count[special] = 0
        return count

    frequency = counts(rows)
    # A token that was never seen counts as seen once.
    share = np.maximum(frequency, 1) / frequency.sum()
    wanted = counts(held_out)
    return float(-(wanted * np.log(share)).sum() / wanted.sum())
