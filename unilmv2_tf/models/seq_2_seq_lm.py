import keras
import keras_hub
from keras import ops

from unilmv2_tf.models.backbone import UniLMv2Backbone
from unilmv2_tf.models.batched_generation import BatchedGeneration
from unilmv2_tf.models.batched_generation import check_lengths
from unilmv2_tf.models.cached_decoder import CachedDecoder
from unilmv2_tf.models.language_model import LanguageModelTask
from unilmv2_tf.models.language_model import get_pseudo_token_id
from unilmv2_tf.models.language_model import make_language_model_head
from unilmv2_tf.models.losses import SmoothedCrossEntropy
from unilmv2_tf.preprocessing.seq_2_seq_lm_preprocessor import (
    UniLMv2Seq2SeqLMPreprocessor,
)
from unilmv2_tf.samplers import get_sampler


@keras.saving.register_keras_serializable(package="unilmv2_tf")
class UniLMv2Seq2SeqLM(
    BatchedGeneration, LanguageModelTask, keras_hub.models.Seq2SeqLM
):
    """Generates text from text: summaries, questions, names.

    The source is encoded bidirectionally. A target token is predicted at a
    pseudo mask that sees the source and the target tokens before it. The same
    rule is used in training (all target tokens in one pass) and in decoding
    (one after the other, with cached keys and values).

    Args:
        backbone: A `UniLMv2Backbone`.
        preprocessor: A `UniLMv2Seq2SeqLMPreprocessor`, or `None` for integer
            inputs. Defaults to `None`.
        pseudo_token_id: int. The id of the pseudo mask `[P]`. `generate()`
            requires it without a preprocessor. Defaults to that of the
            preprocessor's tokenizer.
        source_segment_id: int. The segment id of all source tokens. Defaults
            to `0`.
        target_segment_id: int. The segment id of all target tokens. Defaults
            to `1`.
        sampler: A `keras_hub.samplers.Sampler` or its name, used by
            `generate()` unless `compile` sets another one, and saved with the
            task. `"beam"` is `BeamSearchSampler`. Defaults to `None`:
            `BeamSearchSampler()`.
        **kwargs: See `keras_hub.models.Task`.

    Call arguments:
        inputs: A dict of int tensors. `encoder_token_ids` and
            `encoder_padding_mask` of shape `(batch, n)`: the source.
            `decoder_token_ids`, `decoder_padding_mask`, `pseudo_token_ids` and
            `decoder_steps` of shape `(batch, m)`: the target tokens, the ids
            in the pseudo slots, and the factorization step of each token, 1,
            2, 3, ... from left to right, and 0 on padding.

    Returns:
        Logits of shape `(batch, m, vocabulary_size)`. The logits of a slot
        predict the token of the same slot: nothing is shifted.

    Raises:
        ValueError: If a segment id is outside of the backbone's table, or the
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
        backbone: UniLMv2Backbone,
        preprocessor: UniLMv2Seq2SeqLMPreprocessor | None = None,
        pseudo_token_id: int | None = None,
        source_segment_id: int = 0,
        target_segment_id: int = 1,
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
                    f"segments of the backbone. Received: {name}={value}"
                )
        if preprocessor is not None:
            check_lengths(
                preprocessor.encoder_sequence_length,
                preprocessor.decoder_sequence_length,
                backbone.max_sequence_length,
            )

        # === Layers ===
        self.backbone = backbone
        self.preprocessor = preprocessor
        self.language_model_head = make_language_model_head(backbone)
        self.sampler = get_sampler("beam" if sampler is None else sampler)

        # === Functional Model ===
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
        # Target positions continue at the real length of each row's source.
        source_length = ops.sum(
            inputs["encoder_padding_mask"], axis=1, keepdims=True
        )
        target_positions = source_length + ops.cumsum(is_target, axis=1) - 1
        hidden_states = backbone.encode_blocks(
            token_ids=source,
            segment_ids=ops.full_like(source, source_segment_id),
            padding_mask=inputs["encoder_padding_mask"],
            revealed_token_ids=target,
            pseudo_token_ids=inputs["pseudo_token_ids"],
            target_segment_ids=ops.full_like(target, target_segment_id),
            target_positions=target_positions * is_target,
            steps=inputs["decoder_steps"] * is_target,
            predicted_only=True,
        )
        outputs = self.language_model_head(hidden_states)
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)

        # === Config ===
        self.pseudo_token_id = get_pseudo_token_id(
            pseudo_token_id, preprocessor
        )
        self.source_segment_id = source_segment_id
        self.target_segment_id = target_segment_id

    @classmethod
    def _arguments_from(cls, saved, kwargs, backbone_kwargs):
        arguments = super()._arguments_from(saved, kwargs, backbone_kwargs)
        if saved.backbone.num_segments == 6:
            # As UniLM 1 was trained.
            return {"source_segment_id": 4, "target_segment_id": 5, **arguments}
        return arguments

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

    def training_defaults(self):
        """AdamW, and the accuracy of the target tokens."""
        return {
            "optimizer": keras.optimizers.AdamW(7e-5, weight_decay=0.01),
            "weighted_metrics": [
                keras.metrics.SparseCategoricalAccuracy("accuracy")
            ],
        }

    def compile(
        self,
        optimizer="auto",
        loss="auto",
        *,
        sampler="auto",
        label_smoothing: float = 0.1,
        **kwargs,
    ):
        """Configures training and generation.

        Args:
            optimizer: `"auto"` for AdamW with a learning rate of 7e-5, or an
                optimizer. Defaults to `"auto"`.
            loss: `"auto"` for `SmoothedCrossEntropy(label_smoothing)`, or a
                loss. Defaults to `"auto"`.
            sampler: `"auto"` for the current one, or any
                `keras_hub.samplers.Sampler` or its name; `"beam"` is
                `BeamSearchSampler`. Defaults to `"auto"`.
            label_smoothing: float. Used if `loss` is `"auto"`. Defaults to
                `0.1`.
            **kwargs: See `keras.Model.compile`. By default the accuracy of the
                target tokens is measured.
        """
        if loss == "auto":
            loss = SmoothedCrossEntropy(label_smoothing)
        sampler = self.sampler if sampler == "auto" else get_sampler(sampler)
        super().compile(optimizer, loss, sampler=sampler, **kwargs)

    def generate_step(self, inputs, stop_token_ids=None, kernels=None):
        """Generates for one batch of integers. It can be compiled.

        Args:
            inputs: A dict of int tensors: `encoder_token_ids` and
                `encoder_padding_mask` of shape `(batch, n)`;
                `decoder_token_ids` and `decoder_padding_mask` of shape
                `(batch, m)`, where the mask is 1 on a prefix that the target
                must begin with. `m` is the maximum length of a target.
            stop_token_ids: Tuple of ids that end a target, or `None`.
            kernels: List of tensors to decode with instead of the layers'
                kernels, see `DecodingWeights`. Defaults to `None`.

        Returns:
            A dict of `decoder_token_ids` and `decoder_padding_mask` (1 up to
            and including the stop token), of shape `(batch, m)`, and the other
            outputs of the sampler.

        Raises:
            ValueError: If there is no `pseudo_token_id`, or the lengths exceed
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
        # The sampler forces the prefix token by token, so rows may have
        # prefixes of different lengths.
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
        # The caller's padding stays behind the text.
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


def target_attention(task, source_token_ids, target_token_ids, layer=-1):
    """Attention of the pseudo masks that predict the tokens of a target.

    Keys are the source (n), the target (m) and the pseudo masks (m). Returns
    probabilities of shape `(num_heads, m, n + 2m)`. `layer` may be negative.
    """
    layers = task.backbone.transformer_layers
    if not -len(layers) <= layer < len(layers):
        raise ValueError(
            f"`layer` must be in [{-len(layers)}, {len(layers)}), the layers "
            f"of the backbone. Received: layer={layer}"
        )
    if not len(source_token_ids) or not len(target_token_ids):
        raise ValueError(
            "Source and target must have at least one token each. Received: "
            f"{len(source_token_ids)} and {len(target_token_ids)} tokens"
        )
    source = ops.convert_to_tensor([source_token_ids], dtype="int32")
    target = ops.convert_to_tensor([target_token_ids], dtype="int32")
    slots = ops.arange(len(target_token_ids), dtype="int32")[None]
    hidden_states, bias = task.backbone.embed_blocks(
        token_ids=source,
        segment_ids=ops.full_like(source, task.source_segment_id),
        padding_mask=ops.ones_like(source),
        revealed_token_ids=target,
        pseudo_token_ids=ops.full_like(target, task.pseudo_token_id),
        target_segment_ids=ops.full_like(target, task.target_segment_id),
        target_positions=len(source_token_ids) + slots,
        steps=slots + 1,
    )
    for before in layers[: layer % len(layers)]:
        hidden_states = before(hidden_states, bias)
    attention = layers[layer].self_attention
    return attention.probabilities(hidden_states, bias)[-1][0]
