import keras
from keras import ops


@keras.saving.register_keras_serializable(package="unilmv2_tf")
class GatherPositions(keras.layers.Layer):
    """Picks the hidden states at given positions of each row.

    Call arguments:
        hidden_states: tensor of shape `(batch, length, hidden_dim)`.
        positions: int tensor of shape `(batch, predictions)`.

    Returns:
        A tensor of shape `(batch, predictions, hidden_dim)`.

    Example:

    >>> import numpy as np
    >>> from unilmv2_tf.layers import GatherPositions
    >>> x = np.arange(12, dtype="float32").reshape(2, 3, 2)
    >>> np.array(GatherPositions()(x, np.array([[2], [0]]))).tolist()
    [[[4.0, 5.0]], [[6.0, 7.0]]]
    """

    def call(self, hidden_states, positions):
        # Rows of one flat table: `take_along_axis` would look up each number
        # of a hidden state on its own.
        batch, length, hidden_dim = ops.shape(hidden_states)
        num_predictions = ops.shape(positions)[1]
        row_start = ops.expand_dims(ops.arange(batch) * length, axis=-1)
        flat_positions = ops.cast(positions, "int32") + row_start
        flat = ops.reshape(hidden_states, (-1, hidden_dim))
        picked = ops.take(flat, ops.reshape(flat_positions, (-1,)), axis=0)
        return ops.reshape(picked, (-1, num_predictions, hidden_dim))

    def compute_output_shape(self, hidden_states_shape, positions_shape):
        return (*positions_shape, hidden_states_shape[-1])
