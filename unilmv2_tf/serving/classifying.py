"""The signatures `classify`, `classify_pair` and `classify_ids`."""

import keras
import numpy as np
import tensorflow as tf

from unilmv2_tf.serving.inputs import default_buckets
from unilmv2_tf.serving.inputs import readable
from unilmv2_tf.serving.inputs import shortened
from unilmv2_tf.serving.inputs import traced_once
from unilmv2_tf.serving.inputs import with_a_row
from unilmv2_tf.serving.inputs import without_server_padding


class Classify:
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
    activation other than softmax gives `outputs` in the place of
    `probabilities`, and a regression gives `value`, float32 of shape
    `(batch,)`, alone.

    Args:
        task: a `UniLMv2TextClassifier` with a preprocessor.
        pairs: bool. Whether it was trained on pairs of texts: then
            `classify_pair` comes first. Defaults to `False`.
        buckets: tuple of ints, or `None` to pad every row to the full length.
            Defaults to `"auto"`, see `default_buckets`.

    Example:

    >>> from unilmv2_tf.models import UniLMv2Backbone, UniLMv2TextClassifier
    >>> from unilmv2_tf.preprocessing import UniLMv2TextClassifierPreprocessor
    >>> from unilmv2_tf.preprocessing import UniLMv2Tokenizer
    >>> tokenizer = UniLMv2Tokenizer(
    ...     ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "fox"])
    >>> endpoint = Classify(UniLMv2TextClassifier(
    ...     UniLMv2Backbone(7, 1, 1, 8, 8, max_sequence_length=16),
    ...     preprocessor=UniLMv2TextClassifierPreprocessor(
    ...         tokenizer, sequence_length=8, label_names=["no", "yes"])))
    >>> sorted(endpoint.text_signatures)
    ['classify', 'classify_pair']
    """

    name = "classify"
    id_inputs = ("token_ids", "segment_ids", "padding_mask")
    is_deterministic = True

    def __init__(self, task, pairs=False, buckets="auto"):
        self.task = task
        self.preprocessor = task.preprocessor
        self.pairs = pairs
        length = self.preprocessor.sequence_length
        self.buckets = default_buckets(length) if buckets == "auto" else buckets
        self._outputs = traced_once(self._computed, 3)
        self.has_probabilities = task.num_classes > 1 and task.activation in (
            keras.activations.linear,
            keras.activations.softmax,
        )

    @property
    def text_signatures(self):
        """Signatures that take strings: name -> function and input names."""
        signatures = {
            "classify": (self.from_text, ("text",)),
            "classify_pair": (self.from_pair, ("text_a", "text_b")),
        }
        names = reversed(signatures) if self.pairs else signatures
        return {name: signatures[name] for name in names}

    @property
    def id_signatures(self):
        """Signatures that take integers: name -> function and input names."""
        return {"classify_ids": (self.from_ids, self.id_inputs)}

    def from_text(self, text):
        """The signature `classify`."""
        return with_a_row(self._from_texts, text=text)

    def from_pair(self, text_a, text_b):
        """The signature `classify_pair`."""
        return with_a_row(self._from_texts, text_a=text_a, text_b=text_b)

    def from_ids(self, token_ids, segment_ids, padding_mask):
        """The signature `classify_ids`."""
        return with_a_row(
            self._from_ids,
            token_ids=token_ids,
            segment_ids=segment_ids,
            padding_mask=padding_mask,
        )

    def _from_texts(self, **texts):
        rows = self.preprocessor(
            {name: readable(text) for name, text in texts.items()}
        )
        return self._named(
            self._outputs(*(rows[name] for name in self.id_inputs))
        )

    def _from_ids(self, token_ids, segment_ids, padding_mask):
        padding_mask = without_server_padding(
            token_ids, padding_mask, self.preprocessor.tokenizer.cls_token_id
        )
        return self._numbered(
            self._outputs(token_ids, segment_ids, padding_mask)
        )

    def lite(self, token_ids, segment_ids, padding_mask):
        """The signature `classify_ids` of a device, which nobody pads."""
        return self._numbered(
            self._computed(token_ids, segment_ids, padding_mask)
        )

    def _computed(self, *rows):
        """Probabilities or whatever the task gives, `(batch, classes)`."""
        rows = dict(zip(self.id_inputs, rows))
        rows = shortened(rows, "padding_mask", self.buckets)
        outputs = tf.cast(self.task(rows, training=False), tf.float32)
        if (
            self.has_probabilities
            and self.task.activation != keras.activations.softmax
        ):
            outputs = tf.nn.softmax(outputs)
        return outputs

    def _numbered(self, outputs):
        if self.task.num_classes == 1:
            return {"value": outputs[:, 0]}
        return {
            "label_id": tf.argmax(outputs, axis=-1, output_type=tf.int32),
            self._outputs_name: outputs,
        }

    def _named(self, outputs):
        outputs = self._numbered(outputs)
        if "label_id" not in outputs:
            return outputs
        label_ids = outputs.pop("label_id")
        return {"label": tf.gather(self.labels, label_ids), **outputs}

    @property
    def _outputs_name(self):
        return "probabilities" if self.has_probabilities else "outputs"

    @property
    def labels(self):
        """The classes in the order of their ids, a list of strings."""
        names = self.task.label_names
        return names or [str(index) for index in range(self.task.num_classes)]

    def rows_of(self, **texts):
        """What `classify_ids` is given for texts, a dict of arrays."""
        rows = self.preprocessor({k: list(v) for k, v in texts.items()})
        return {name: np.asarray(rows[name]) for name in self.id_inputs}

    def live_from_text(self, **texts):
        """What the task itself answers, without any of the above.

        Args:
            **texts: `text`, or `text_a` and `text_b`: lists of strings.

        Returns:
            A dict of arrays and lists, as the signature returns it.
        """
        texts = {name: list(values) for name, values in texts.items()}
        if self.has_probabilities:
            answers = self.task.classify(texts, return_probabilities=True)
            return {
                "label": [str(answer["label"]) for answer in answers],
                "probabilities": np.array(
                    [[*answer["probabilities"].values()] for answer in answers],
                    "float32",
                ),
            }
        answers = self.task.classify(texts)
        if self.task.num_classes == 1:
            return {"value": np.array(answers, "float32")}
        outputs = self.task.predict(texts, verbose=0)
        return {
            "label": [str(answer) for answer in answers],
            "outputs": outputs.astype("float32"),
        }

    def live_from_ids(self, **texts):
        """The same for `classify_ids`, of rows that are made of texts."""
        outputs = self.live_from_text(**texts)
        if "label" in outputs:
            labels = outputs.pop("label")
            outputs["label_id"] = np.array(
                [self.labels.index(label) for label in labels], "int32"
            )
        return outputs

    def describe(self):
        """What a client may want to know, a dict for JSON."""
        return {
            "sequence_length": self.preprocessor.sequence_length,
            "buckets": self.buckets,
            "labels": None if self.task.num_classes == 1 else self.labels,
        }
