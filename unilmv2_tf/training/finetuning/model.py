import json
import os

import keras

from unilmv2_tf.models import is_preset_location
from unilmv2_tf.preprocessing import UniLMv2Tokenizer


def load_tokenizer(settings):
    """The tokenizer of a fine-tuning.

    Args:
        settings: a `FinetuningSettings`.

    Returns:
        A `UniLMv2Tokenizer`: that of the preset folder, or, for a built-in
        size, one with the vocabulary of the settings.

    Raises:
        ValueError: if a built-in size has no vocabulary, or a preset folder
            has two.
    """
    if is_preset_location(settings.preset):
        if settings.vocabulary is not None:
            raise ValueError(
                "`vocabulary` must be left out with a preset folder, which has "
                f"its own. Received: vocabulary={settings.vocabulary}, preset="
                f"{settings.preset}"
            )
        return UniLMv2Tokenizer.from_preset(settings.preset)
    if settings.vocabulary is None:
        raise ValueError(
            "`vocabulary` is needed with a built-in size: a file that `unilmv2 "
            f"vocabulary` wrote. Received: preset={settings.preset}. A preset "
            "folder has its own vocabulary."
        )
    return UniLMv2Tokenizer(settings.vocabulary, lowercase=settings.lowercase)


def model_arguments(settings, tokenizer):
    """What `from_preset` is told beside the preset.

    Args:
        settings: a `FinetuningSettings`.
        tokenizer: a `UniLMv2Tokenizer`.

    Returns:
        A dict of arguments.
    """
    arguments = {"dtype": settings.precision, **settings.backbone}
    if not is_preset_location(settings.preset):
        # Random weights are what the user asked for with a built-in size.
        arguments["load_weights"] = False
        arguments["vocabulary_size"] = tokenizer.vocabulary_size()
    return arguments


def load_task(preset, **kwargs):
    """Loads whatever task a preset holds.

    Args:
        preset: string. A folder.
        **kwargs: see `from_preset` of the task.

    Returns:
        A KerasHub task.

    Raises:
        ValueError: if there is no such folder, or it holds no task.
    """
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
    return cls.from_preset(preset, **kwargs)
