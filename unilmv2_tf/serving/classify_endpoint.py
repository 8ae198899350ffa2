"""The signatures `classify`, `classify_pair` and `classify_ids`."""

import keras
import tensorflow as tf

from unilmv2_tf.models import UniLMv2TextClassifier
from unilmv2_tf.serving.endpoint import FOX
from unilmv2_tf.serving.endpoint import Endpoint


class Classify(Endpoint):
    """Texts or pairs of texts in, labels and probabilities out.

        classify       text                       (batch,)          string
        classify_pair  text_a, text_b             (batch,)          string
                       -> label                   (batch,)          string
                          probabilities           (batch, classes)  float32
        classify_ids   token_ids, segment_ids,
                       padding_mask               (batch, n)        int32
                       -> label_id                (batch,)          int32
                          probabilities           (batch, classes)  float32

    Classes without names are called by their numbers. A classifier with an
    activation other than softmax returns `outputs` instead of `probabilities`,
    and a regression returns `value` alone, float32 of shape `(batch,)`. With
    `multi_label`, `probabilities` are sigmoids, and `labels`, of the same
    shape, has the name of each; there is no `label`.

    Args:
        task: a `UniLMv2TextClassifier` with a preprocessor. It is not changed.
        pairs: bool. Whether it was trained on pairs of texts: then
            `classify_pair` is the main signature. Defaults to `False`.
        buckets: see `Endpoint`. Defaults to `"auto"`.

    Raises:
        ValueError: if `task` is no such task.

    Example:

        task = UniLMv2TextClassifier.from_preset("mnli/preset")
        export_model(Classify(task, pairs=True), "models/entailment")
    """

    name = "classify"
    tasks = (UniLMv2TextClassifier,)
    default_for = UniLMv2TextClassifier
    runs_on_litert = True
    examples = {
        "text": FOX,
        "text_a": "A fox jumps.",
        "text_b": "An animal moves.",
    }

    def __init__(self, task, pairs=False, buckets="auto"):
        super().__init__(task, buckets=buckets)
        self.pairs = pairs
        signatures = [
            ("classify", ("text",)),
            ("classify_pair", ("text_a", "text_b")),
        ]
        self.text_signatures = dict(signatures[::-1] if pairs else signatures)
        self.labels = task.label_names or list(
            map(str, range(task.num_classes))
        )

    def compute(self, rows):
        outputs = self.task(self.shorten(rows), training=False)
        outputs = tf.cast(outputs, tf.float32)
        if self.task.is_regression:
            return {"value": outputs[:, 0]}
        is_linear = self.task.activation == keras.activations.linear
        if self.task.multi_label:
            outputs = tf.sigmoid(outputs) if is_linear else outputs
            return {"probabilities": outputs}
        label_ids = tf.argmax(outputs, axis=-1, output_type=tf.int32)
        if not self.task.has_probabilities:
            return {"label_id": label_ids, "outputs": outputs}
        if is_linear:
            outputs = tf.nn.softmax(outputs)
        return {"label_id": label_ids, "probabilities": outputs}

    def as_text(self, outputs):
        if self.task.is_regression:
            return outputs
        if self.task.multi_label:
            # Each name is beside its probability.
            shape = tf.shape(outputs["probabilities"])
            return {"labels": tf.broadcast_to(self.labels, shape), **outputs}
        label_ids = outputs.pop("label_id")
        return {"label": tf.gather(self.labels, label_ids), **outputs}

    def describe(self):
        has_labels = not self.task.is_regression
        return {
            **super().describe(),
            "labels": self.labels if has_labels else None,
        }
