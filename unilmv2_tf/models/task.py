import contextlib
import inspect
import os

import keras
import keras_hub

from unilmv2_tf.models.backbone import UniLMv2Backbone
from unilmv2_tf.models.presets import PRESETS
from unilmv2_tf.models.presets import is_preset_location


class UniLMv2Task:
    """What all tasks have in common: one backbone, and presets.

    A mix-in for subclasses of `keras_hub.models.Task`, named before them. A
    preset that one task has saved can be loaded as any other: what both have
    in common is handed over, the rest of the head starts anew. A task says so
    with three methods: `make_graph`, `arguments_of_other` and
    `take_head_of_other`.

    Args:
        backbone: a `UniLMv2Backbone`.
        preprocessor: a preprocessor of the task, or `None`. Defaults to
            `None`.
        **kwargs: see `keras_hub.models.Task`.

    Raises:
        TypeError: if there is an argument that no constructor knows.

    Reference:
        Bao et al., 2020, section 3.4.
    """

    backbone_cls = UniLMv2Backbone
    presets = {
        name: {"metadata": {"description": preset["description"]}}
        for name, preset in PRESETS.items()
    }

    def __init__(self, backbone, preprocessor=None, **kwargs):
        unknown = set(kwargs) - {"name", "trainable", "compile"}
        if unknown:
            # Keras would drop them without a word.
            raise TypeError(
                f"`{type(self).__name__}` has no argument "
                f"{', '.join(sorted(unknown))}. It takes those of its "
                "constructor and `name`, `trainable`, `compile`; arguments of "
                "the backbone go to the backbone."
            )
        self.backbone = backbone
        self.preprocessor = preprocessor
        inputs, outputs = self.make_graph(backbone)
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)

    def make_graph(self, backbone):
        """Makes the functional model; the layers of the head exist already.

        Args:
            backbone: the `UniLMv2Backbone`.

        Returns:
            A tuple of the Keras inputs and outputs.
        """
        raise NotImplementedError

    def compile(self, *args, jit_compile="auto", **kwargs):
        """Configures the task. See the subclasses.

        Args:
            *args: passed on.
            jit_compile: bool or `"auto"`: XLA with an accelerator, none on a
                CPU, where it was measured to be slower. Defaults to `"auto"`.
            **kwargs: passed on.
        """
        if jit_compile == "auto" and keras.backend.backend() == "tensorflow":
            jit_compile = bool(
                keras.distribution.list_devices("gpu")
                or keras.distribution.list_devices("tpu")
            )
        super().compile(*args, jit_compile=jit_compile, **kwargs)

    def save_task_weights(self, filepath):
        """Saves the weights of the task that are not in the backbone.

        Args:
            filepath: string. It ends in `.weights.h5`.
        """
        with self._without_optimizer():
            super().save_task_weights(filepath)

    def load_task_weights(self, filepath):
        """Loads the weights that `save_task_weights` wrote.

        Args:
            filepath: string. It ends in `.weights.h5`.
        """
        with self._without_optimizer():
            super().load_task_weights(filepath)

    @contextlib.contextmanager
    def _without_optimizer(self):
        # KerasHub would write the optimizer's moments along with the head.
        optimizer, self.optimizer = self.optimizer, None
        try:
            yield
        finally:
            self.optimizer = optimizer

    @classmethod
    def from_preset(cls, preset, load_weights=True, **kwargs):
        """Makes a task from a built-in size, a folder or a handle.

        A preset that another UniLMv2 task has saved gives its backbone and
        its tokenizer, and its head to a task that has the same.

        Args:
            preset: string. A built-in size, which needs
                `load_weights=False`, or whatever `keras_hub` takes: a local
                preset folder, `hf://...`, `kaggle://...`.
            load_weights: bool. Whether to load saved weights. Defaults to
                `True`.
            **kwargs: arguments of the task, and arguments of the backbone that
                replace those of the preset.

        Returns:
            A task of this class.

        Raises:
            ValueError: if there is no such preset, or it has no weights.

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
            return cls(backbone, **kwargs)

        saved = _load_saved_task(preset, load_weights, backbone_kwargs)
        if isinstance(saved, _AnyTask):
            if "preprocessor" not in kwargs:
                kwargs["preprocessor"] = cls.default_preprocessor(
                    cls.preprocessor_cls.tokenizer_cls.from_preset(preset),
                    saved.backbone.max_sequence_length,
                )
            return cls(saved.backbone, **kwargs)
        if type(saved) is cls and not kwargs:
            return saved
        return cls._from_other_task(saved, **kwargs)

    @classmethod
    def default_preprocessor(cls, tokenizer, max_sequence_length):
        """The preprocessor of a task that is made from another task's preset.

        Args:
            tokenizer: the tokenizer of the preset.
            max_sequence_length: int. The positions that there are; the
                preprocessor's default lengths, or as much of them as fits.

        Returns:
            A preprocessor.
        """
        return cls.preprocessor_cls(tokenizer)

    @classmethod
    def arguments_of_other(cls, other, kwargs):
        """Which arguments a task takes over from the saved one.

        Args:
            other: the task that a preset holds, of any class.
            kwargs: dict. The arguments that `from_preset` was given; they
                replace what this method returns.

        Returns:
            A dict of arguments of the constructor: all, from a task of the
            same class, and the preprocessor, from any that has one.
        """
        if isinstance(other, cls):
            arguments = other.get_config()
            del arguments["backbone"], arguments["name"]
            return {**arguments, "preprocessor": other.preprocessor}
        if other.preprocessor is None or "preprocessor" in kwargs:
            return {}
        return {
            "preprocessor": cls.default_preprocessor(
                other.preprocessor.tokenizer,
                other.backbone.max_sequence_length,
            )
        }

    def take_head_of_other(self, other, kwargs):
        """Copies the weights of the head that a saved task has as well.

        Args:
            other: the task that a preset holds, of any class.
            kwargs: dict. The arguments that `from_preset` was given.
        """
        raise NotImplementedError

    @classmethod
    def _from_other_task(cls, other, **kwargs):
        arguments = {**cls.arguments_of_other(other, kwargs), **kwargs}
        task = cls(other.backbone, **arguments)
        task.take_head_of_other(other, kwargs)
        return task


def check_rows_fit(backbone, preprocessor):
    """Checks that the rows of a preprocessor have positions.

    Args:
        backbone: a `UniLMv2Backbone`.
        preprocessor: a preprocessor with a `sequence_length`, or `None`.

    Raises:
        ValueError: if the rows are longer than the position table.
    """
    if preprocessor is None:
        return
    if preprocessor.sequence_length > backbone.max_sequence_length:
        raise ValueError(
            "The rows of the preprocessor are longer than the position table. "
            f"Received: sequence_length={preprocessor.sequence_length}, "
            f"max_sequence_length={backbone.max_sequence_length}. Use a "
            "shorter `sequence_length`, or a backbone with more positions."
        )


def _load_saved_task(preset, load_weights, backbone_kwargs):
    """Loads what a preset holds: a task of any class, or a mere backbone."""
    if set(backbone_kwargs) - {"dtype"}:
        # Of a backbone's arguments KerasHub's loader of tasks passes on the
        # dtype alone.
        backbone_kwargs = {
            "backbone": UniLMv2Backbone.from_preset(
                preset, load_weights, **backbone_kwargs
            )
        }
    try:
        return _load_any_task(preset, load_weights, **backbone_kwargs)
    except ValueError as error:
        # KerasHub means to load floats of any kind in the policy of today, but
        # does not know the names of mixed ones.
        if "Invalid dtype: mixed_" not in str(error):
            raise
        policy = keras.config.dtype_policy()
        return _load_any_task(
            preset, load_weights, **{"dtype": policy, **backbone_kwargs}
        )


def _load_any_task(preset, load_weights, **kwargs):
    # KerasHub restores whatever task a preset holds if it is a subclass of
    # the one that is asked for.
    return keras_hub.models.Task.from_preset.__func__(
        _AnyTask, preset, load_weights, **kwargs
    )


class _IsUniLMv2Task(type):
    def __subclasscheck__(cls, subclass):
        return issubclass(subclass, UniLMv2Task)


class _AnyTask(metaclass=_IsUniLMv2Task):
    """Asks KerasHub's loader for any of the tasks.

    An instance is what the loader makes of a preset that holds none: a mere
    backbone.
    """

    backbone_cls = UniLMv2Backbone
    preprocessor_cls = None

    def __init__(self, backbone):
        self.backbone = backbone
