import contextlib
import inspect
import os

import keras
import keras_hub

from unilmv2_tf.layers import LanguageModelHead
from unilmv2_tf.models.backbone import UniLMv2Backbone
from unilmv2_tf.models.backbone import kernel_initializer
from unilmv2_tf.models.presets import PRESETS
from unilmv2_tf.models.presets import is_preset_location
from unilmv2_tf.models.presets import preset_config


class LanguageModelTask:
    """What the tasks with a language model head have in common.

    A mix-in for subclasses of `keras_hub.models.Task`: the backbone with the
    head, and presets. A preset that one of these tasks has saved can be loaded
    as any other of them, head included.

    Args:
        backbone: a `UniLMv2Backbone`.
        preprocessor: a preprocessor of the task, or `None`.
        pseudo_token_id: int. The id that stands in the pseudo block. Defaults
            to the one of the preprocessor's tokenizer.
        **kwargs: see `keras_hub.models.Task`.

    Reference:
        Bao et al., 2020, section 3.1.
    """

    backbone_cls = UniLMv2Backbone
    presets = {
        name: {"metadata": {"description": preset["description"]}}
        for name, preset in PRESETS.items()
    }

    def __init__(
        self, backbone, preprocessor=None, pseudo_token_id=None, **kwargs
    ):
        unknown = set(kwargs) - {"name", "trainable", "compile"}
        if unknown:
            # Keras would drop them without a word.
            raise TypeError(
                f"`{type(self).__name__}` has no argument "
                f"{', '.join(sorted(unknown))}. It takes those of its "
                "constructor and `name`, `trainable`, `compile`; arguments of "
                "the backbone go to the backbone."
            )
        if pseudo_token_id is None and preprocessor is not None:
            pseudo_token_id = preprocessor.tokenizer.pseudo_token_id
        # === Layers ===
        self.backbone = backbone
        self.preprocessor = preprocessor
        self.language_model_head = LanguageModelHead(
            token_embedding=backbone.token_embedding,
            layer_norm_epsilon=backbone.layer_norm_epsilon,
            kernel_initializer=kernel_initializer(),
            dtype=backbone.dtype_policy,
            name="language_model_head",
        )

        # === Functional Model ===
        inputs, outputs = self.make_graph(backbone, pseudo_token_id)
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)

        # === Config ===
        self.pseudo_token_id = pseudo_token_id

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

    def fit(
        self, x=None, y=None, batch_size=None, sample_weight=None, **kwargs
    ):
        """Trains on raw strings, masked anew in every epoch, or on integers.

        Args:
            x: what the preprocessor takes, batched if it is a dataset; or,
                without a preprocessor, what it returns.
            y: labels, without a preprocessor only.
            batch_size: int, for `x` that is not a dataset. Defaults to `32`.
            sample_weight: weights, without a preprocessor only.
            **kwargs: see `keras.Model.fit`.

        Returns:
            A `keras.callbacks.History`.
        """
        if hasattr(self.preprocessor, "renew_each_epoch"):
            x = self.preprocessor.renew_each_epoch(x, batch_size or 32)
            batch_size = None
            # It was, unless it came as a dataset.
            kwargs["shuffle"] = False
        return super().fit(x, y, batch_size, sample_weight, **kwargs)

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

    def get_config(self):
        config = super().get_config()
        config["pseudo_token_id"] = self.pseudo_token_id
        return config

    @classmethod
    def from_preset(cls, preset, load_weights=True, **kwargs):
        """Makes a task from a built-in size, a folder or a handle.

        A preset that another UniLMv2 language model task has saved gives its
        head as well as its backbone.

        Args:
            preset: string. A built-in size, or whatever `keras_hub` takes: a
                local preset folder, `hf://...`, `kaggle://...`.
            load_weights: bool. Whether to load saved weights. Defaults to
                `True`.
            **kwargs: arguments of the task, and arguments of the backbone that
                replace those of the preset.

        Returns:
            A task of this class.

        Raises:
            ValueError: if there is no such preset.

        Example:

        >>> from unilmv2_tf import UniLMv2PseudoMaskedLM
        >>> task = UniLMv2PseudoMaskedLM.from_preset(
        ...     "unilmv2_tiny", vocabulary_size=99, pseudo_token_id=4)
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
            config = preset_config(preset, **backbone_kwargs)
            return cls(UniLMv2Backbone(**config), **kwargs)

        if set(backbone_kwargs) - {"dtype"}:
            # Of a backbone's arguments KerasHub's loader of tasks passes on
            # the dtype alone.
            backbone_kwargs = {
                "backbone": UniLMv2Backbone.from_preset(
                    preset, load_weights, **backbone_kwargs
                )
            }
        # KerasHub restores whatever task a preset holds if it is a subclass of
        # the one that is asked for.
        saved = keras_hub.models.Task.from_preset.__func__(
            _AnyLanguageModel, preset, load_weights, **backbone_kwargs
        )
        if isinstance(saved, _AnyLanguageModel):
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
    def _from_other_task(cls, other, **kwargs):
        if isinstance(other, cls):
            config = other.get_config()
            del config["backbone"], config["name"]
            config["preprocessor"] = other.preprocessor
            kwargs = {**config, **kwargs}
        elif other.preprocessor is not None and "preprocessor" not in kwargs:
            kwargs["preprocessor"] = cls.default_preprocessor(
                other.preprocessor.tokenizer,
                other.backbone.max_sequence_length,
            )
        kwargs.setdefault("pseudo_token_id", other.pseudo_token_id)
        task = cls(other.backbone, **kwargs)
        task.language_model_head.set_weights(
            other.language_model_head.get_weights()
        )
        return task


class _IsLanguageModelTask(type):
    def __subclasscheck__(cls, subclass):
        return issubclass(subclass, LanguageModelTask)


class _AnyLanguageModel(metaclass=_IsLanguageModelTask):
    """Asks KerasHub's loader for any of the tasks above.

    An instance is what the loader makes of a preset that holds none: a mere
    backbone.
    """

    backbone_cls = UniLMv2Backbone
    preprocessor_cls = None

    def __init__(self, backbone):
        self.backbone = backbone
