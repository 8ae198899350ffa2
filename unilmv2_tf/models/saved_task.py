"""Loading a task without knowing its class."""

import json
import os

import keras


def load_task(preset, **kwargs):
    """Loads the task of a preset folder, whatever its class is.

    Args:
        preset: string. A folder that `save_to_preset` of a task wrote.
        **kwargs: see `from_preset` of the task.

    Returns:
        A task of this package.

    Raises:
        ValueError: if there is no such folder, or it holds no such task.
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
