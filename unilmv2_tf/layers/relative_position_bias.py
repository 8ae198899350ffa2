import keras
import numpy as np
from keras import ops

from unilmv2_tf.layers.configured_layer import ConfiguredLayer


def relative_position_buckets(num_buckets, max_distance):
    """The bucket of each distance from `-max_distance` to `max_distance`.

    See Raffel et al., 2020, section 2.1: half of the buckets are for keys to
    the right of the query, half of each half for one distance each.
    """
    half = num_buckets // 2
    num_exact = half // 2
    num_shared = half - num_exact

    def bucket(distance):
        # num_exact + floor(num_shared * log(distance / num_exact)
        #                              / log(max_distance / num_exact)),
        # in integers: rounding of a logarithm cannot move an edge.
        if distance < num_exact:
            return distance
        return num_exact + sum(
            distance**num_shared * num_exact**step
            >= max_distance**step * num_exact**num_shared
            for step in range(1, num_shared)
        )

    left = np.array([bucket(x) for x in range(max_distance + 1)], "int32")
    right = left[1:] + half
    return np.concatenate([left[::-1], right])


@keras.saving.register_keras_serializable(package="unilmv2_tf")
class RelativePositionBias(ConfiguredLayer):
    """A learned attention bias for each head and each bucket of distances.

    One small table is shared by all layers of a model. It is expanded to all
    distances once a call and then gathered, so its gradient is a sum over a
    few hundred rows.

    Args:
        num_heads: int. The number of attention heads.
        num_buckets: int. The number of buckets, a multiple of 4. Defaults to
            `32`.
        max_distance: int. Distance beyond which all keys share a bucket.
            Defaults to `128`.
        kernel_initializer: The initializer of the table. Defaults to a
            truncated normal with a standard deviation of 0.02.
        **kwargs: See `keras.layers.Layer`.

    Call arguments:
        query_positions: Int tensor of shape `(batch, queries)`.
        key_positions: Int tensor of shape `(batch, keys)`.

    Returns:
        A tensor of shape `(batch, num_heads, queries, keys)`. Pass positions
        that are equal in all rows with a batch size of 1.

    Raises:
        ValueError: If `num_buckets` is not a multiple of 4, or `max_distance`
            is not above the distances that have a bucket of their own.

    Example:

    >>> import numpy as np
    >>> from unilmv2_tf.layers import RelativePositionBias
    >>> bias = RelativePositionBias(num_heads=4)
    >>> positions = np.arange(10)[None]
    >>> tuple(bias(positions, positions).shape)
    (1, 4, 10, 10)

    Reference:
        Bao et al., 2020, section 4.1.
    """

    def __init__(
        self,
        num_heads: int,
        num_buckets: int = 32,
        max_distance: int = 128,
        kernel_initializer=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if num_buckets < 4 or num_buckets % 4:
            raise ValueError(
                "`num_buckets` must be a positive multiple of 4: half of the "
                "buckets are for keys to the right, half of each half for "
                f"exact distances. Received: num_buckets={num_buckets}"
            )
        if max_distance <= num_buckets // 4:
            raise ValueError(
                "`max_distance` must be above `num_buckets / 4`, the distances "
                "that have a bucket of their own. Received: "
                f"max_distance={max_distance}, num_buckets={num_buckets}"
            )
        self.num_heads = num_heads
        self.num_buckets = num_buckets
        self.max_distance = max_distance
        self.kernel_initializer = keras.initializers.get(
            kernel_initializer or keras.initializers.TruncatedNormal(0.02)
        )
        self._buckets = relative_position_buckets(num_buckets, max_distance)

    def build(self, *input_shapes):
        self.table = self.add_weight(
            name="table",
            shape=(self.num_buckets, self.num_heads),
            initializer=self.kernel_initializer,
        )

    def call(self, query_positions, key_positions):
        query_positions = ops.cast(query_positions, "int32")
        key_positions = ops.cast(key_positions, "int32")
        # LiteRT converts `expand_dims`, but not an index of `None` where
        # shapes are unknown.
        distance = ops.expand_dims(key_positions, axis=1) - ops.expand_dims(
            query_positions, axis=2
        )
        distance = ops.clip(distance, -self.max_distance, self.max_distance)
        table = ops.cast(self.table, self.compute_dtype)
        # A product with a constant one-hot matrix keeps the table's gradient
        # dense, and is exact: each row has a single 1.
        one_hot = np.eye(self.num_buckets, dtype="float32")[self._buckets]
        bias_by_distance = ops.matmul(
            ops.cast(one_hot, self.compute_dtype), table
        )
        bias = ops.take(bias_by_distance, distance + self.max_distance, axis=0)
        return ops.transpose(bias, (0, 3, 1, 2))

    def compute_output_shape(self, query_positions_shape, key_positions_shape):
        return (
            query_positions_shape[0],
            self.num_heads,
            query_positions_shape[1],
            key_positions_shape[1],
        )
