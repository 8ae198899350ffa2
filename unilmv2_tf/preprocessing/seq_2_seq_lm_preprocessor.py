import keras
import keras_hub
import numpy as np

from unilmv2_tf.preprocessing.blockwise_masking import check_rates
from unilmv2_tf.preprocessing.blockwise_masking import corrupt
from unilmv2_tf.preprocessing.fit_datasets import renew_each_epoch
from unilmv2_tf.preprocessing.packing import assemble_rows
from unilmv2_tf.preprocessing.random_bits import row_seeds
from unilmv2_tf.preprocessing.random_bits import uniform
from unilmv2_tf.preprocessing.tensorflow_graph import GraphPreprocessor
from unilmv2_tf.preprocessing.tensorflow_graph import batched
from unilmv2_tf.preprocessing.tensorflow_graph import graph_preprocessing
from unilmv2_tf.preprocessing.tensorflow_graph import tf
from unilmv2_tf.preprocessing.tensorflow_graph import unbatched
from unilmv2_tf.preprocessing.tokenizer import UniLMv2Tokenizer


@keras.saving.register_keras_serializable(package="unilmv2_tf")
class UniLMv2Seq2SeqLMPreprocessor(
    GraphPreprocessor, keras_hub.models.Seq2SeqLMPreprocessor
):
    """Turns pairs of texts into rows for sequence-to-sequence fine-tuning.

    The source becomes `[CLS] source [SEP]`, the target `target [SEP]`. The
    target is predicted at pseudo masks. Some of the target tokens that later
    ones attend to are replaced, so that the model learns to continue imperfect
    prefixes. With the target `11 12 13` and its third token drawn:

        encoder_token_ids     2 7 8 9 3 0      2 is [CLS], 3 [SEP], 0 [PAD]
        encoder_padding_mask  1 1 1 1 1 0
        decoder_token_ids     11 12  4  3  0
        decoder_padding_mask   1  1  1  1  0
        pseudo_token_ids       4  4  4  4  0   sometimes a random or true token
        decoder_steps          1  2  3  4  0
        y                     11 12 13  3  0
        sample_weight          1  1  1  1  0

    Replacements are a function of `seed`, the pair and an epoch number, with
    any batch size and any number of parallel calls.

    Args:
        tokenizer: A `UniLMv2Tokenizer`.
        encoder_sequence_length: int. Longer sources are truncated. Defaults to
            `464`, the paper's for question generation.
        decoder_sequence_length: int. Longer targets are truncated. Defaults to
            `48`.
        target_mask_rate: float. The share of target tokens that are replaced by
            the content of their pseudo slot. Defaults to `0.5`.
        mask_token_rate: float. The share of pseudo slots that hold the pseudo
            mask. Defaults to `0.8`.
        random_token_rate: float. The share of pseudo slots that hold a random
            token; the rest holds the true one. Defaults to `0.1`.
        seed: int. Defaults to `None`, a random seed.
        truncation_side: `"right"` or `"left"`, where long sources are
            truncated. Defaults to `"right"`.
        **kwargs: See `keras_hub.models.Seq2SeqLMPreprocessor`.

    Call arguments:
        x: A dict of strings, `encoder_text` and `decoder_text`; it may have an
            `epoch`, an int for each pair.

    Returns:
        A tuple `(x, y, sample_weight)`.

    Raises:
        ValueError: if an argument is out of range.

    Example:

    >>> from unilmv2_tf.preprocessing import UniLMv2Seq2SeqLMPreprocessor
    >>> from unilmv2_tf.preprocessing import UniLMv2Tokenizer
    >>> tokenizer = UniLMv2Tokenizer(
    ...     ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "fox"])
    >>> preprocessor = UniLMv2Seq2SeqLMPreprocessor(
    ...     tokenizer, encoder_sequence_length=8, decoder_sequence_length=4)
    >>> x, y, sample_weight = preprocessor(
    ...     {"encoder_text": ["the fox"], "decoder_text": ["fox"]})
    >>> x["encoder_token_ids"].numpy().tolist(), y.numpy().tolist()
    ([[2, 5, 6, 3, 0, 0, 0, 0]], [[6, 3, 0, 0]])

    Reference:
        Bao et al., 2020, section 3.4 and table 10.
    """

    tokenizer_cls = UniLMv2Tokenizer
    _config_names = (
        "encoder_sequence_length",
        "decoder_sequence_length",
        "target_mask_rate",
        "mask_token_rate",
        "random_token_rate",
        "seed",
        "truncation_side",
    )

    def __init__(
        self,
        tokenizer,
        encoder_sequence_length: int = 464,
        decoder_sequence_length: int = 48,
        target_mask_rate: float = 0.5,
        mask_token_rate: float = 0.8,
        random_token_rate: float = 0.1,
        seed: int | None = None,
        truncation_side: str = "right",
        **kwargs,
    ):
        super().__init__(
            tokenizer,
            encoder_sequence_length=encoder_sequence_length,
            decoder_sequence_length=decoder_sequence_length,
            **kwargs,
        )
        check_rates(
            target_mask_rate=target_mask_rate,
            mask_token_rate=mask_token_rate,
            random_token_rate=random_token_rate,
        )
        for name, value, least in (
            ("encoder_sequence_length", encoder_sequence_length, 3),
            ("decoder_sequence_length", decoder_sequence_length, 1),
        ):
            if value < least:
                raise ValueError(
                    f"`{name}` must be at least {least}, special tokens "
                    f"included. Received: {name}={value}"
                )
        if truncation_side not in ("right", "left"):
            raise ValueError(
                "`truncation_side` must be 'right' or 'left'. Received: "
                f"truncation_side={truncation_side!r}"
            )
        if seed is None:
            seed = int(np.random.default_rng().integers(2**31))
        self.target_mask_rate = target_mask_rate
        self.mask_token_rate = mask_token_rate
        self.random_token_rate = random_token_rate
        self.seed = seed
        self.truncation_side = truncation_side

    def call(self, x, y=None, sample_weight=None):
        return self._training_rows(x)

    @graph_preprocessing
    def _training_rows(self, x):
        x, is_single = batched(x)
        source, source_mask = self._source(
            x["encoder_text"], self.encoder_sequence_length
        )
        labels = self.tokenizer(x["decoder_text"])
        labels = labels[:, : self.decoder_sequence_length - 1]
        sep = tf.fill(
            [labels.nrows(), 1],
            tf.constant(self.tokenizer.sep_token_id, labels.dtype),
        )
        labels, target_mask = self._pad(
            tf.concat([labels, sep], axis=1), self.decoder_sequence_length
        )
        seeds = row_seeds(
            tf.concat([source, labels], axis=1),
            tf.cast(tf.concat([source_mask, target_mask], axis=1), tf.bool),
            self.seed,
            x.get("epoch", tf.constant(0, tf.int64)),
        )
        slots = tf.range(self.decoder_sequence_length)
        pseudo = corrupt(
            labels,
            seeds,
            2 * slots,
            self.tokenizer,
            self.mask_token_rate,
            self.random_token_rate,
        )
        # Replaced target tokens are `[MASK]`; only the pseudo slots hold the
        # pseudo mask, which may have an entry of its own in the vocabulary.
        is_mask = pseudo == self.tokenizer.mask_token_id
        drawn = uniform(seeds, 2 * self.decoder_sequence_length + slots)
        target = tf.where(drawn < self.target_mask_rate, pseudo, labels)
        pseudo = tf.where(is_mask, self.tokenizer.pseudo_token_id, pseudo)
        pad = self.tokenizer.pad_token_id
        outputs = (
            {
                "encoder_token_ids": source,
                "encoder_padding_mask": source_mask,
                "decoder_token_ids": tf.where(target_mask > 0, target, pad),
                "decoder_padding_mask": target_mask,
                "pseudo_token_ids": tf.where(target_mask > 0, pseudo, pad),
                "decoder_steps": (slots + 1) * target_mask,
            },
            labels,
            tf.cast(target_mask, tf.float32),
        )
        return unbatched(outputs) if is_single else outputs

    def generate_preprocess(
        self,
        x,
        *,
        encoder_sequence_length: int | None = None,
        decoder_sequence_length: int | None = None,
        sequence_length: int | None = None,
    ):
        """Turns sources into the integers that `generate_step` takes.

        Args:
            x: Strings, or a dict of `encoder_text` and, optionally,
                `decoder_text`, the prefix of each target.
            encoder_sequence_length: int. Defaults to that of the layer.
            decoder_sequence_length: int. The length of the longest target with
                its `[SEP]`. Defaults to that of the layer.
            sequence_length: An alias of `decoder_sequence_length`.

        Returns:
            A dict of `encoder_token_ids`, `encoder_padding_mask`,
            `decoder_token_ids` and `decoder_padding_mask`.
        """
        return self._generation_rows(
            x,
            encoder_sequence_length=(
                encoder_sequence_length or self.encoder_sequence_length
            ),
            decoder_sequence_length=(
                decoder_sequence_length
                or sequence_length
                or self.decoder_sequence_length
            ),
        )

    @graph_preprocessing
    def _generation_rows(
        self, x, *, encoder_sequence_length, decoder_sequence_length
    ):
        x, is_single = batched(x)
        if not isinstance(x, dict):
            x = {"encoder_text": x}
        source, source_mask = self._source(
            x["encoder_text"], encoder_sequence_length
        )
        prefixes = x.get("decoder_text", tf.zeros_like(x["encoder_text"]))
        prefixes, prefix_mask = self._pad(
            self.tokenizer(prefixes), decoder_sequence_length
        )
        outputs = {
            "encoder_token_ids": source,
            "encoder_padding_mask": source_mask,
            "decoder_token_ids": prefixes,
            "decoder_padding_mask": prefix_mask,
        }
        return unbatched(outputs) if is_single else outputs

    def generate_postprocess(self, x):
        """Turns generated integers back into texts.

        Args:
            x: The dict that `generate_step` returns.

        Returns:
            A string for one example, a list of strings for a batch, or lists of
            these for several sequences each. If there are `scores` and
            `log_probs`, a dict of these and of `generated_text`.
        """
        token_ids = _to_numpy(x["decoder_token_ids"])
        is_text = _to_numpy(x["decoder_padding_mask"]).astype(bool)
        is_text &= ~np.isin(token_ids, self._stripped_ids())
        texts = self._detokenize(token_ids, is_text)
        scores = {
            name: x[name] for name in ("scores", "log_probs") if name in x
        }
        return {"generated_text": texts, **scores} if scores else texts

    def _stripped_ids(self):
        # `[UNK]` stays: the reader should see that a word is missing.
        special = set(self.tokenizer.special_token_ids)
        return sorted(special - {self.tokenizer.unk_token_id})

    def _detokenize(self, token_ids, is_text):
        if token_ids.ndim > 1:
            return [
                self._detokenize(ids, mask)
                for ids, mask in zip(token_ids, is_text)
            ]
        return self.tokenizer.detokenize(token_ids[is_text].tolist())

    def detokenize_in_graph(self, token_ids, padding_mask):
        """`generate_postprocess` as TensorFlow graph code, for exports.

        Args:
            token_ids: int tensor of shape `(batch, length)`.
            padding_mask: bool tensor of shape `(batch, length)`.

        Returns:
            A string tensor of shape `(batch,)`.
        """
        is_text = tf.cast(padding_mask, tf.bool)
        for token_id in self._stripped_ids():
            is_text &= token_ids != token_id
        return self.tokenizer.detokenize(
            tf.ragged.boolean_mask(token_ids, is_text)
        )

    def renew_each_epoch(self, x, batch_size: int = 32):
        """Makes a dataset of pairs whose targets are masked anew in each pass.

        Args:
            x: A dict of strings, or a batched dataset of such dicts.
            batch_size: int. For `x` that is not a dataset. Defaults to `32`.

        Returns:
            A batched `tf.data.Dataset` of inputs of this layer.
        """
        return renew_each_epoch(x, batch_size)

    def _source(self, texts, sequence_length):
        token_ids = self.tokenizer(texts)
        length = sequence_length - 2
        if self.truncation_side == "left":
            token_ids = token_ids[:, -length:]
        else:
            token_ids = token_ids[:, :length]
        num_tokens = token_ids.row_lengths()
        rows = assemble_rows(
            token_ids.to_tensor(),
            num_tokens,
            num_tokens,
            self.tokenizer,
            sequence_length,
        )
        return rows["token_ids"], rows["padding_mask"]

    def _pad(self, token_ids, sequence_length):
        padded = token_ids.to_tensor(
            self.tokenizer.pad_token_id, shape=(None, sequence_length)
        )
        mask = tf.sequence_mask(
            token_ids.row_lengths(), sequence_length, dtype=tf.int32
        )
        return tf.cast(padded, tf.int32), mask


def _to_numpy(x):
    return np.asarray(keras.ops.convert_to_numpy(x))
