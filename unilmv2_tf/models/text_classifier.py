import keras
import keras_hub
from keras import ops

from unilmv2_tf.layers import Dropout
from unilmv2_tf.models.backbone import kernel_initializer
from unilmv2_tf.models.class_labels import agreed_names
from unilmv2_tf.models.class_labels import check_labels
from unilmv2_tf.models.class_labels import checked_number
from unilmv2_tf.models.class_labels import weights_by_id
from unilmv2_tf.models.task import UniLMv2Task
from unilmv2_tf.models.task import check_rows_fit
from unilmv2_tf.preprocessing.fit_datasets import shuffle_each_epoch
from unilmv2_tf.preprocessing.text_classifier_preprocessor import (
    UniLMv2TextClassifierPreprocessor,
)


@keras.saving.register_keras_serializable(package="unilmv2_tf")
class UniLMv2TextClassifier(UniLMv2Task, keras_hub.models.TextClassifier):
    """Classifies texts or pairs of texts, or gives each a value.

    The vector of `[CLS]` goes through the pooler, a dense layer with tanh, and,
    after dropout, through a dense layer that gives the logits. With one class
    it is a regression: labels are floats, the loss is the squared error.

    `fit` takes raw strings with a preprocessor, integers without; labels are
    ids, or with `label_names` also their names. Arrays of labels are checked
    before training; in a `tf.data.Dataset`, NaN labels make the loss NaN.

    Args:
        backbone: a `UniLMv2Backbone`.
        num_classes: int, `1` for regression. Defaults to the number of
            `label_names`.
        preprocessor: a `UniLMv2TextClassifierPreprocessor`, or `None` to feed
            integers. Defaults to `None`.
        dropout: float. Dropout before the last layer. Defaults to that of the
            backbone.
        activation: activation of the outputs, a function or its name. Defaults
            to `None`: the outputs are logits.
        label_names: list of strings, the classes in the order of their ids.
            Defaults to those of the preprocessor, which is given them if it
            has none. They are saved with the task.
        **kwargs: see `keras_hub.models.Task`.

    Call arguments:
        inputs: a dict of int tensors of shape `(batch, length)`: `token_ids`,
            `segment_ids` and `padding_mask`.

    Returns:
        Logits of shape `(batch, num_classes)`.

    Raises:
        ValueError: if classes and names do not agree, or the preprocessor's
            rows exceed the positions of the backbone.

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

    def __init__(
        self,
        backbone,
        num_classes=None,
        preprocessor=None,
        dropout=None,
        activation=None,
        label_names=None,
        **kwargs,
    ):
        label_names = agreed_names(label_names, preprocessor)
        num_classes = checked_number(num_classes, label_names)
        check_rows_fit(backbone, preprocessor)
        self.num_classes = num_classes
        self.dropout = backbone.dropout if dropout is None else dropout
        self.activation = keras.activations.get(activation)
        self._label_names = label_names
        # === Layers ===
        self.pooled_dense = keras.layers.Dense(
            backbone.hidden_dim,
            activation="tanh",
            kernel_initializer=kernel_initializer(),
            dtype=backbone.dtype_policy,
            name="pooled_dense",
        )
        self.output_dropout = Dropout(
            self.dropout, dtype=backbone.dtype_policy, name="output_dropout"
        )
        self.logits_dense = keras.layers.Dense(
            num_classes,
            activation=self.activation,
            kernel_initializer=kernel_initializer(),
            # Bfloat16 has too few digits for values and close logits.
            dtype=backbone.dtype_policy.variable_dtype,
            name="logits",
        )
        super().__init__(backbone, preprocessor, **kwargs)
        if label_names and getattr(preprocessor, "label_names", 0) is None:
            preprocessor.label_names = label_names

    def make_graph(self, backbone):
        inputs = backbone.input
        cls = backbone.encode(
            **inputs, picked_places=ops.zeros_like(inputs["token_ids"][:, :1])
        )[:, 0, :]
        pooled = self.output_dropout(self.pooled_dense(cls))
        return backbone.input, self.logits_dense(pooled)

    @property
    def label_names(self):
        """List of the names of the classes, or `None`."""
        names = getattr(self.preprocessor, "label_names", None)
        if names is None:
            names = self._label_names
        return None if names is None else [*names]

    def compile(
        self,
        optimizer="auto",
        loss="auto",
        *,
        metrics="auto",
        **kwargs,
    ):
        """Configures training.

        Args:
            optimizer: `"auto"` for AdamW with a learning rate of 2e-5 and a
                weight decay of 0.01, or an optimizer. Defaults to `"auto"`.
            loss: `"auto"` for cross entropy, or the mean squared error if it
                is a regression. Defaults to `"auto"`.
            metrics: `"auto"` for `accuracy`, or the root of the mean squared
                error, `rmse`. Defaults to `"auto"`.
            **kwargs: see `keras.Model.compile`.
        """
        if optimizer == "auto":
            optimizer = keras.optimizers.AdamW(2e-5, weight_decay=0.01)
        if loss == "auto":
            loss = (
                keras.losses.MeanSquaredError()
                if self._is_regression
                else keras.losses.SparseCategoricalCrossentropy(
                    from_logits=self.activation != keras.activations.softmax
                )
            )
        if metrics == "auto":
            metrics = [
                keras.metrics.RootMeanSquaredError("rmse")
                if self._is_regression
                else keras.metrics.SparseCategoricalAccuracy("accuracy")
            ]
        super().compile(optimizer, loss, metrics=metrics, **kwargs)

    @property
    def _is_regression(self):
        return self.num_classes == 1

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
            x: what the preprocessor takes, or a batched dataset of it with
                labels; without a preprocessor, what it returns.
            y: labels, unless `x` is a dataset: names or ids of classes, or
                floats for regression.
            batch_size: int, for `x` that is not a dataset. Defaults to `32`.
            sample_weight: a weight for each example. Defaults to `None`.
            validation_data: a dataset, or a tuple of `x` and `y`.
            **kwargs: see `keras.Model.fit`. The keys of `class_weight` may be
                names as well. With `validation_split`, or `shuffle=False`,
                examples keep their order; a dataset has its own.

        Returns:
            A `keras.callbacks.History`.

        Raises:
            ValueError: if labels are NaN, or there are no such classes.
        """
        self._check_labels(y)
        if isinstance(validation_data, (list, tuple)):
            self._check_labels(validation_data[1])
        if kwargs.get("class_weight"):
            kwargs["class_weight"] = weights_by_id(
                kwargs["class_weight"], self.label_names
            )
        may_shuffle = kwargs.get("shuffle", True)
        if y is not None and may_shuffle and not kwargs.get("validation_split"):
            # KerasHub would show arrays in the same order in every epoch.
            x = shuffle_each_epoch(
                keras.utils.pack_x_y_sample_weight(x, y, sample_weight),
                batch_size or 32,
            )
            y = batch_size = sample_weight = None
        # KerasHub gives Keras a dataset, which it wants to hear.
        kwargs["shuffle"] = False
        return super().fit(
            x, y, batch_size, sample_weight, validation_data, **kwargs
        )

    def evaluate(
        self, x=None, y=None, batch_size=None, sample_weight=None, **kwargs
    ):
        """Evaluates on raw strings, or on integers without a preprocessor.

        Args:
            x: see `fit`.
            y: see `fit`.
            batch_size: see `fit`.
            sample_weight: see `fit`.
            **kwargs: see `keras.Model.evaluate`.

        Returns:
            The loss and the metrics, see `keras.Model.evaluate`.

        Raises:
            ValueError: if labels are NaN, or there are no such classes.
        """
        self._check_labels(y)
        return super().evaluate(x, y, batch_size, sample_weight, **kwargs)

    def _check_labels(self, y):
        if y is not None:
            check_labels(y, self.num_classes, self.preprocessor)

    def classify(self, x, batch_size=32, return_probabilities=False):
        """Gives classes their names, and regressions their values.

        Args:
            x: a text, a tuple of two texts or a dict, see the preprocessor; or
                a batch of them: a list, a tuple of two lists, a dict of lists.
                Without a preprocessor, what `predict` takes.
            batch_size: int. Defaults to `32`.
            return_probabilities: bool. Whether to tell how probable the
                classes are. Defaults to `False`.

        Returns:
            For a batch a list, for one example its only element. The name of
            a class, or its id where there are no names; for regression a
            float. With `return_probabilities` a dict: the `label`, its
            `probability`, and the `probabilities` of all labels, a dict.

        Raises:
            ValueError: if there are no probabilities: for regression, or with
                an activation other than softmax.
        """
        if return_probabilities and (
            self._is_regression
            or self.activation
            not in (keras.activations.linear, keras.activations.softmax)
        ):
            raise ValueError(
                "`return_probabilities=True` needs several classes, and "
                "logits or a softmax. Received: num_classes="
                f"{self.num_classes}, activation={self.activation.__name__}"
            )
        x, is_single = _as_batch(x)
        if not len(_first_column(x)):
            return []
        outputs = self.predict(x, batch_size=batch_size, verbose=0)
        results = self._results(outputs, return_probabilities)
        return results[0] if is_single else results

    def _results(self, outputs, return_probabilities):
        outputs = outputs.astype("float32")
        if self._is_regression:
            return outputs[:, 0].tolist()
        labels = self.label_names or list(range(self.num_classes))
        best = [labels[index] for index in outputs.argmax(axis=-1)]
        if not return_probabilities:
            return best
        if self.activation != keras.activations.softmax:
            outputs = keras.ops.convert_to_numpy(keras.ops.softmax(outputs))
        return [
            {
                "label": label,
                "probability": max(row),
                "probabilities": dict(zip(labels, row)),
            }
            for label, row in zip(best, outputs.tolist())
        ]

    @classmethod
    def from_preset(cls, preset, load_weights=True, **kwargs):
        """Makes a classifier from a built-in size, a folder or a handle.

        A preset of a classifier gives back all of it. With `num_classes` its
        last layer starts anew, and its names are forgotten; with `label_names`
        alone its classes are renamed. Any other preset gives its backbone and
        its tokenizer.

        Args:
            preset: string. See `UniLMv2Task.from_preset`.
            load_weights: bool. Whether to load saved weights. Defaults to
                `True`.
            **kwargs: arguments of the classifier, and arguments of the
                backbone that replace those of the preset. `dropout` is the
                backbone's, which the classifier follows unless it was made
                with another one.

        Returns:
            A `UniLMv2TextClassifier`.

        Raises:
            ValueError: if there is no such preset, or the number of classes is
                unknown.

        Example:

        >>> from unilmv2_tf import UniLMv2TextClassifier
        >>> classifier = UniLMv2TextClassifier.from_preset(
        ...     "unilmv2_tiny", load_weights=False, vocabulary_size=99,
        ...     num_classes=3)
        >>> classifier.output_shape
        (None, 3)
        """
        return super().from_preset(preset, load_weights, **kwargs)

    @classmethod
    def default_preprocessor(cls, tokenizer, max_sequence_length):
        return cls.preprocessor_cls(
            tokenizer, sequence_length=min(512, max_sequence_length)
        )

    @classmethod
    def arguments_of_other(cls, other, kwargs):
        arguments = super().arguments_of_other(other, kwargs)
        given = getattr(kwargs.get("preprocessor"), "label_names", None)
        if isinstance(other, cls) and (
            given or {"num_classes", "label_names"} & set(kwargs)
        ):
            del arguments["label_names"]
            if hasattr(other.preprocessor, "label_names"):
                other.preprocessor.label_names = None
        return arguments

    def take_head_of_other(self, other, kwargs):
        if not isinstance(other, UniLMv2TextClassifier):
            return
        self.pooled_dense.set_weights(other.pooled_dense.get_weights())
        if "num_classes" not in kwargs:
            self.logits_dense.set_weights(other.logits_dense.get_weights())

    def get_config(self):
        config = super().get_config()
        follows = self.dropout == self.backbone.dropout
        config.update(
            {
                "num_classes": self.num_classes,
                "dropout": None if follows else self.dropout,
                "activation": keras.activations.serialize(self.activation),
                "label_names": self.label_names,
            }
        )
        return config


def _first_column(x):
    if isinstance(x, dict):
        return next(iter(x.values()))
    return x[0] if isinstance(x, tuple) else x


def _as_batch(x):
    """Makes one text, pair or dict a batch of one; tells whether it was one."""
    if not isinstance(_first_column(x), (str, bytes)):
        return x, False
    if isinstance(x, dict):
        return {key: [value] for key, value in x.items()}, True
    if isinstance(x, tuple):
        return tuple([text] for text in x), True
    return [x], True
