import inspect
import os

import keras
import keras_hub
from keras import ops

from unilmv2_tf.layers.block_attention import QueryStates
from unilmv2_tf.layers.block_attention_bias import BlockAttentionBias
from unilmv2_tf.layers.embeddings import TransformerEmbedding
from unilmv2_tf.layers.relative_position_bias import RelativePositionBias
from unilmv2_tf.layers.transformer_block import TransformerBlock
from unilmv2_tf.models.presets import PRESET_METADATA
from unilmv2_tf.models.presets import hub_errors
from unilmv2_tf.models.presets import is_preset_location
from unilmv2_tf.models.presets import preset_config


def unilmv2_kernel_initializer(stddev=0.02):
    return keras.initializers.TruncatedNormal(stddev=stddev)


@keras.saving.register_keras_serializable(package="unilmv2_tf")
class UniLMv2Backbone(keras_hub.models.Backbone):
    """A UniLMv2 encoder network.

    This is the Transformer of "UniLMv2: Pseudo-Masked Language Models for
    Unified Language Model Pre-Training" (https://arxiv.org/abs/2002.12804): a
    post-LayerNorm BERT with a relative position bias that all layers share.
    It includes the embeddings and the transformer layers, but not the language
    model head. Called as a model it is a bidirectional encoder; the tasks run
    the same layers over rows that also hold revealed tokens and pseudo masks.

    Args:
        vocabulary_size: int. The size of the token vocabulary.
        num_layers: int. The number of transformer layers.
        num_heads: int. The number of attention heads. It must divide
            `hidden_dim`.
        hidden_dim: int. The size of the hidden states.
        intermediate_dim: int. The inner size of the feed-forward networks.
        dropout: float. The dropout rate of embeddings, attention probabilities
            and residual branches. Defaults to `0.1`.
        max_sequence_length: int. The number of positions. Defaults to `512`.
        num_segments: int. The number of segment ids. Defaults to `2`.
        num_relative_buckets: int. The number of buckets of the relative
            position bias, 0 for a model without one (BERT, and the paper's
            "- rel pos" rows). Defaults to `32`.
        max_relative_distance: int. Distance beyond which all keys share a
            bucket. Defaults to `128`.
        layer_norm_epsilon: float. Defaults to `1e-12`.
        dtype: string or `keras.DTypePolicy` for computations and weights.
            Defaults to `None`, the global policy.
        approximate_gelu: bool. Whether to use the tanh approximation of the
            gelu, as Google's, KerasHub's and Model Garden's BERT do. Defaults
            to `False`, the exact gelu of the authors' code.
        **kwargs: See `keras_hub.models.Backbone`.

    Call arguments:
        inputs: A dict of int tensors of shape `(batch, length)`: `token_ids`,
            `segment_ids`, and `padding_mask`, which is 0 on padding.

    Returns:
        The last hidden states, of shape `(batch, length, hidden_dim)`.

    Raises:
        ValueError: If a size is not positive, or `num_heads` does not divide
            `hidden_dim`.

    Examples:

    >>> import numpy as np
    >>> from unilmv2_tf.models import UniLMv2Backbone
    >>> row = {
    ...     "token_ids": np.ones((1, 12), dtype="int32"),
    ...     "segment_ids": np.array([[0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 0, 0]]),
    ...     "padding_mask": np.array([[1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0]]),
    ... }

    A named size with random weights, and a custom configuration:

    >>> tiny = UniLMv2Backbone.from_preset(
    ...     "unilmv2_tiny", load_weights=False, vocabulary_size=99)
    >>> tuple(tiny(row).shape)
    (1, 12, 128)
    >>> backbone = UniLMv2Backbone(99, 2, 4, 32, 64, max_sequence_length=64)
    >>> tuple(backbone(row).shape)
    (1, 12, 32)

    Reference:
        Bao et al., 2020, section 4.1 and table 7.
    """

    presets = PRESET_METADATA

    def __init__(
        self,
        vocabulary_size: int,
        num_layers: int,
        num_heads: int,
        hidden_dim: int,
        intermediate_dim: int,
        dropout: float = 0.1,
        max_sequence_length: int = 512,
        num_segments: int = 2,
        num_relative_buckets: int = 32,
        max_relative_distance: int = 128,
        layer_norm_epsilon: float = 1e-12,
        dtype=None,
        approximate_gelu: bool = False,
        **kwargs,
    ):
        _check_sizes(
            vocabulary_size=vocabulary_size,
            num_layers=num_layers,
            num_heads=num_heads,
            hidden_dim=hidden_dim,
            intermediate_dim=intermediate_dim,
            max_sequence_length=max_sequence_length,
            num_segments=num_segments,
        )

        # === Layers ===
        self.embeddings = TransformerEmbedding(
            vocabulary_size=vocabulary_size,
            hidden_dim=hidden_dim,
            max_sequence_length=max_sequence_length,
            num_segments=num_segments,
            dropout=dropout,
            layer_norm_epsilon=layer_norm_epsilon,
            embeddings_initializer=unilmv2_kernel_initializer(),
            dtype=dtype,
            name="embeddings",
        )
        self.relative_position_bias = None
        if num_relative_buckets:
            self.relative_position_bias = RelativePositionBias(
                num_heads=num_heads,
                num_buckets=num_relative_buckets,
                max_distance=max_relative_distance,
                dtype=dtype,
                name="relative_position_bias",
            )
        self.attention_bias = BlockAttentionBias(
            self.relative_position_bias, dtype=dtype, name="attention_bias"
        )
        self.transformer_layers = [
            TransformerBlock(
                num_heads=num_heads,
                hidden_dim=hidden_dim,
                intermediate_dim=intermediate_dim,
                dropout=dropout,
                layer_norm_epsilon=layer_norm_epsilon,
                kernel_initializer=unilmv2_kernel_initializer(),
                approximate_gelu=approximate_gelu,
                dtype=dtype,
                name=f"transformer_layer_{i}",
            )
            for i in range(num_layers)
        ]

        # === Functional Model ===
        inputs = {
            name: keras.Input(shape=(None,), dtype="int32", name=name)
            for name in ("token_ids", "segment_ids", "padding_mask")
        }
        x = self.embeddings(inputs["token_ids"], inputs["segment_ids"])
        bias = self.attention_bias(inputs["padding_mask"])
        for layer in self.transformer_layers:
            x = layer(x, bias)
        super().__init__(inputs=inputs, outputs=x, dtype=dtype, **kwargs)

        # === Config ===
        self.vocabulary_size = vocabulary_size
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.hidden_dim = hidden_dim
        self.intermediate_dim = intermediate_dim
        self.dropout = dropout
        self.max_sequence_length = max_sequence_length
        self.num_segments = num_segments
        self.num_relative_buckets = num_relative_buckets
        self.max_relative_distance = max_relative_distance
        self.layer_norm_epsilon = layer_norm_epsilon
        self.approximate_gelu = approximate_gelu

    @property
    def token_embedding(self):
        """The `keras.layers.ReversibleEmbedding` of the tokens."""
        return self.embeddings.token_embedding

    def encode(
        self,
        token_ids,
        segment_ids,
        padding_mask,
        position_ids=None,
        query_indices=None,
    ):
        """Encodes text, optionally with given positions and for some tokens.

        Args:
            token_ids, segment_ids: Int tensors of shape `(batch, n)`.
            padding_mask: Int tensor of shape `(batch, n)`, 0 on padding.
            position_ids: Optional int tensor of shape `(batch, n)`. Defaults
                to `0 .. n - 1`.
            query_indices: Optional int tensor of shape `(batch, k)`, the
                tokens that the last layer computes. Defaults to all.

        Returns:
            The last hidden states, of shape `(batch, n, hidden_dim)`, or
            `(batch, k, hidden_dim)` with `query_indices`.
        """
        query_positions = query_indices
        if query_indices is not None and position_ids is not None:
            query_positions = ops.take_along_axis(
                position_ids, query_indices, axis=1
            )
        hidden_states = self.embeddings(
            token_ids, segment_ids, position_ids=position_ids
        )
        bias = self._new_attention_bias()(
            padding_mask,
            context_positions=position_ids,
            query_positions=query_positions,
        )
        return self.run_layers(hidden_states, bias, query_indices)

    def encode_blocks(self, *, query_indices=None, predicted_only=False, **row):
        """Encodes rows of `[context | revealed | pseudo]` in one pass.

            text       x1  x2 [M]  x4 [M]      predicted: x5 first, then x3

            block      context             revealed  pseudo
            token ids  x1  x2 [M]  x4 [M]  x3  x5    [P] [P]
            positions   0   1   2   3   4   2   4      2   4
            steps       0   0   0   0   0   2   1     -2  -1

        Args:
            token_ids, segment_ids: Int tensors of shape `(batch, n)`, the
                context.
            padding_mask: Int tensor of shape `(batch, n)`, 0 on padding.
            revealed_token_ids, pseudo_token_ids: Int tensors of shape
                `(batch, m)`, the predicted tokens and the pseudo masks.
            target_segment_ids, target_positions: Int tensors of shape
                `(batch, m)`, of both.
            steps: Int tensor of shape `(batch, m)`, the factorization step of
                each predicted token, 0 in unused slots.
            predicted_only: bool. Whether the last layer computes only the
                pseudo masks and the tokens at `query_indices`. Defaults to
                `False`.
            query_indices: Optional int tensor of shape `(batch, k)`, context
                tokens.

        Returns:
            The last hidden states, of shape `(batch, n + 2m, hidden_dim)`, or
            `(batch, k + m, hidden_dim)` with `predicted_only`.

        Reference:
            Bao et al., 2020, section 3.2, figure 5.
        """
        hidden_states, bias = self.embed_blocks(
            query_indices=query_indices, **row
        )
        if not predicted_only:
            return self.run_layers(hidden_states, bias)
        return self.run_layers(hidden_states, bias, query_indices, row["steps"])

    def embed_blocks(
        self,
        token_ids,
        segment_ids,
        padding_mask,
        revealed_token_ids,
        pseudo_token_ids,
        target_segment_ids,
        target_positions,
        steps,
        query_indices=None,
    ):
        """The embeddings and the attention bias of `encode_blocks`."""

        def row(*blocks):
            return ops.concatenate(
                [ops.cast(block, "int32") for block in blocks], axis=1
            )

        positions = ops.cumsum(ops.ones_like(token_ids), axis=1) - 1
        hidden_states = self.embeddings(
            row(token_ids, revealed_token_ids, pseudo_token_ids),
            row(segment_ids, target_segment_ids, target_segment_ids),
            position_ids=row(positions, target_positions, target_positions),
        )
        bias = self._new_attention_bias()(
            padding_mask,
            steps=steps,
            target_positions=target_positions,
            query_positions=query_indices,
        )
        return hidden_states, bias

    def run_layers(
        self, hidden_states, bias, query_indices=None, pseudo_steps=None
    ):
        """Applies the layers; the last computes only the queries, if given."""
        *layers, last = self.transformer_layers
        for layer in layers:
            hidden_states = layer(hidden_states, bias)
        if query_indices is None and pseudo_steps is None:
            return last(hidden_states, bias)
        queries = QueryStates()(hidden_states, query_indices, pseudo_steps)
        return last(hidden_states, bias, query_states=queries)

    def _new_attention_bias(self):
        # Not `self.attention_bias`: a layer that is called twice in a Keras
        # graph must return the same number of tensors each time.
        return BlockAttentionBias(
            self.relative_position_bias,
            dtype=self.attention_bias.dtype_policy,
            name="block_attention_bias",
        )

    def get_config(self):
        names = inspect.signature(UniLMv2Backbone).parameters
        sizes = {
            name: getattr(self, name)
            for name in names
            if name not in ("dtype", "kwargs")
        }
        return {**super().get_config(), **sizes}

    @classmethod
    def from_preset(
        cls, preset: str | os.PathLike, load_weights: bool = True, **kwargs
    ) -> "UniLMv2Backbone":
        """Creates a backbone from a built-in size, a folder or a handle.

        Args:
            preset: string. A built-in size (`unilmv2_tiny`, `unilmv2_mini`,
                `unilmv2_small`, `unilmv2_base`, `unilmv2_large`), which is a
                configuration and needs `load_weights=False`; a local preset
                folder; or a handle of KerasHub: `hf://...`, `kaggle://...`.
            load_weights: bool. Whether to load the weights of the preset. If
                `False`, they are initialized randomly. Defaults to `True`.
            **kwargs: Arguments of the backbone that replace those of the
                preset.

        Returns:
            A `UniLMv2Backbone`.

        Raises:
            ValueError: If there is no such preset, or it has no weights.

        Example:

        >>> from unilmv2_tf.models import UniLMv2Backbone
        >>> tiny = UniLMv2Backbone.from_preset(
        ...     "unilmv2_tiny", load_weights=False)
        >>> tiny.count_params()
        4369472
        """
        preset = os.fspath(preset)
        if is_preset_location(preset):
            with hub_errors(preset):
                return super().from_preset(
                    preset, load_weights=load_weights, **kwargs
                )
        config = preset_config(preset, **kwargs)
        if load_weights:
            raise ValueError(
                "A built-in size is a configuration and has no weights. "
                f"Received: preset={preset}, load_weights=True. Pass "
                "`load_weights=False` for random weights, or a preset with "
                "weights: a folder that `unilmv2 pretrain`, `unilmv2 convert` "
                "or `save_to_preset` wrote, or a handle such as `hf://...`."
            )
        return cls(**config)


def _check_sizes(**sizes):
    for name, value in sizes.items():
        if not isinstance(value, int) or value < 1:
            raise ValueError(
                f"`{name}` must be a positive integer. Received: {name}={value}"
            )
    if sizes["hidden_dim"] % sizes["num_heads"]:
        raise ValueError(
            "`hidden_dim` must be divisible by `num_heads`. Received: "
            f"hidden_dim={sizes['hidden_dim']}, "
            f"num_heads={sizes['num_heads']}"
        )
