import keras
import keras_hub
import numpy as np
from keras import ops

from unilmv2_tf.layers.dropout import Dropout
from unilmv2_tf.models.backbone import UniLMv2Backbone
from unilmv2_tf.models.backbone import unilmv2_kernel_initializer
from unilmv2_tf.models.class_labels import check_labels
from unilmv2_tf.models.class_labels import check_num_classes
from unilmv2_tf.models.class_labels import merge_names
from unilmv2_tf.models.class_labels import multi_hot_labels
from unilmv2_tf.models.class_labels import weights_by_id
from unilmv2_tf.models.task import UniLMv2Task
from unilmv2_tf.models.task import check_rows_fit
from unilmv2_tf.preprocessing.fit_datasets import check_texts
from unilmv2_tf.preprocessing.fit_datasets import shuffle_each_epoch
from unilmv2_tf.preprocessing.text_classifier_preprocessor import (
    UniLMv2TextClassifierPreprocessor,
)
from unilmv2_tf.preprocessing.text_classifier_preprocessor import segments_of


@keras.saving.register_keras_serializable(package="unilmv2_tf")
class UniLMv2TextClassifier(UniLMv2Task, keras_hub.models.TextClassifier):
    """Classifies texts or pairs of texts, or predicts a value for each.

    The hidden state of `[CLS]` passes through the pooler, a dense layer with
    tanh, dropout, and a dense layer that gives the logits. With one class it
    is a regression: labels are floats, the loss is the squared error. With
    `multi_label` each class has a probability of its own, a sigmoid.

    `fit` takes raw strings with a preprocessor, integers without. Labels are
    ids, or with `label_names` also their names; with `multi_label` rows of 0
    and 1, or in arrays lists of names. Arrays of labels are checked before
    training.

    `from_preset` with a classifier's preset restores all of it. If
    `num_classes` is passed, the last layer is newly initialized and the label
    names are dropped; if only `label_names` is passed, classes are renamed.

    Args:
        backbone: A `UniLMv2Backbone`.
        num_classes: int, `1` for regression. Defaults to the number of
            `label_names`.
        preprocessor: A `UniLMv2TextClassifierPreprocessor`, or `None` for
            integer inputs. Defaults to `None`.
        activation: The activation of the outputs, a function or its name.
            Defaults to `None`: the outputs are logits.
        dropout: float. The dropout rate before the last layer; `None` for that
            of the backbone. Defaults to `0.1`.
        label_names: List of strings, the classes in the order of their ids.
            Defaults to those of the preprocessor. A preprocessor without names
            receives them. They are saved with the task.
        multi_label: bool. Whether a text may have any number of the classes.
            The loss is the binary cross entropy of each. Defaults to `False`.
        **kwargs: See `keras_hub.models.Task`.

    Call arguments:
        inputs: A dict of int tensors of shape `(batch, length)`: `token_ids`,
            `segment_ids` and `padding_mask`.

    Returns:
        Logits of shape `(batch, num_classes)`.

    Raises:
        ValueError: If `num_classes` and the names do not agree, the
            preprocessor's rows exceed the positions of the backbone, or
            `multi_label` has an activation other than sigmoid.

    Examples:

    >>> from unilmv2_tf.models import UniLMv2Backbone, UniLMv2TextClassifier
    >>> from unilmv2_tf.preprocessing import UniLMv2TextClassifierPreprocessor
    >>> from unilmv2_tf.preprocessing import UniLMv2Tokenizer
    >>> tokenizer = UniLMv2Tokenizer(
    ...     ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "quick",
    ...      "brown", "fox", "jumped", "."])
    >>> backbone = UniLMv2Backbone.from_preset(
    ...     "unilmv2_tiny", load_weights=False,
    ...     vocabulary_size=tokenizer.vocabulary_size())
    >>> classifier = UniLMv2TextClassifier(
    ...     backbone, preprocessor=UniLMv2TextClassifierPreprocessor(
    ...         tokenizer, sequence_length=16, label_names=["calm", "quick"]))
    >>> texts = ["The quick fox jumped.", "The fox."]
    >>> history = classifier.fit(texts, ["quick", "calm"], verbose=0)
    >>> classifier.predict(texts, verbose=0).shape
    (2, 2)
    >>> set(classifier.classify(texts)) <= {"calm", "quick"}
    True

    Reference:
        Bao et al., 2020, section 3.4 and table 9; Devlin et al., 2019.
    """

    preprocessor_cls = UniLMv2TextClassifierPreprocessor
    head_layers = ("pooled_dense", "logits_dense")

    def __init__(
        self,
        backbone: UniLMv2Backbone,
        num_classes: int | None = None,
        preprocessor: UniLMv2TextClassifierPreprocessor | None = None,
        activation=None,
        dropout: float | None = 0.1,
        label_names: list[str] | None = None,
        multi_label: bool = False,
        **kwargs,
    ):
        label_names = merge_names(label_names, preprocessor)
        num_classes = check_num_classes(num_classes, label_names)
        check_rows_fit(backbone, preprocessor)
        dropout = backbone.dropout if dropout is None else dropout

        # === Layers ===
        self.backbone = backbone
        self.preprocessor = preprocessor
        self.pooled_dense = keras.layers.Dense(
            backbone.hidden_dim,
            activation="tanh",
            kernel_initializer=unilmv2_kernel_initializer(),
            dtype=backbone.dtype_policy,
            name="pooled_dense",
        )
        self.output_dropout = Dropout(
            dropout, dtype=backbone.dtype_policy, name="output_dropout"
        )
        self.logits_dense = keras.layers.Dense(
            num_classes,
            activation=activation,
            kernel_initializer=unilmv2_kernel_initializer(),
            # Bfloat16 is too coarse for values and close logits.
            dtype=backbone.dtype_policy.variable_dtype,
            name="logits",
        )

        # The constructor of Keras compiles: these have to be known.
        self.num_classes = num_classes
        self.multi_label = multi_label
        self.activation = self.logits_dense.activation
        if multi_label and not self._has_activation("linear", "sigmoid"):
            raise ValueError(
                "`activation` must be None or 'sigmoid' with `multi_label`. "
                f"Received: activation={activation}"
            )

        # === Functional Model ===
        inputs = backbone.input
        first_index = ops.zeros_like(inputs["token_ids"][:, :1])
        x = backbone.encode(**inputs, query_indices=first_index)
        x = self.pooled_dense(x[:, 0, :])
        x = self.output_dropout(x)
        outputs = self.logits_dense(x)
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)

        # === Config ===
        self.dropout = dropout
        self._label_names = label_names
        if label_names and getattr(preprocessor, "label_names", 0) is None:
            preprocessor.label_names = label_names

    @property
    def label_names(self) -> list[str] | None:
        """The names of the classes, or `None`."""
        names = getattr(self.preprocessor, "label_names", None)
        if names is None:
            names = self._label_names
        return None if names is None else [*names]

    @property
    def is_regression(self) -> bool:
        """Whether the model predicts a value instead of classes."""
        return self.num_classes == 1 and not self.multi_label

    @property
    def has_probabilities(self) -> bool:
        """Whether its outputs are logits or probabilities of classes."""
        return not self.is_regression and self._has_activation(
            "linear", "sigmoid" if self.multi_label else "softmax"
        )

    def _has_activation(self, *names):
        return self.activation in map(keras.activations.get, names)

    def training_defaults(self):
        """AdamW, and cross entropy, that of each class, or the squared error.

        The metric is `accuracy`, with `multi_label` that of all pairs of text
        and class, or `rmse`, the root mean squared error.
        """
        losses, metrics = keras.losses, keras.metrics
        is_logits = self._has_activation("linear")
        if self.is_regression:
            loss = losses.MeanSquaredError()
            metric = metrics.RootMeanSquaredError("rmse")
        elif self.multi_label:
            loss = losses.BinaryCrossentropy(from_logits=is_logits)
            threshold = 0.0 if is_logits else 0.5
            metric = metrics.BinaryAccuracy("accuracy", threshold=threshold)
        else:
            loss = losses.SparseCategoricalCrossentropy(
                from_logits=not self._has_activation("softmax")
            )
            metric = metrics.SparseCategoricalAccuracy("accuracy")
        return {
            "optimizer": keras.optimizers.AdamW(2e-5, weight_decay=0.01),
            "loss": loss,
            "metrics": [metric],
        }

    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        sample_weight=None,
        validation_data=None,
        **kwargs,
    ):
        """Trains on raw strings, or on integers without a preprocessor.

        Args:
            x: The inputs of the preprocessor, or a batched dataset of them
                with labels; without a preprocessor, its outputs.
            y: Labels, unless `x` is a dataset: names or ids of classes;
                floats for regression; with `multi_label` a list of names for
                each text, or 0 and 1 of shape `(n, num_classes)`.
            batch_size: int, for `x` that is not a dataset. Defaults to `32`.
            sample_weight: A weight for each example. Defaults to `None`.
            validation_data: A dataset, or a tuple of `x` and `y`.
            **kwargs: See `keras.Model.fit`. The keys of `class_weight` may be
                names as well. With `validation_split`, or `shuffle=False`,
                examples keep their order; so do those of a dataset.

        Returns:
            A `keras.callbacks.History`.

        Raises:
            ValueError: If labels are NaN, there are no such classes, or
                `class_weight` is given with `multi_label`.
        """
        y = self._checked_labels(y)
        if isinstance(validation_data, (list, tuple)):
            texts, labels, *weights = validation_data
            validation_data = texts, self._checked_labels(labels), *weights
        if kwargs.get("class_weight"):
            kwargs["class_weight"] = weights_by_id(
                kwargs["class_weight"], self.label_names, self.multi_label
            )
        may_shuffle = kwargs.get("shuffle", True)
        if y is not None and may_shuffle and not kwargs.get("validation_split"):
            # KerasHub would use the same order of arrays in every epoch.
            x = shuffle_each_epoch(
                keras.utils.pack_x_y_sample_weight(x, y, sample_weight),
                batch_size or 32,
            )
            y = batch_size = sample_weight = None
        # KerasHub passes a dataset, for which Keras warns of `shuffle=True`.
        kwargs["shuffle"] = False
        return super().fit(
            x, y, batch_size, sample_weight, validation_data, **kwargs
        )

    def evaluate(
        self, x=None, y=None, batch_size=None, sample_weight=None, **kwargs
    ):
        """As `keras.Model.evaluate`, with the arguments of `fit`."""
        y = self._checked_labels(y)
        return super().evaluate(x, y, batch_size, sample_weight, **kwargs)

    def preprocess_samples(self, x, y=None, sample_weight=None):
        if self.multi_label and getattr(y, "dtype", None) == "string":
            raise ValueError(
                "Labels of a dataset must be 0 and 1 of shape (n, "
                f"{self.num_classes}) with `multi_label`. Received: strings"
            )
        return super().preprocess_samples(x, y, sample_weight)

    def _checked_labels(self, y):
        if y is None:
            return None
        if self.multi_label:
            return multi_hot_labels(y, self.label_names, self.num_classes)
        check_labels(y, self.num_classes, self.preprocessor)
        return y

    def classify(
        self, x, batch_size: int = 32, return_probabilities: bool = False
    ):
        """Predicts the names of classes, or the values of a regression.

        Args:
            x: A text, a tuple of two texts or a dict, see the preprocessor; or
                a batch of them: a list, a tuple of two lists, a dict of lists.
                Without a preprocessor, what `predict` takes.
            batch_size: int. Defaults to `32`.
            return_probabilities: bool. Defaults to `False`.

        Returns:
            A list for a batch, its only element for one example. The name of
            a class, or its id if there are no names; with `multi_label` the
            list of those with a probability of at least 0.5; for regression a
            float.
            With `return_probabilities` a dict: the `label` and its
            `probability`, or with `multi_label` the `labels`; and the
            `probabilities` of all classes, a dict.

        Raises:
            ValueError: If there are no probabilities: for regression, or with
                an activation other than softmax.
        """
        if return_probabilities and not self.has_probabilities:
            raise ValueError(
                "`return_probabilities=True` needs several classes, and "
                "logits or a softmax. Received: num_classes="
                f"{self.num_classes}, activation={self.activation.__name__}"
            )
        if self.preprocessor is None:
            outputs = self.predict(x, batch_size=batch_size, verbose=0)
            return self.results_of(outputs, return_probabilities)
        check_texts(x)
        x = segments_of(x)
        is_single = isinstance(next(iter(x.values())), (str, bytes))
        if is_single:
            x = {key: [text] for key, text in x.items()}
        num_texts = len(next(iter(x.values())))
        outputs = [np.zeros((0, self.num_classes), "float32")]
        for start in range(0, num_texts, batch_size):
            part = slice(start, start + batch_size)
            rows = self.preprocessor({key: y[part] for key, y in x.items()})
            outputs += self.predict_rows(rows, batch_size)
        results = self.results_of(np.concatenate(outputs), return_probabilities)
        return results[0] if is_single else results

    def results_of(self, outputs, return_probabilities=False):
        """What `classify` returns for the outputs of `predict`."""
        outputs = outputs.astype("float32")
        if self.is_regression:
            return outputs[:, 0].tolist()
        names = self.label_names or list(range(self.num_classes))
        best = [names[index] for index in outputs.argmax(axis=-1)]
        if self._has_activation("linear") and self.has_probabilities:
            # In NumPy the bits of a row do not depend on the number of rows.
            if self.multi_label:
                outputs = np.exp(-np.logaddexp(0, -outputs))
            else:
                outputs = np.exp(outputs - outputs.max(axis=1, keepdims=True))
                outputs /= outputs.sum(axis=1, keepdims=True)
        rows = outputs.tolist()
        if self.multi_label:
            best = [
                [name for name, value in zip(names, row) if value >= 0.5]
                for row in rows
            ]
        if not return_probabilities:
            return best
        if self.multi_label:
            found = [{"labels": labels} for labels in best]
        else:
            found = [
                {"label": label, "probability": max(row)}
                for label, row in zip(best, rows)
            ]
        return [
            {**result, "probabilities": dict(zip(names, row))}
            for result, row in zip(found, rows)
        ]

    @classmethod
    def _arguments_from(cls, saved, kwargs, backbone_kwargs):
        arguments = super()._arguments_from(saved, kwargs, backbone_kwargs)
        if not isinstance(saved, cls):
            # `dropout` of `from_preset` is that of the whole model.
            if "dropout" in backbone_kwargs:
                arguments["dropout"] = backbone_kwargs["dropout"]
            return arguments
        given = getattr(kwargs.get("preprocessor"), "label_names", None)
        if given or {"num_classes", "label_names"} & set(kwargs):
            del arguments["label_names"]
            if hasattr(saved.preprocessor, "label_names"):
                saved.preprocessor.label_names = None
        return arguments

    def _copy_head(self, saved, kwargs):
        if "num_classes" in kwargs:
            self.head_layers = ("pooled_dense",)
        return super()._copy_head(saved, kwargs)

    def get_config(self):
        config = super().get_config()
        config.update(
            {
                "num_classes": self.num_classes,
                "activation": keras.activations.serialize(self.activation),
                "dropout": self.dropout,
                "label_names": self.label_names,
                "multi_label": self.multi_label,
            }
        )
        return config
