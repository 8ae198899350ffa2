"""`unilmv2 inspect`: describes a preset or a checkpoint."""

import json
import os
import pathlib
import warnings
from collections import Counter

import h5py

from unilmv2_tf.checkpoints.layouts import OPTIONAL_TENSORS
from unilmv2_tf.checkpoints.loading import open_checkpoint
from unilmv2_tf.checkpoints.readers import find_vocabulary
from unilmv2_tf.checkpoints.readers import is_own_preset
from unilmv2_tf.checkpoints.readers import read_config
from unilmv2_tf.filesystem import file_checksum

# Beginnings of the names of tensors, and pieces of the names in a preset.
_PARTS = {
    "embeddings.": "embeddings",
    "encoder.": "layers",
    "rel_pos_bias": "relative bias",
    "cls.predictions": "language model head",
    "pooler": "pooler",
}
_PRESET_PARTS = {
    "transformer_embedding": "embeddings",
    "transformer_block": "layers",
}
_FIRST_TOKENS = 8


def inspect_model(
    path: str,
    config: str | None = None,
    vocabulary: str | None = None,
    json_output: bool = False,
):
    """Describes a preset or a checkpoint, without running it.

    Args:
        path: A preset folder of this package, or a source of convert.
        config: The model's configuration, a JSON file, for a checkpoint
            without one beside it.
        vocabulary: The vocabulary file. Defaults to the one beside the
            weights.
        json_output: Whether to print JSON.
    """
    with warnings.catch_warnings(record=True) as noted:
        warnings.simplefilter("always", UserWarning)
        if is_own_preset(path):
            description = _describe_preset(pathlib.Path(path))
        else:
            description = _describe_checkpoint(path, config)
    found = vocabulary or find_vocabulary(path)
    description["vocabulary"] = (
        _describe_vocabulary(found) if found else "none beside it"
    )
    notes = [
        str(note.message)
        for note in noted
        if issubclass(note.category, UserWarning)
    ]
    if notes:
        description["notes"] = dict(enumerate(notes, start=1))
    if json_output:
        print(json.dumps(description, indent=2))
    else:
        _print(description)


def _print(description):
    for section, content in description.items():
        if not isinstance(content, dict):
            print(f"{section}: {content}")
            continue
        print(f"{section}:")
        width = max((len(str(name)) for name in content), default=0)
        for name, value in content.items():
            print(f"  {name:{width}}  {_readable(value)}")


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


def _describe(kind, files, tensors, config):
    """`tensors` are tuples of part, number of parameters and dtype."""
    sizes, dtypes = Counter(), Counter()
    for part, size, dtype in tensors:
        sizes[part] += size
        dtypes[str(dtype)] += size
    return {
        "kind": kind,
        "files": {
            path.name: {
                "bytes": os.path.getsize(path),
                "SHA-256": file_checksum(path),
            }
            for path in files
        },
        "parameters": {**sizes, "total": sum(sizes.values())},
        "dtypes": dict(dtypes),
        "configuration": {
            key: value
            for key, value in sorted(config.items())
            if isinstance(value, (bool, int, float, str, list, type(None)))
        },
    }


def _describe_preset(folder):
    backbone = read_config(folder / "config.json")
    task = backbone
    if (folder / "task.json").exists():
        task = read_config(folder / "task.json")
    files = sorted(folder.glob("*.h5"))
    return _describe(
        f"preset, {task['class_name']}",
        files,
        [tensor for file in files for tensor in _preset_tensors(file)],
        {**task["config"], **backbone["config"]},
    )


def _preset_tensors(path):
    tensors = []

    def add(name, item):
        # The states of dropout are not parameters.
        if not isinstance(item, h5py.Dataset) or "seed_gen" in name:
            return
        parts = [part for piece, part in _PRESET_PARTS.items() if piece in name]
        part = parts[0] if parts else "relative bias"
        if path.name.startswith("task"):
            part = "head of the task"
        tensors.append((part, int(item.size), item.dtype))

    try:
        with h5py.File(path) as file:
            file.visititems(add)
    except OSError as error:
        raise ValueError(
            f"{path}: not a readable .h5 file ({error}). It is damaged or "
            "incomplete; save or download the preset again."
        ) from error
    return tensors


def _describe_checkpoint(path, config):
    checkpoint = open_checkpoint(path, config)
    tensors = []
    for name, values in checkpoint.weights.arrays.items():
        parts = [
            part for start, part in _PARTS.items() if name.startswith(start)
        ]
        if "buffer" not in OPTIONAL_TENSORS.get(name, ""):
            part = parts[0] if parts else "others"
            tensors.append((part, values.size, values.dtype))
    place = pathlib.Path(str(checkpoint.path))
    if place.is_dir():
        files = sorted(place.glob("*.h5"))
    elif place.is_file():
        files = [place]
    else:
        files = sorted(place.parent.glob(f"{place.name}.*"))
    return _describe(checkpoint.kind, files, tensors, checkpoint.config)


def _describe_vocabulary(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        tokens = [line.rstrip("\r\n") for line in file]
    is_cased = any(
        token != token.lower() for token in tokens if not token.startswith("[")
    )
    return {
        "file": str(path),
        "tokens": len(tokens),
        "letters": "upper and lower case" if is_cased else "lower case",
        "first": tokens[:_FIRST_TOKENS],
        "SHA-256": file_checksum(path),
    }
