"""Sizes of UniLMv2 that have a name. They are configurations, not weights."""

import contextlib
import os


def _size(num_layers, hidden_dim, num_heads, description):
    return {
        "description": description,
        "config": {
            "vocabulary_size": 30522,
            "num_layers": num_layers,
            "num_heads": num_heads,
            "hidden_dim": hidden_dim,
            "intermediate_dim": 4 * hidden_dim,
        },
    }


# Base is the paper's model (section 4.1, table 7), large the one that its
# authors released later. All heads have 64 dimensions.
PRESETS = {
    "unilmv2_tiny": _size(2, 128, 2, "2 layers, hidden size 128."),
    "unilmv2_mini": _size(4, 256, 4, "4 layers, hidden size 256."),
    "unilmv2_small": _size(6, 512, 8, "6 layers, hidden size 512."),
    "unilmv2_base": _size(12, 768, 12, "12 layers, hidden size 768."),
    "unilmv2_large": _size(24, 1024, 16, "24 layers, hidden size 1024."),
}
# As the `presets` of KerasHub's classes.
PRESET_METADATA = {
    name: {"metadata": {"description": preset["description"]}}
    for name, preset in PRESETS.items()
}


def preset_config(name, **overrides):
    """The backbone arguments of a built-in size, with overrides.

    >>> preset_config("unilmv2_tiny", vocabulary_size=8000)["num_layers"]
    2
    """
    if name not in PRESETS:
        raise ValueError(
            f"`preset` must be one of {', '.join(PRESETS)}, or the path or "
            "handle of a preset folder (one that `save_to_preset` wrote). "
            f"Received: preset={name}"
        )
    return {**PRESETS[name]["config"], **overrides}


def is_preset_location(preset):
    """True for a folder and for a handle such as `hf://user/model`."""
    preset = os.fspath(preset)
    if preset in PRESETS:
        return False
    return "://" in preset or os.path.isdir(preset)


@contextlib.contextmanager
def hub_errors(preset):
    """Adds a remedy to the error of a hub's repository that lacks a file."""
    try:
        yield
    except FileNotFoundError as error:
        if "://" not in os.fspath(preset):
            raise
        raise FileNotFoundError(
            f"{preset} lacks a file that presets have: {error}. Download the "
            "whole folder and pass its path; a checkpoint in another format "
            "goes to `unilmv2 convert` first"
        ) from None
