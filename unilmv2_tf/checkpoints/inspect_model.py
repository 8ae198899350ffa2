import json
import os
import pathlib
import warnings
from collections import Counter

import h5py
import numpy as np

from unilmv2_tf.checkpoints.checksums import file_checksum
from unilmv2_tf.checkpoints.layouts import OPTIONAL_TENSORS
from unilmv2_tf.checkpoints.sources import is_own_preset
from unilmv2_tf.checkpoints.sources import open_checkpoint
from unilmv2_tf.checkpoints.tokenizers import find_vocabulary

_PRESET_WEIGHTS = ("model.weights.h5", "task.weights.h5")
_FIRST_TOKENS = 8


def inspect_model(
    path: str,
    config: str | None = None,
    vocabulary: str | None = None,
    json_output: bool = False,
):
    """Describes a preset or a checkpoint, without running it.

    Args:
        path: A preset folder of ours, or what convert takes as its source.
        config: The model's configuration, a JSON file, for a checkpoint
            without one beside it.
        vocabulary: The vocabulary file. Without it, the one beside the
            weights.
        json_output: Whether to print JSON.
    """
    description = describe_model(path, config, vocabulary)
    if json_output:
        print(json.dumps(description, indent=2))
        return
    for section, content in description.items():
        if not isinstance(content, dict):
            print(f"{section}: {content}")
            continue
        print(f"{section}:")
        width = max((len(name) for name in content), default=0)
        for name, value in content.items():
            print(f"  {name:{width}}  {_readable(value)}")


def describe_model(path, config=None, vocabulary=None):
    """Describes a preset or a checkpoint.

    Args:
        path: str. A preset folder of ours, or what `load_official` takes.
        config: str, see `load_official`. Defaults to `None`.
        vocabulary: str. A vocabulary file. Defaults to `None`, the one beside
            the weights.

    Returns:
        A dict of sections: kind, files (bytes and SHA-256), parameters by
        part, dtypes, configuration, vocabulary, notes.

    Raises:
        ValueError: if it cannot be read.
        FileNotFoundError: if there is nothing at `path`.

    Example:

    >>> import tempfile
    >>> from unilmv2_tf import UniLMv2Backbone
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     UniLMv2Backbone.from_preset(
    ...         "unilmv2_tiny", load_weights=False).save_to_preset(folder)
    ...     description = describe_model(folder)
    >>> description["kind"], description["parameters"]["in all"]
    ('preset, UniLMv2Backbone', 4369472)
    """
    with warnings.catch_warnings(record=True) as noted:
        warnings.simplefilter("always", UserWarning)
        if is_own_preset(path):
            description = _describe_preset(path)
        else:
            description = _describe_checkpoint(path, config)
    found = vocabulary or find_vocabulary(path)
    description["vocabulary"] = (
        _describe_vocabulary(found) if found else "none beside it"
    )
    notes = [
        str(warning.message)
        for warning in noted
        if issubclass(warning.category, UserWarning)
    ]
    if notes:
        description["notes"] = {
            str(number): note for number, note in enumerate(notes, start=1)
        }
    return description


def _describe_preset(folder):
    folder = pathlib.Path(folder)
    task = folder / "task.json"
    described = json.loads(
        (task if task.exists() else folder / "config.json").read_text("utf-8")
    )
    backbone = json.loads((folder / "config.json").read_text("utf-8"))
    names = [name for name in _PRESET_WEIGHTS if (folder / name).exists()]
    sizes, dtypes = Counter(), Counter()
    for name in names:
        for path, dataset in _datasets(folder / name):
            part = _preset_part(path, is_task=name.startswith("task"))
            sizes[part] += dataset.size
            dtypes[str(dataset.dtype)] += dataset.size
    shards = sorted(entry.name for entry in folder.glob("model_*.weights.h5"))
    return {
        "kind": f"preset, {described['class_name']}",
        "files": _files(folder / name for name in (*names, *shards)),
        "parameters": _with_sum(sizes),
        "dtypes": dict(dtypes),
        "configuration": _plain_values(
            {**described["config"], **backbone["config"]}
        ),
    }


def _datasets(path):
    found = []
    try:
        with h5py.File(path) as file:
            file.visititems(
                lambda name, item: (
                    found.append((name, _Described(item.size, item.dtype)))
                    if isinstance(item, h5py.Dataset)
                    else None
                )
            )
    except OSError as error:
        raise ValueError(
            f"{path}: not a readable .h5 file ({error}). It is damaged or "
            "incomplete; save or download the preset again."
        ) from error
    # States of dropout are no parameters.
    return [(name, item) for name, item in found if "seed_gen" not in name]


class _Described:
    def __init__(self, size, dtype):
        self.size, self.dtype = int(size), np.dtype(dtype)


def _preset_part(path, is_task):
    if is_task:
        return "head of the task"
    if "transformer_embedding" in path:
        return "embeddings"
    return "layers" if "transformer_block" in path else "relative bias"


def _describe_checkpoint(path, config):
    checkpoint = open_checkpoint(path, config)
    sizes, dtypes = Counter(), Counter()
    for name, values in checkpoint.weights.arrays.items():
        if "buffer" not in OPTIONAL_TENSORS.get(name, ""):
            sizes[_official_part(name)] += values.size
    for values in checkpoint.tensors.values():
        dtypes[str(values.dtype)] += values.size
    place = pathlib.Path(str(checkpoint.path))
    if place.is_dir():
        files = sorted(place.glob("*.h5"))
    elif place.is_file():
        files = [place]
    else:
        files = sorted(place.parent.glob(f"{place.name}.*"))
    return {
        "kind": checkpoint.kind,
        "files": _files(files),
        "parameters": _with_sum(sizes),
        "dtypes": dict(dtypes),
        "configuration": _plain_values(checkpoint.config),
    }


def _official_part(name):
    for start, part in (
        ("embeddings.", "embeddings"),
        ("encoder.", "layers"),
        ("rel_pos_bias", "relative bias"),
        ("cls.predictions", "language model head"),
        ("pooler", "pooler"),
    ):
        if name.startswith(start):
            return part
    return "others"


def _with_sum(sizes):
    return {**sizes, "in all": sum(sizes.values())}


def _plain_values(config):
    return {
        key: value
        for key, value in sorted(config.items())
        if isinstance(value, (bool, int, float, str, list, type(None)))
    }


def _files(paths):
    return {
        path.name: {
            "bytes": os.path.getsize(path),
            "SHA-256": file_checksum(path),
        }
        for path in map(pathlib.Path, paths)
    }


def _describe_vocabulary(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        tokens = [line.rstrip("\r\n") for line in file]
    cased = any(
        token != token.lower() for token in tokens if not token.startswith("[")
    )
    return {
        "file": str(path),
        "tokens": len(tokens),
        "letters": "upper and lower case" if cased else "lower case",
        "first": tokens[:_FIRST_TOKENS],
        "SHA-256": file_checksum(path),
    }


def _readable(value):
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, dict):
        return ", ".join(
            f"{name} {_readable(part)}" for name, part in value.items()
        )
    if isinstance(value, list):
        return " ".join(map(str, value))
    return value
