"""Preset folders, written whole and read as whatever they hold."""

import json
import os

import keras
import numpy as np

from unilmv2_tf.checkpoints.model_card import write_model_card
from unilmv2_tf.checkpoints.readers import read_tensors
from unilmv2_tf.checkpoints.safetensors_file import write_safetensors
from unilmv2_tf.filesystem import replacing
from unilmv2_tf.filesystem import write_text
from unilmv2_tf.models import UniLMv2Backbone
from unilmv2_tf.preprocessing import UniLMv2Tokenizer

# Tensors of a checkpoint for which a preset has no place. The way back writes
# them again.
LEFT_OUT_NAME = "left_out.safetensors"
CONVERSION_NAME = "conversion.json"


def load_preset(folder):
    """Loads the model that a preset folder holds, of whatever class.

    Args:
        folder: str or path.

    Returns:
        A tuple of a backbone or a task, and its `UniLMv2Tokenizer`, or `None`
        if there is none.

    Example:

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     UniLMv2Backbone.from_preset(
    ...         "unilmv2_tiny", load_weights=False).save_to_preset(folder)
    ...     model, tokenizer = load_preset(folder)
    >>> type(model).__name__, tokenizer
    ('UniLMv2Backbone', None)
    """
    folder = os.fspath(folder)
    cls = UniLMv2Backbone
    task_file = os.path.join(folder, "task.json")
    if os.path.exists(task_file):
        with open(task_file, encoding="utf-8") as file:
            name = json.load(file)["registered_name"]
        cls = keras.saving.get_registered_object(name)
        if cls is None:
            raise ValueError(
                f"{folder!r} holds a {name}, a class that is not registered. "
                "Import the module that defines it."
            )
    model = cls.from_preset(folder)
    tokenizer = getattr(getattr(model, "preprocessor", None), "tokenizer", None)
    if tokenizer is None and os.path.exists(
        os.path.join(folder, "tokenizer.json")
    ):
        tokenizer = UniLMv2Tokenizer.from_preset(folder)
    return model, tokenizer


def read_left_out(folder):
    """Reads the tensors that the conversion into a preset left out.

    Args:
        folder: str or path of a preset.

    Returns:
        A dict from names to NumPy arrays, empty if there are none.

    Example:

    >>> read_left_out("no/such/preset")
    {}
    """
    path = os.path.join(folder, LEFT_OUT_NAME)
    return read_tensors(path) if os.path.exists(path) else {}


def write_preset(
    model,
    folder,
    tokenizer=None,
    left_out=None,
    placements=(),
    finish=None,
    **card,
):
    """Writes a preset folder, which appears whole or not at all.

    Args:
        model: a `UniLMv2Backbone` or a UniLMv2 task.
        folder: str or path. What is there is replaced.
        tokenizer: a `UniLMv2Tokenizer`, for a model without a preprocessor.
            Defaults to `None`.
        left_out: dict from names to arrays that the model has no place for.
            Defaults to `None`.
        placements: list of `Placement`s, noted in `conversion.json`. Defaults
            to none.
        finish: function of the folder, called before the card is written.
            Defaults to `None`.
        **card: what the model card tells, see `write_model_card`.

    Example:

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_preset(UniLMv2Backbone.from_preset(
    ...         "unilmv2_tiny", load_weights=False), folder)
    ...     sorted(os.listdir(folder))
    ['README.md', 'config.json', 'metadata.json', 'model.weights.h5']
    """
    with replacing(folder) as temporary:
        os.mkdir(temporary)
        model.save_to_preset(temporary)
        if tokenizer is not None:
            tokenizer.save_to_preset(temporary)
        if left_out:
            write_safetensors(
                os.path.join(temporary, LEFT_OUT_NAME),
                {name: np.array(values) for name, values in left_out.items()},
            )
        if placements:
            rows = [placement._asdict() for placement in placements]
            write_text(
                os.path.join(temporary, CONVERSION_NAME),
                json.dumps(rows, indent=1) + "\n",
            )
        if finish is not None:
            finish(temporary)
        write_model_card(temporary, **card)
