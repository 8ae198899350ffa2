import keras
import keras_hub
import numpy as np

from unilmv2_tf.preprocessing.blockwise_masking import blockwise_masking
from unilmv2_tf.preprocessing.blockwise_masking import check_rates
from unilmv2_tf.preprocessing.blockwise_masking import corrupt
from unilmv2_tf.preprocessing.blockwise_masking import num_mask_slots
from unilmv2_tf.preprocessing.fit_datasets import renew_each_epoch
from unilmv2_tf.preprocessing.packing import assemble_rows
from unilmv2_tf.preprocessing.random_bits import row_seeds
from unilmv2_tf.preprocessing.tensorflow_graph import GraphPreprocessor
from unilmv2_tf.preprocessing.tensorflow_graph import batched
from unilmv2_tf.preprocessing.tensorflow_graph import graph_preprocessing
from unilmv2_tf.preprocessing.tensorflow_graph import tf
from unilmv2_tf.preprocessing.tensorflow_graph import unbatched
from unilmv2_tf.preprocessing.tokenizer import UniLMv2Tokenizer

# Counters of a row's random numbers: the spans use the small ones.
_CORRUPTION_COUNTER = 1 << 20
# Arguments of KerasHub's base class, and why this class refuses them.
_REFUSED = {
    "truncate": "a text is one sequence, cut off at its end",
    "mask_selection_length": "`num_mask_slots` computes it",
}


@keras.saving.register_keras_serializable(package="unilmv2_tf")
class UniLMv2PseudoMaskedLMPreprocessor(
    GraphPreprocessor, keras_hub.models.MaskedLMPreprocessor
):
    """Turns texts into masked rows for pre-training.

    A text becomes a row `[CLS] S1 [SEP] S2 [SEP]` of two contiguous halves,
    truncated if it is longer; `pack_documents` makes rows that drop no token.
    Spans of the row are masked in the random order in which they will be
    predicted; no span crosses `[SEP]`. With the tokens `7 8 9 10 11 12 13 14`,
    of which `13` is drawn first, then `9 10`:

        token_ids           2  7  8  4  4  3 11 12  4 14  3  0  0
        segment_ids         0  0  0  0  0  0  1  1  1  1  1  0  0
        padding_mask        1  1  1  1  1  1  1  1  1  1  1  0  0
        mask_positions      3  4  8  0  0  0  0    unused slots hold 0
        mask_steps          2  2  1  0  0  0  0
        revealed_token_ids  9 10 13  0  0  0  0
        y                   9 10 13  0  0  0  0
        sample_weight       1  1  1  0  0  0  0

    The masks are a function of `seed`, the row and an epoch number, with any
    batch size and any number of parallel calls.

    Args:
        tokenizer: A `UniLMv2Tokenizer`.
        sequence_length: int. The length of the rows. Defaults to `512`.
        mask_selection_rate: float. The least share of tokens that are masked.
            Defaults to `0.15`.
        block_probability: float. The probability that a span is longer than
            one token; 0 is fully autoregressive. Defaults to `0.4`.
        min_block: int. The least length of these longer spans. Defaults to `2`.
        max_block: int. The length of the longest span. Defaults to `6`.
        mask_token_rate: float. The share of masked tokens that are `[MASK]` in
            the context. Defaults to `0.8`.
        random_token_rate: float. The share of masked tokens that are a random
            token in the context; the rest is unchanged. Defaults to `0.1`.
        whole_words: bool. Whether spans consist of whole words. Defaults to
            `False`.
        seed: int. Defaults to `None`, a random seed.
        **kwargs: See `keras_hub.models.Preprocessor`.

    Call arguments:
        x: Strings, or a dict of `text`, or a dict of rows: `token_ids`,
            `segment_ids`, `padding_mask`. Either dict may have an `epoch`, an
            int for each example.

    Returns:
        A tuple `(x, y, sample_weight)`; `y` holds the true ids.

    Raises:
        ValueError: if an argument is out of range.

    Example:

    >>> from unilmv2_tf.preprocessing import UniLMv2PseudoMaskedLMPreprocessor
    >>> from unilmv2_tf.preprocessing import UniLMv2Tokenizer
    >>> tokenizer = UniLMv2Tokenizer(
    ...     ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "fox"])
    >>> preprocessor = UniLMv2PseudoMaskedLMPreprocessor(
    ...     tokenizer, sequence_length=16)
    >>> x, y, sample_weight = preprocessor(["the fox the fox", "fox"])
    >>> tuple(x["token_ids"].shape), tuple(y.shape)
    ((2, 16), (2, 8))

    Reference:
        Bao et al., 2020, section 3.3 and algorithm 1.
    """

    tokenizer_cls = UniLMv2Tokenizer
    _config_names = (
        "block_probability",
        "min_block",
        "max_block",
        "whole_words",
        "seed",
    )

    def __init__(
        self,
        tokenizer,
        sequence_length: int = 512,
        mask_selection_rate: float = 0.15,
        block_probability: float = 0.4,
        min_block: int = 2,
        max_block: int = 6,
        mask_token_rate: float = 0.8,
        random_token_rate: float = 0.1,
        whole_words: bool = False,
        seed: int | None = None,
        **kwargs,
    ):
        for name, reason in _REFUSED.items():
            if name in kwargs:
                raise ValueError(
                    f"`{name}` is no argument of this preprocessor: {reason}. "
                    f"Received: {name}={kwargs[name]}"
                )
        check_rates(
            mask_selection_rate=mask_selection_rate,
            block_probability=block_probability,
            mask_token_rate=mask_token_rate,
            random_token_rate=random_token_rate,
        )
        if not 1 <= min_block <= max_block:
            raise ValueError(
                "`min_block` must be at least 1 and at most `max_block`. "
                f"Received: min_block={min_block}, max_block={max_block}"
            )
        if sequence_length < 4:
            raise ValueError(
                "`sequence_length` must be at least 4: a token of text beside "
                "`[CLS]` and twice `[SEP]`. Received: "
                f"sequence_length={sequence_length}"
            )
        super().__init__(
            tokenizer,
            sequence_length=sequence_length,
            mask_selection_rate=mask_selection_rate,
            mask_token_rate=mask_token_rate,
            random_token_rate=random_token_rate,
            **kwargs,
        )
        if seed is None:
            seed = int(np.random.default_rng().integers(2**31))
        self.block_probability = block_probability
        self.min_block = min_block
        self.max_block = max_block
        self.whole_words = whole_words
        self.seed = seed

    def call(self, x, y=None, sample_weight=None):
        return self._masked_rows(x)

    @graph_preprocessing
    def _masked_rows(self, x):
        x, is_single = batched(x)
        if not isinstance(x, dict):
            x = {"text": x}
        rows = x if "token_ids" in x else self._rows(x["text"])
        outputs = self._mask(rows, x.get("epoch", tf.constant(0, tf.int64)))
        return unbatched(outputs) if is_single else outputs

    def _rows(self, texts):
        token_ids = self.tokenizer(texts)[:, : self.sequence_length - 3]
        num_tokens = token_ids.row_lengths()
        return assemble_rows(
            token_ids.to_tensor(),
            num_tokens,
            # A single token is one segment.
            (num_tokens + 1) // 2,
            self.tokenizer,
            self.sequence_length,
        )

    def _mask(self, rows, epoch):
        token_ids = tf.cast(rows["token_ids"], tf.int32)
        padding_mask = tf.cast(rows["padding_mask"], tf.bool)
        length = token_ids.shape[1] or self.sequence_length
        token_ids = tf.ensure_shape(token_ids, [None, length])
        num_slots = num_mask_slots(
            length, self.mask_selection_rate, self.max_block, self.whole_words
        )
        seeds = row_seeds(token_ids, padding_mask, self.seed, epoch)
        steps = blockwise_masking(
            seeds,
            is_maskable=self._is_maskable(token_ids, padding_mask),
            num_tokens=tf.math.count_nonzero(
                padding_mask, axis=1, dtype=tf.int32
            ),
            mask_selection_rate=self.mask_selection_rate,
            block_probability=self.block_probability,
            min_block=self.min_block,
            max_block=self.max_block,
            is_word_start=(
                self._is_word_start(token_ids) if self.whole_words else None
            ),
        )
        positions, mask_steps = _masked_slots(steps, num_slots)
        is_used = mask_steps > 0
        true_ids = tf.where(
            is_used,
            tf.gather(token_ids, positions, batch_dims=1),
            self.tokenizer.pad_token_id,
        )
        corrupted = corrupt(
            true_ids,
            seeds,
            _CORRUPTION_COUNTER + 2 * positions,
            self.tokenizer,
            self.mask_token_rate,
            self.random_token_rate,
        )
        x = {
            "token_ids": _replace(
                token_ids, positions, true_ids, corrupted, is_used
            ),
            "segment_ids": tf.cast(rows["segment_ids"], tf.int32),
            "padding_mask": tf.cast(padding_mask, tf.int32),
            "mask_positions": positions,
            "mask_steps": mask_steps,
            "revealed_token_ids": true_ids,
        }
        return x, true_ids, tf.cast(is_used, tf.float32)

    def _is_maskable(self, token_ids, padding_mask):
        unmaskable = set(self.tokenizer.special_token_ids)
        unmaskable -= {self.tokenizer.unk_token_id}
        is_maskable = padding_mask
        for token_id in sorted(unmaskable):
            is_maskable &= token_ids != token_id
        return is_maskable

    def _is_word_start(self, token_ids):
        suffix = self.tokenizer.suffix_indicator
        vocabulary = self.tokenizer.get_vocabulary()
        starts_word = [not token.startswith(suffix) for token in vocabulary]
        return tf.gather(np.array(starts_word), token_ids)

    def renew_each_epoch(self, x, batch_size: int = 32):
        """Makes a dataset of texts or rows that are masked anew in each pass.

        Args:
            x: Strings, a dict, or a batched dataset, see the call arguments.
            batch_size: int. For `x` that is not a dataset. Defaults to `32`.

        Returns:
            A batched `tf.data.Dataset` of inputs of this layer.
        """
        return renew_each_epoch(x, batch_size, text_key="text")

    def get_config(self):
        config = super().get_config()
        for name in _REFUSED:
            del config[name]
        return config


def _masked_slots(steps, num_slots):
    """Positions and steps of the masked tokens, in the order of the text."""
    positions = tf.range(tf.shape(steps)[1]) + tf.zeros_like(steps)
    return tuple(
        tf.ragged.boolean_mask(x, steps > 0).to_tensor(shape=[None, num_slots])
        for x in (positions, steps)
    )


def _replace(token_ids, positions, old_ids, new_ids, is_used):
    # Unused slots add nothing. A segment sum takes half the time of
    # `tensor_scatter_nd_update`.
    batch_size, length = tf.shape(token_ids)[0], tf.shape(token_ids)[1]
    row = length * tf.range(batch_size)[:, tf.newaxis]
    changes = tf.math.unsorted_segment_sum(
        tf.where(is_used, new_ids - old_ids, 0),
        row + positions,
        batch_size * length,
    )
    return token_ids + tf.reshape(changes, [batch_size, length])
