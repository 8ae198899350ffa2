"""Pairs of texts in memory: reading, generating, scoring and writing."""

import dataclasses
import hashlib
import json
import os

import numpy as np

from unilmv2_tf.datasets import load_pairs
from unilmv2_tf.evaluation import score_texts
from unilmv2_tf.filesystem import write_text
from unilmv2_tf.progress import Progress
from unilmv2_tf.training.finetuning.examples import rough_lengths

_TEXTS_AT_ONCE = 1024
# Enough to tell a share; all of a large corpus would take minutes.
_MOST_MEASURED = 20_000


@dataclasses.dataclass
class Pairs:
    """Sources and targets as columns.

    Args:
        sources: array of bytes.
        targets: array of bytes.
        num_skipped: int. How many pairs were left out when they were read,
            because they had no target. Defaults to `0`.
    """

    sources: np.ndarray
    targets: np.ndarray
    num_skipped: int = 0

    def __len__(self):
        return len(self.sources)

    def lengths(self):
        """About how many tokens each source and each target has.

        Returns:
            An int array of shape `(n, 2)`.
        """
        columns = self.sources, self.targets
        return np.stack([rough_lengths(column) for column in columns], axis=1)

    def source_texts(self):
        """The sources as strings.

        Returns:
            A list.
        """
        return _decoded(self.sources)

    def target_texts(self):
        """The targets as strings.

        Returns:
            A list.
        """
        return _decoded(self.targets)

    def take(self, places):
        """Some of the pairs.

        Args:
            places: int array.

        Returns:
            `Pairs`.
        """
        return Pairs(
            self.sources[places], self.targets[places], self.num_skipped
        )

    def spread(self, number):
        """Some of the pairs, at even distances.

        Args:
            number: int, or `None` for all.

        Returns:
            `Pairs`, in their order.
        """
        if number is None or number >= len(self):
            return self
        return self.take(np.arange(number) * len(self) // number)

    def fingerprint(self):
        """A hash of all pairs in their order.

        Returns:
            A string of 16 hexadecimal digits.
        """
        digest = hashlib.sha256()
        for column in (self.sources, self.targets):
            for text in column.tolist():
                digest.update(len(text).to_bytes(8, "big") + text)
        return digest.hexdigest()[:16]


def _decoded(column):
    # Corpora of TFDS promise nothing about their bytes.
    return [text.decode("utf-8", "replace") for text in column]


def read(source, split=None):
    """Reads pairs into memory.

    Those without a target, as corpora of TFDS may have them, are left out.

    Args:
        source: string, see `unilmv2_tf.datasets.load_pairs`.
        split: string. Defaults to `None`.

    Returns:
        `Pairs`.

    Raises:
        ValueError: if the source cannot be read, or has no target at all.
    """
    batches = list(load_pairs(source, split).batch(4096).as_numpy_iterator())
    sources, targets = (
        np.concatenate([np.array([], object), *(b[key] for b in batches)])
        for key in ("encoder_text", "decoder_text")
    )
    full = np.array([bool(text.strip()) for text in targets], bool)
    if not full.any():
        raise ValueError(
            f"{source} must have pairs with a target. Received: {len(full):,} "
            "pairs, none with a target"
        )
    return Pairs(sources[full], targets[full], int((~full).sum()))


def shares_cut(pairs, tokenizer, source_length, target_length):
    """How many sources and targets are longer than their rows.

    Args:
        pairs: `Pairs`. Of more than 20,000 as many are looked at.
        tokenizer: a `UniLMv2Tokenizer`.
        source_length: int, `[CLS]` and `[SEP]` included.
        target_length: int, `[SEP]` included.

    Returns:
        A tuple: how many pairs were looked at, how many sources are cut, how
        many targets.
    """
    pairs = pairs.spread(_MOST_MEASURED)
    counts = [
        _count_longer(texts, tokenizer, longest)
        for texts, longest in (
            (pairs.sources, source_length - 2),
            (pairs.targets, target_length - 1),
        )
    ]
    return len(pairs), *counts


def _count_longer(texts, tokenizer, longest):
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string)])
    def count(part):
        is_longer = tokenizer(part).row_lengths() > longest
        return tf.reduce_sum(tf.cast(is_longer, tf.int32))

    return sum(
        int(count(tf.constant(texts[start : start + _TEXTS_AT_ONCE])))
        for start in range(0, len(texts), _TEXTS_AT_ONCE)
    )


def predict(model, pairs, batch_size, max_length=None, is_shown=True):
    """Lets a model generate.

    Args:
        model: a `UniLMv2Seq2SeqLM` with a preprocessor.
        pairs: `Pairs`.
        batch_size: int.
        max_length: int. The longest text in tokens, its end included. Defaults
            to `None`, that of the preprocessor.
        is_shown: bool. Whether to show the progress. Defaults to `True`.

    Returns:
        `GeneratedTexts`.
    """
    sources = pairs.source_texts()
    batch_size = min(batch_size, len(sources))
    with Progress(
        "generating",
        -(-len(sources) // batch_size),
        examples_per_step=batch_size,
        unit="texts",
        is_shown=is_shown,
        step_unit="batches",
    ) as progress:
        texts = model.generate(
            sources,
            max_length=max_length,
            batch_size=batch_size,
            on_batch=lambda num_texts: progress.advance(),
        )
    return GeneratedTexts(pairs, texts)


class GeneratedTexts:
    """What a model made of sources.

    Args:
        pairs: `Pairs`.
        texts: list of as many strings.
    """

    can_be_scored = True

    def __init__(self, pairs, texts):
        self.texts = texts
        self.sources = pairs.source_texts()
        self.references = pairs.target_texts()

    def scores(self, metrics):
        """Scores against the targets.

        Args:
            metrics: strings, see `unilmv2_tf.evaluation.score_texts`.

        Returns:
            A dict from metric to float.
        """
        return score_texts(self.texts, self.references, metrics)

    def write(self, folder):
        """Writes `predictions.jsonl`.

        Args:
            folder: string.
        """
        lines = [
            json.dumps(
                {"src": source, "tgt": target, "prediction": text},
                ensure_ascii=False,
            )
            for source, target, text in zip(
                self.sources, self.references, self.texts
            )
        ]
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, "predictions.jsonl")
        write_text(path, "\n".join(lines) + "\n")
