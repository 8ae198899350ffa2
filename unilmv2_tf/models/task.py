import abc
import contextlib
import inspect
import json
import os
import warnings

import keras
import keras_hub
import numpy as np

from unilmv2_tf.models.backbone import UniLMv2Backbone
from unilmv2_tf.models.presets import PRESET_METADATA
from unilmv2_tf.models.presets import hub_errors
from unilmv2_tf.models.presets import is_preset_location
from unilmv2_tf.preprocessing.fit_datasets import check_texts

# Rows are shortened to a multiple of this.
_WIDTH_STEP = 64


class UniLMv2Task:
    """What all tasks share: presets, and the defaults of `compile`.

    A mix-in for subclasses of `keras_hub.models.Task`, named before them. A
    task names the layers of its head in `head_layers`: their weights are
    loaded from the preset of any task that has the same layers.
    """

    backbone_cls = UniLMv2Backbone
    presets = PRESET_METADATA
    head_layers = ()

    def __init__(self, inputs, outputs, **kwargs):
        unknown = set(kwargs) - {"name", "trainable", "compile"}
        if unknown:
            # Keras would ignore them silently.
            raise TypeError(
                f"`{type(self).__name__}` has no argument "
                f"{', '.join(sorted(unknown))}. It takes those of its "
                "constructor and `name`, `trainable`, `compile`; arguments of "
                "the backbone go to the backbone."
            )
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)

    def compile(
        self, optimizer="auto", loss="auto", *, jit_compile="auto", **kwargs
    ):
        """Configures training.

        Args:
            optimizer: An optimizer. Defaults to `"auto"`.
            loss: A loss. Defaults to `"auto"`.
            jit_compile: bool. Whether to compile with XLA. Defaults to
                `"auto"`: on accelerators only.
            **kwargs: See `keras.Model.compile`. What is `"auto"` or left out
                is what `training_defaults()` of the task returns.
        """
        # XLA on a CPU takes 1.06 to 1.18 of the time of a step.
        if jit_compile == "auto" and keras.backend.backend() == "tensorflow":
            jit_compile = bool(
                keras.distribution.list_devices("gpu")
                or keras.distribution.list_devices("tpu")
            )
        arguments = {"optimizer": optimizer, "loss": loss, **kwargs}
        for name, default in self.training_defaults().items():
            if arguments.get(name, "auto") == "auto":
                arguments[name] = default
        super().compile(jit_compile=jit_compile, **arguments)

    def fit(self, x=None, *args, **kwargs):
        check_texts(x)
        return super().fit(x, *args, **kwargs)

    def evaluate(self, x=None, *args, **kwargs):
        check_texts(x)
        return super().evaluate(x, *args, **kwargs)

    def predict(self, x=None, *args, **kwargs):
        check_texts(x)
        return super().predict(x, *args, **kwargs)

    def save_task_weights(self, filepath):
        with self._without_optimizer():
            super().save_task_weights(filepath)

    def load_task_weights(self, filepath):
        with self._without_optimizer():
            super().load_task_weights(filepath)

    @contextlib.contextmanager
    def _without_optimizer(self):
        # KerasHub would save the optimizer's moments together with the head.
        optimizer, self.optimizer = self.optimizer, None
        try:
            yield
        finally:
            self.optimizer = optimizer

    def predict_rows(self, rows, batch_size):
        """Yields the outputs of batches of rows, without shared padding.

        `predict` would trace a new graph in each call.
        """
        rows = {name: np.asarray(rows[name]) for name in self.input}
        for start in range(0, len(rows["token_ids"]), batch_size):
            batch = {k: x[start : start + batch_size] for k, x in rows.items()}
            used = int(batch["padding_mask"].sum(axis=1).max())
            width = -(-used // _WIDTH_STEP) * _WIDTH_STEP
            yield keras.Model.predict_on_batch(
                self, {name: x[:, :width] for name, x in batch.items()}
            )

    @classmethod
    def from_preset(
        cls, preset: str | os.PathLike, load_weights: bool = True, **kwargs
    ):
        """Creates a task from a built-in size, a folder or a handle.

        A preset of the same task restores all of it. From the preset of
        another UniLMv2 task come the backbone, the tokenizer, and the head if
        both tasks have the same; a warning names the layers that are newly
        initialized.

        Args:
            preset: string. A built-in size, which needs `load_weights=False`;
                a local preset folder; or a handle of KerasHub: `hf://...`,
                `kaggle://...`.
            load_weights: bool. Whether to load the weights of the preset. If
                `False`, they are initialized randomly. Defaults to `True`.
            **kwargs: Arguments of the task, and arguments of the backbone,
                which replace those of the preset.

        Returns:
            A task of this class.

        Raises:
            ValueError: If there is no such preset, or it has no weights.

        Example:

        >>> from unilmv2_tf import UniLMv2PseudoMaskedLM
        >>> task = UniLMv2PseudoMaskedLM.from_preset(
        ...     "unilmv2_tiny", load_weights=False, vocabulary_size=99,
        ...     pseudo_token_id=4)
        >>> task.backbone.vocabulary_size
        99
        """
        preset = os.fspath(preset)
        backbone_arguments = inspect.signature(UniLMv2Backbone).parameters
        backbone_kwargs = {
            key: kwargs.pop(key)
            for key in list(kwargs)
            if key in backbone_arguments and key != "kwargs"
        }
        if not is_preset_location(preset):
            backbone = UniLMv2Backbone.from_preset(
                preset, load_weights, **backbone_kwargs
            )
            saved = _SavedTask(backbone)
        else:
            with hub_errors(preset):
                saved = _load_saved_task(preset, load_weights, backbone_kwargs)
            if type(saved) is _SavedTask and "preprocessor" not in kwargs:
                kwargs["preprocessor"] = cls.default_preprocessor(
                    cls.preprocessor_cls.tokenizer_cls.from_preset(preset),
                    saved.backbone.max_sequence_length,
                )
        if type(saved) is cls and not kwargs:
            return saved
        arguments = cls._arguments_from(saved, kwargs, backbone_kwargs)
        task = cls(saved.backbone, **{**arguments, **kwargs})
        new = task._copy_head(saved, kwargs)
        if new and load_weights:
            warnings.warn(
                f"{preset} holds no {' and no '.join(new)} for "
                f"{cls.__name__}: newly initialized, to be trained.",
                stacklevel=2,
            )
        return task

    @classmethod
    def default_preprocessor(cls, tokenizer, max_sequence_length):
        """The preprocessor of a task made from the preset of another task."""
        return cls.preprocessor_cls(
            tokenizer, sequence_length=min(512, max_sequence_length)
        )

    @classmethod
    def _arguments_from(cls, saved, kwargs, backbone_kwargs):
        """The constructor's arguments that a saved task provides."""
        if isinstance(saved, cls):
            arguments = saved.get_config()
            del arguments["backbone"], arguments["name"]
            return {**arguments, "preprocessor": saved.preprocessor}
        if saved.preprocessor is None or "preprocessor" in kwargs:
            return {}
        return {
            "preprocessor": cls.default_preprocessor(
                saved.preprocessor.tokenizer,
                saved.backbone.max_sequence_length,
            )
        }

    def _copy_head(self, saved, kwargs):
        """Copies the head's layers that `saved` has; names the others."""
        new = list(type(self).head_layers)
        for name in self.head_layers:
            if hasattr(saved, name):
                weights = getattr(saved, name).get_weights()
                getattr(self, name).set_weights(weights)
                new.remove(name)
        return new


def task_class(preset):
    """The class of the task that a preset folder holds."""
    if not os.path.isdir(preset):
        raise ValueError(
            "`preset` must be the folder of a fine-tuned model. Received: "
            f"preset={preset}, which is no folder"
        )
    path = os.path.join(preset, "task.json")
    if not os.path.exists(path):
        raise ValueError(
            "`preset` must hold a task, as `unilmv2 finetune` saves it. "
            f"Received: preset={preset}, without a task.json"
        )
    with open(path, encoding="utf-8") as file:
        name = json.load(file)["registered_name"]
    cls = keras.saving.get_registered_object(name)
    if cls is None:
        raise ValueError(
            "`preset` must hold a task of this package. Received: preset="
            f"{preset}, a {name}"
        )
    return cls


def load_task(
    preset: str | os.PathLike,
    special_tokens_in_strings: bool | None = None,
    **kwargs,
):
    """Loads the task of a preset folder, of any class, see `from_preset`."""
    task = task_class(preset).from_preset(preset, **kwargs)
    if special_tokens_in_strings is not None and task.preprocessor is not None:
        tokenizer = task.preprocessor.tokenizer
        tokenizer.special_tokens_in_strings = special_tokens_in_strings
    return task


def check_rows_fit(backbone, preprocessor):
    """Checks that the rows of a preprocessor fit the position table."""
    if preprocessor is None:
        return
    if preprocessor.sequence_length > backbone.max_sequence_length:
        raise ValueError(
            "The rows of the preprocessor are longer than the position table. "
            f"Received: sequence_length={preprocessor.sequence_length}, "
            f"max_sequence_length={backbone.max_sequence_length}. Use a "
            "shorter `sequence_length`, or a backbone with more positions."
        )


class _SavedTask(abc.ABC):  # noqa: B024
    """Stands for any UniLMv2 task when KerasHub loads a preset.

    KerasHub restores the task of a preset if it is a subclass of the requested
    class. From a preset without a task it makes an instance of this class.
    """

    backbone_cls = UniLMv2Backbone
    preprocessor_cls = None
    preprocessor = None

    def __init__(self, backbone):
        self.backbone = backbone


_SavedTask.register(UniLMv2Task)


def _load_saved_task(preset, load_weights, backbone_kwargs):
    """Loads the task of a preset, of any class, or a bare backbone."""
    load = keras_hub.models.Task.from_preset.__func__
    if set(backbone_kwargs) - {"dtype"}:
        # KerasHub passes no other argument on to the backbone of a task.
        backbone_kwargs = {
            "backbone": UniLMv2Backbone.from_preset(
                preset, load_weights, **backbone_kwargs
            )
        }
    try:
        return load(_SavedTask, preset, load_weights, **backbone_kwargs)
    except ValueError as error:
        # KerasHub loads float weights in the current dtype policy, but does
        # not recognize the names of mixed policies.
        if "Invalid dtype: mixed_" not in str(error):
            raise
        kwargs = {"dtype": keras.config.dtype_policy(), **backbone_kwargs}
        return load(_SavedTask, preset, load_weights, **kwargs)
