import keras
import keras_hub
from keras import ops

from unilmv2_tf.models.batched_generation import BatchedGeneration
from unilmv2_tf.models.batched_generation import check_lengths
from unilmv2_tf.models.cached_decoder import CachedDecoder
from unilmv2_tf.models.language_model import LanguageModelTask
from unilmv2_tf.models.losses import SmoothedCrossEntropy
from unilmv2_tf.preprocessing.seq_2_seq_lm_preprocessor import (
    UniLMv2Seq2SeqLMPreprocessor,
)
from unilmv2_tf.samplers import BeamSearchSampler
from unilmv2_tf.samplers import get_sampler


@keras.saving.register_keras_serializable(package="unilmv2_tf")
class UniLMv2Seq2SeqLM(
    BatchedGeneration, LanguageModelTask, keras_hub.models.Seq2SeqLM
):
    """Generates text from text: summaries, questions, names.

    The source is encoded bidirectionally. A target token is predicted at a
    pseudo mask that sees the source and the target tokens before it; the same
    rule trains (every target token in one pass) and decodes (one after the
    other, with cached keys and values).

    Args:
        backbone: a `UniLMv2Backbone`.
        preprocessor: a `UniLMv2Seq2SeqLMPreprocessor`, or `None` to feed
            integers. Defaults to `None`.
        pseudo_token_id: int. The id of the pseudo mask `[P]`. Defaults to the
            one of the preprocessor's tokenizer; without a preprocessor
            `generate()` needs it.
        source_segment_id: int. The segment id of all source tokens. Defaults
            to `0`.
        target_segment_id: int. The segment id of all target tokens. Defaults
            to `1`.
        sampler: a `keras_hub.samplers.Sampler` or its name, for `generate()`
            until `compile` gives another one. The one in use is saved with
            the task. Defaults to `None`: `BeamSearchSampler()`.
        **kwargs: see `keras_hub.models.Task`.

    Call arguments:
        inputs: a dict of int tensors. `encoder_token_ids` and
            `encoder_padding_mask` of shape `(batch, n)`: the source.
            `decoder_token_ids`, `decoder_padding_mask`, `pseudo_token_ids` and
            `decoder_steps` of shape `(batch, m)`: the target as it is read,
            what stands in the pseudo slots, and the factorization step of each
            token, 1, 2, 3, ... from left to right, and 0 on padding.

    Returns:
        Logits of shape `(batch, m, vocabulary_size)`. The token at a slot is
        predicted by the logits of the same slot: nothing is shifted.

    Raises:
        ValueError: if a segment id is outside of the backbone's table, or the
            preprocessor's lengths together exceed its positions.

    Example:

    >>> from unilmv2_tf.models import UniLMv2Backbone, UniLMv2Seq2SeqLM
    >>> from unilmv2_tf.preprocessing import UniLMv2Seq2SeqLMPreprocessor
    >>> from unilmv2_tf.preprocessing import UniLMv2Tokenizer
    >>> tokenizer = UniLMv2Tokenizer(
    ...     ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "quick",
    ...      "brown", "fox", "jumped", "."])
    >>> seq_2_seq_lm = UniLMv2Seq2SeqLM(
    ...     UniLMv2Backbone.from_preset(
    ...         "unilmv2_tiny", load_weights=False,
    ...         vocabulary_size=tokenizer.vocabulary_size()),
    ...     UniLMv2Seq2SeqLMPreprocessor(
    ...         tokenizer, encoder_sequence_length=16,
    ...         decoder_sequence_length=8))
    >>> pairs = {"encoder_text": ["The quick brown fox jumped."],
    ...          "decoder_text": ["The fox jumped."]}
    >>> history = seq_2_seq_lm.fit(pairs, batch_size=1, verbose=0)
    >>> type(seq_2_seq_lm.generate("The quick brown fox jumped."))
    <class 'str'>

    Reference:
        Bao et al., 2020, section 3.4.
    """

    preprocessor_cls = UniLMv2Seq2SeqLMPreprocessor

    def __init__(
        self,
        backbone,
        preprocessor=None,
        pseudo_token_id=None,
        source_segment_id=0,
        target_segment_id=1,
        sampler=None,
        **kwargs,
    ):
        for name, value in (
            ("source_segment_id", source_segment_id),
            ("target_segment_id", target_segment_id),
        ):
            if not 0 <= value < backbone.num_segments:
                raise ValueError(
                    f"`{name}` must be in [0, {backbone.num_segments}), the "
                    "segments of the backbone. Received: "
                    f"{name}={value}"
                )
        if preprocessor is not None:
            check_lengths(
                preprocessor.encoder_sequence_length,
                preprocessor.decoder_sequence_length,
                backbone.max_sequence_length,
            )
        self.source_segment_id = source_segment_id
        self.target_segment_id = target_segment_id
        self.sampler = (
            BeamSearchSampler() if sampler is None else get_sampler(sampler)
        )
        super().__init__(backbone, preprocessor, pseudo_token_id, **kwargs)

    def make_graph(self, backbone):
        inputs = {
            name: keras.Input(shape=(None,), dtype="int32", name=name)
            for name in (
                "encoder_token_ids",
                "encoder_padding_mask",
                "decoder_token_ids",
                "decoder_padding_mask",
                "pseudo_token_ids",
                "decoder_steps",
            )
        }
        source = inputs["encoder_token_ids"]
        target = inputs["decoder_token_ids"]
        is_target = inputs["decoder_padding_mask"]
        # The target goes on at the real length of each row's source.
        source_length = ops.sum(
            inputs["encoder_padding_mask"], axis=1, keepdims=True
        )
        target_positions = source_length + ops.cumsum(is_target, axis=1) - 1
        steps = inputs["decoder_steps"] * is_target
        hidden_states = backbone.encode_blocks(
            token_ids=source,
            segment_ids=ops.full_like(source, self.source_segment_id),
            padding_mask=inputs["encoder_padding_mask"],
            revealed_token_ids=target,
            pseudo_token_ids=inputs["pseudo_token_ids"],
            target_segment_ids=ops.full_like(target, self.target_segment_id),
            target_positions=target_positions * is_target,
            steps=steps,
            predicted_only=True,
        )
        return inputs, self.language_model_head(hidden_states)

    @classmethod
    def default_preprocessor(cls, tokenizer, max_sequence_length):
        target_length = min(48, max_sequence_length // 4)
        return cls.preprocessor_cls(
            tokenizer,
            encoder_sequence_length=min(
                464, max_sequence_length - target_length
            ),
            decoder_sequence_length=target_length,
        )

    def compile(
        self,
        optimizer="auto",
        loss="auto",
        *,
        weighted_metrics="auto",
        sampler="auto",
        label_smoothing=0.1,
        **kwargs,
    ):
        """Configures training and generation.

        Args:
            optimizer: `"auto"` for AdamW with a learning rate of 7e-5, or an
                optimizer. Defaults to `"auto"`.
            loss: `"auto"` for `SmoothedCrossEntropy(label_smoothing)`, or a
                loss. Defaults to `"auto"`.
            weighted_metrics: `"auto"` for the accuracy of the target tokens.
                Defaults to `"auto"`.
            sampler: `"auto"` for the one that there is, or any
                `keras_hub.samplers.Sampler` or its name. Defaults to `"auto"`.
            label_smoothing: float. Used if `loss` is `"auto"`. Defaults to
                `0.1`.
            **kwargs: see `keras.Model.compile`.
        """
        if optimizer == "auto":
            optimizer = keras.optimizers.AdamW(7e-5, weight_decay=0.01)
        if loss == "auto":
            loss = SmoothedCrossEntropy(label_smoothing)
        if weighted_metrics == "auto":
            weighted_metrics = [
                keras.metrics.SparseCategoricalAccuracy("accuracy")
            ]
        super().compile(
            optimizer=optimizer,
            loss=loss,
            weighted_metrics=weighted_metrics,
            sampler=self.sampler if sampler == "auto" else get_sampler(sampler),
            **kwargs,
        )

    def generate_step(self, inputs, stop_token_ids=None, kernels=None):
        """Generates for one batch of integers; compilable.

        Args:
            inputs: a dict of int tensors: `encoder_token_ids` and
                `encoder_padding_mask` of shape `(batch, n)`;
                `decoder_token_ids` and `decoder_padding_mask` of shape
                `(batch, m)`: where the mask is 1, a prefix that the target
                must begin with. `m` is the longest target.
            stop_token_ids: tuple of ids that end a target, or `None`.
            kernels: list of tensors that decoding takes in the place of its
                layers' kernels, or `None`; see
                `unilmv2_tf.models.decoding_weights.DecodingWeights`. Defaults
                to `None`.

        Returns:
            A dict of `decoder_token_ids` and `decoder_padding_mask` (1 up to
            and including the stop token), of shape `(batch, m)`, and whatever
            else the sampler returns.

        Raises:
            ValueError: if there is no `pseudo_token_id`, or the lengths exceed
                the position table.
        """
        if self.pseudo_token_id is None:
            raise ValueError(
                "`generate()` needs `pseudo_token_id` or a `preprocessor`, "
                "given to the constructor. Received: pseudo_token_id=None"
            )
        source = ops.convert_to_tensor(inputs["encoder_token_ids"])
        prefix = ops.convert_to_tensor(inputs["decoder_token_ids"])
        prefix_mask = ops.cast(inputs["decoder_padding_mask"], "bool")
        max_length = ops.shape(prefix)[1]
        check_lengths(
            ops.shape(source)[1], max_length, self.backbone.max_sequence_length
        )
        decoder = CachedDecoder(
            self,
            source,
            inputs["encoder_padding_mask"],
            max_length,
            in_place=not self.jit_compile,
            kernels=kernels,
        )
        # A prefix is forced token by token, so that rows may have prefixes of
        # different lengths.
        outputs = self.sampler(
            next=decoder,
            prompt=prefix,
            cache=decoder.initial_cache(),
            index=0,
            mask=prefix_mask,
            stop_token_ids=stop_token_ids,
            model=self,
        )
        if not isinstance(outputs, dict):
            outputs = {"decoder_token_ids": outputs}
        token_ids = outputs["decoder_token_ids"]
        is_text = self._up_to_stop(token_ids, prefix_mask, stop_token_ids)
        if len(token_ids.shape) == 3:
            prefix = prefix[:, None]
        # Where nothing was generated, the caller's padding stands.
        token_ids = ops.where(is_text, token_ids, prefix)
        return {
            **outputs,
            "decoder_token_ids": token_ids,
            "decoder_padding_mask": is_text,
        }

    def _up_to_stop(self, token_ids, prefix_mask, stop_token_ids):
        if stop_token_ids is None:
            return ops.ones_like(token_ids, dtype="bool")
        if len(token_ids.shape) == 3:
            prefix_mask = prefix_mask[:, None]
        is_stop = ops.zeros_like(token_ids, dtype="bool")
        for stop_token_id in stop_token_ids:
            is_stop = ops.logical_or(is_stop, token_ids == stop_token_id)
        is_stop = ops.logical_and(is_stop, ops.logical_not(prefix_mask))
        num_stops = ops.cumsum(ops.cast(is_stop, "int32"), axis=-1)
        return num_stops - ops.cast(is_stop, "int32") == 0

    def get_config(self):
        config = super().get_config()
        config["source_segment_id"] = self.source_segment_id
        config["target_segment_id"] = self.target_segment_id
        config["sampler"] = keras_hub.samplers.serialize(self.sampler)
        return config
