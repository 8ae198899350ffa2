import os

import keras
import keras_hub

from unilmv2_tf.layers import BlockAttentionBias
from unilmv2_tf.layers import RelativePositionBias
from unilmv2_tf.layers import TransformerBlock
from unilmv2_tf.layers import TransformerEmbedding
from unilmv2_tf.models.presets import PRESETS
from unilmv2_tf.models.presets import is_preset_location
from unilmv2_tf.models.presets import preset_config
from unilmv2_tf.models.row_encoding import RowEncoding


def kernel_initializer(stddev=0.02):
    """The initializer of all kernels and tables, as BERT's.

    Args:
        stddev: float. Defaults to `0.02`.

    Returns:
        A `keras.initializers.TruncatedNormal`.

    Example:

    >>> from unilmv2_tf.models.backbone import kernel_initializer
    >>> kernel_initializer().stddev
    0.02
    """
    return keras.initializers.TruncatedNormal(stddev=stddev)


@keras.saving.register_keras_serializable(package="unilmv2_tf")
class UniLMv2Backbone(RowEncoding, keras_hub.models.Backbone):
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
        num_heads: int. The number of attention heads; it divides `hidden_dim`.
        hidden_dim: int. The size of the hidden states.
        intermediate_dim: int. The inner size of the feed-forward networks.
        dropout: float. Dropout of embeddings, attention probabilities and
            residual branches. Defaults to `0.1`.
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
        approximate_gelu: bool. Whether the gelu is its tanh approximation, as
            in Google's BERT, KerasHub's and Model Garden's. Defaults to
            `False`: the exact one, as in the authors' code.
        **kwargs: see `keras_hub.models.Backbone`.

    Call arguments:
        inputs: a dict of int tensors of shape `(batch, length)`: `token_ids`,
            `segment_ids`, and `padding_mask`, which is 0 on padding.

    Returns:
        The last hidden states, of shape `(batch, length, hidden_dim)`.

    Raises:
        ValueError: if a size is not positive, or `num_heads` does not divide
            `hidden_dim`.

    Examples:

    >>> import numpy as np
    >>> from unilmv2_tf.models import UniLMv2Backbone
    >>> row = {
    ...     "token_ids": np.ones((1, 12), dtype="int32"),
    ...     "segment_ids": np.array([[0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 0, 0]]),
    ...     "padding_mask": np.array([[1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0]]),
    ... }

    A named size with random weights, and one of your own:

    >>> tiny = UniLMv2Backbone.from_preset(
    ...     "unilmv2_tiny", load_weights=False, vocabulary_size=99)
    >>> tuple(tiny(row).shape)
    (1, 12, 128)
    >>> backbone = UniLMv2Backbone(
    ...     vocabulary_size=99, num_layers=2, num_heads=4, hidden_dim=32,
    ...     intermediate_dim=64, max_sequence_length=64)
    >>> tuple(backbone(row).shape)
    (1, 12, 32)

    Reference:
        Bao et al., 2020, section 4.1 and table 7.
    """

    def __init__(
        self,
        vocabulary_size,
        num_layers,
        num_heads,
        hidden_dim,
        intermediate_dim,
        dropout=0.1,
        max_sequence_length=512,
        num_segments=2,
        num_relative_buckets=32,
        max_relative_distance=128,
        layer_norm_epsilon=1e-12,
        dtype=None,
        approximate_gelu=False,
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
            embeddings_initializer=kernel_initializer(),
            dtype=dtype,
            name="embeddings",
        )
        self.relative_position_bias = None
        if num_relative_buckets:
            self.relative_position_bias = RelativePositionBias(
                num_heads=num_heads,
                num_buckets=num_relative_buckets,
                max_distance=max_relative_distance,
                kernel_initializer=kernel_initializer(),
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
                kernel_initializer=kernel_initializer(),
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
        super().__init__(
            inputs=inputs,
            outputs=self.encode(**inputs),
            dtype=dtype,
            **kwargs,
        )

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

    def get_config(self):
        config = super().get_config()
        config.update(
            {
                "vocabulary_size": self.vocabulary_size,
                "num_layers": self.num_layers,
                "num_heads": self.num_heads,
                "hidden_dim": self.hidden_dim,
                "intermediate_dim": self.intermediate_dim,
                "dropout": self.dropout,
                "max_sequence_length": self.max_sequence_length,
                "num_segments": self.num_segments,
                "num_relative_buckets": self.num_relative_buckets,
                "max_relative_distance": self.max_relative_distance,
                "layer_norm_epsilon": self.layer_norm_epsilon,
                "approximate_gelu": self.approximate_gelu,
            }
        )
        return config

    @classmethod
    def from_preset(cls, preset, load_weights=True, **kwargs):
        """Makes a backbone from a built-in size, a folder or a handle.

        Args:
            preset: string. A built-in size (`unilmv2_tiny`, `unilmv2_mini`,
                `unilmv2_small`, `unilmv2_base`, `unilmv2_large`), which is a
                configuration and needs `load_weights=False`, or whatever
                `keras_hub` takes: a local preset folder, `hf://...`,
                `kaggle://...`.
            load_weights: bool. Whether to load the weights of the preset; if
                `False` they are initialized randomly. Defaults to `True`.
            **kwargs: backbone arguments that replace those of the preset.

        Returns:
            A `UniLMv2Backbone`.

        Raises:
            ValueError: if there is no such preset, or it has no weights.

        Example:

        >>> from unilmv2_tf.models import UniLMv2Backbone
        >>> tiny = UniLMv2Backbone.from_preset(
        ...     "unilmv2_tiny", load_weights=False)
        >>> tiny.count_params()
        4369472
        """
        preset = os.fspath(preset)
        if is_preset_location(preset):
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


UniLMv2Backbone.presets = {
    name: {"metadata": {"description": preset["description"]}}
    for name, preset in PRESETS.items()
}


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
