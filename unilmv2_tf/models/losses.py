import math

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="unilmv2_tf")
class SmoothedCrossEntropy(keras.losses.Loss):
    """Label-smoothed loss of sequence-to-sequence fine-tuning.

    The divergence `KL(q || p)` of the prediction `p` from the smoothed label
    `q`: `1 - label_smoothing` on the label, the rest spread evenly over all
    other ids except the padding id 0. Its minimum is 0. A label of 0 has no
    loss but counts in the mean. Without smoothing it is plain cross entropy,
    without that exception. The mean is weighted by `sample_weight`.

    Args:
        label_smoothing: float in `[0, 1)`. Defaults to `0.1`.
        reduction: See `keras.losses.Loss`. Defaults to
            `"mean_with_sample_weight"`.
        **kwargs: See `keras.losses.Loss`.

    Call arguments:
        y_true: Int tensor of shape `(batch, m)`.
        y_pred: Logits of shape `(batch, m, vocabulary_size)`.
        sample_weight: Optional tensor of shape `(batch, m)`.

    Raises:
        ValueError: If `label_smoothing` is not in `[0, 1)`.

    Example:

    >>> import numpy as np
    >>> from unilmv2_tf.models import SmoothedCrossEntropy
    >>> logits = np.log([[[0.1, 0.2, 0.7]]]).astype("float32")
    >>> label = np.array([[2]])
    >>> round(float(SmoothedCrossEntropy(0.0)(label, logits)), 4)
    0.3567
    >>> round(float(SmoothedCrossEntropy(0.1)(label, logits)), 4)
    0.1569

    Reference:
        s2s-ft (the loss); Bao et al., 2020, table 10 (the value).
    """

    def __init__(
        self,
        label_smoothing: float = 0.1,
        reduction: str = "mean_with_sample_weight",
        name: str = "smoothed_cross_entropy",
        **kwargs,
    ):
        super().__init__(name=name, reduction=reduction, **kwargs)
        if not 0 <= label_smoothing < 1:
            raise ValueError(
                "`label_smoothing` must be in [0, 1). Received: "
                f"label_smoothing={label_smoothing}"
            )
        self.label_smoothing = label_smoothing

    def call(self, y_true, y_pred):
        y_true = ops.cast(y_true, "int32")
        if ops.ndim(y_true) == ops.ndim(y_pred):
            y_true = ops.squeeze(y_true, axis=-1)
        cross_entropy = ops.sparse_categorical_crossentropy(
            y_true, y_pred, from_logits=True
        )
        if not self.label_smoothing:
            return cross_entropy
        log_normalizer = ops.logsumexp(y_pred, axis=-1)
        vocabulary_size = y_pred.shape[-1]
        num_others = vocabulary_size - 2
        share = self.label_smoothing / num_others
        # -sum of log p over the ids that are neither the label nor 0.
        others_cross_entropy = (
            vocabulary_size * log_normalizer
            - ops.sum(y_pred, axis=-1)
            - cross_entropy
            - (log_normalizer - y_pred[..., 0])
        )
        confidence = 1 - self.label_smoothing
        negative_entropy = confidence * math.log(
            confidence
        ) + self.label_smoothing * math.log(share)
        divergence = (
            negative_entropy
            + confidence * cross_entropy
            + share * others_cross_entropy
        )
        return ops.where(y_true == 0, 0.0, divergence)

    def get_config(self):
        config = super().get_config()
        config["label_smoothing"] = self.label_smoothing
        return config
