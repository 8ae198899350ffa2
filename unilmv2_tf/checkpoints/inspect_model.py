"""`unilmv2 inspect`: describes a preset or a checkpoint."""

import json
import pathlib
import warnings
from collections import Counter

import h5py
import yaml

from unilmv2_tf.checkpoints.layouts import OPTIONAL_TENSORS
from unilmv2_tf.checkpoints.loading import open_checkpoint
from unilmv2_tf.checkpoints.readers import find_vocabulary
from unilmv2_tf.checkpoints.readers import is_own_preset
from unilmv2_tf.checkpoints.readers import read_config
from unilmv2_tf.checkpoints.readers import read_vocabulary
from unilmv2_tf.filesystem import file_checksum

# Pieces of the names of tensors, and of those in the files of a preset.
_PARTS = {
    "rel_pos_bias": "relative bias",
    "encoder.": "layers",
    "embeddings.": "embeddings",
    "cls.predictions": "language model head",
    "pooler": "pooler",
}
_PRESET_PARTS = {
    "task.weights.h5": "head of the task",
    "transformer_embedding": "embeddings",
    "transformer_block": "layers",
    "model": "relative bias",
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
        json_output: Whether to print JSON instead of YAML.
    """
    with warnings.catch_warnings(record=True) as noted:
        warnings.simplefilter("always", UserWarning)
        if is_own_preset(path):
            description = _describe_preset(pathlib.Path(path))
        else:
            description = _describe_checkpoint(path, config)
    found = vocabulary or find_vocabulary(path)
    description["vocabulary"] = _describe_vocabulary(found) if found else None
    description["notes"] = [
        str(note.message)
        for note in noted
        if issubclass(note.category, UserWarning)
    ]
    if json_output:
        print(json.dumps(description, indent=2))
    else:
        print(yaml.safe_dump(description, sort_keys=False, allow_unicode=True))


def _describe(kind, files, tensors, config):
    """`tensors` are tuples of part, number of parameters and dtype."""
    sizes, dtypes = Counter(), Counter()
    for part, size, dtype in tensors:
        sizes[part] += int(size)
        dtypes[str(dtype)] += int(size)
    return {
        "kind": kind,
        "files": {
            file.name: {
                "bytes": file.stat().st_size,
                "SHA-256": file_checksum(file),
            }
            for file in files
        },
        "parameters": {**sizes, "total": sizes.total()},
        "dtypes": dict(dtypes),
        "configuration": {
            key: value
            for key, value in sorted(config.items())
            if isinstance(value, (bool, int, float, str, list, type(None)))
        },
    }


def _part(name, parts):
    return next((parts[piece] for piece in parts if piece in name), "others")


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
        if isinstance(item, h5py.Dataset) and "seed_gen" not in name:
            part = _part(f"{path.name}/{name}", _PRESET_PARTS)
            tensors.append((part, item.size, item.dtype))

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
    tensors = [
        (_part(name, _PARTS), values.size, values.dtype)
        for name, values in checkpoint.weights.arrays.items()
        if "buffer" not in OPTIONAL_TENSORS.get(name, "")
    ]
    place = pathlib.Path(str(checkpoint.path))
    if place.is_file():
        files = [place]
    elif place.is_dir():
        files = sorted(place.glob("*.h5"))
    else:
        files = sorted(place.parent.glob(f"{place.name}.*"))
    return _describe(checkpoint.kind, files, tensors, checkpoint.config)


def _describe_vocabulary(path):
    tokens, _, added = read_vocabulary(path)
    words = [token for token in tokens if not token.startswith("[")]
    is_cased = any(token != token.lower() for token in words)
    return {
        "file": str(path),
        "tokens": max([len(tokens) - 1, *added.values()]) + 1,
        "letters": "upper and lower case" if is_cased else "lower case",
        "first": tokens[:_FIRST_TOKENS],
        "SHA-256": file_checksum(path),
    }
