"""What a training was begun with, and whether it goes on with the same."""

import dataclasses
import json
import os

from unilmv2_tf.filesystem import write_text


def remember_settings(settings, free, **facts):
    """Writes what determines a training's result, or compares with it.

    Args:
        settings: a dataclass with an `output`, the folder of `settings.json`.
        free: set of strings. The settings that may differ when it goes on.
        **facts: what else determines the result, for example the number of
            examples.

    Raises:
        ValueError: if an earlier training there was of other settings.
    """
    path = os.path.join(settings.output, "settings.json")
    values = {
        key: value
        for key, value in dataclasses.asdict(settings).items()
        if key not in free
    }
    values.update(facts)
    if os.path.exists(path):
        check_same_settings(path, values)
    else:
        write_text(path, json.dumps(values, indent=2) + "\n")


def check_same_settings(path, settings):
    """Checks that a training goes on with the settings it began with.

    Args:
        path: string. The file of the earlier ones.
        settings: dict. The present ones.

    Raises:
        ValueError: if they differ.
    """
    changed = changed_settings(path, settings)
    if changed:
        raise ValueError(
            "`output` holds a training with other settings. Received: "
            f"output={os.path.dirname(path)}, begun with {', '.join(changed)}. "
            "Choose another folder, or the settings it was begun with."
        )


def changed_settings(path, settings):
    """Lists the settings that differ from earlier ones.

    Args:
        path: string. The file of the earlier ones.
        settings: dict. The present ones.

    Returns:
        A list of strings, empty if all are the same.

    Raises:
        ValueError: if the file is damaged.

    Example:

    >>> import os, tempfile
    >>> from unilmv2_tf.training.settings import changed_settings
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = os.path.join(folder.name, "settings.json")
    >>> with open(path, "w") as file:
    ...     _ = file.write('{"seed": 1}')
    >>> changed_settings(path, {"seed": 2})
    ['seed=1 (now 2)']
    """
    try:
        with open(path, encoding="utf-8") as file:
            earlier = json.load(file)
    except ValueError as error:
        raise ValueError(
            f"{path} is damaged ({error}). Delete it to go on with the "
            "present settings, if they are the same as before."
        ) from None
    return [
        f"{name}={value!r} (now {settings.get(name)!r})"
        for name, value in earlier.items()
        if settings.get(name) != value
    ]
