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
    "task.weights.h5": "head of the task",
    "rel_pos_bias": "relative bias",
    "transformer_embedding": "embeddings",
    "transformer_block": "layers",
    "model.weights.h5": "relative bias",
    "encoder.": "layers",
    "embeddings.": "embeddings",
    "cls.predictions": "language model head",
    "pooler": "pooler",
}


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
        read = _read_preset if is_own_preset(path) else _read_checkpoint
        kind, files, tensors, settings = read(path, config)
        path = vocabulary or find_vocabulary(path)
        vocabulary = _describe_vocabulary(path) if path else None
    sizes, dtypes = Counter(), Counter()
    for name, size, dtype in tensors:
        part = (_PARTS[piece] for piece in _PARTS if piece in name)
        sizes[next(part, "others")] += int(size)
        dtypes[str(dtype)] += int(size)
    description = {
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
            for key, value in sorted(settings.items())
            if isinstance(value, (bool, int, float, str, list, type(None)))
        },
        "vocabulary": vocabulary,
        "notes": [
            str(note.message)
            for note in noted
            if issubclass(note.category, UserWarning)
        ],
    }
    if json_output:
        print(json.dumps(description, indent=2))
    else:
        print(yaml.safe_dump(description, sort_keys=False, allow_unicode=True))


def _read_preset(folder, _):
    folder = pathlib.Path(folder)
    task = backbone = read_config(folder / "config.json")
    if (folder / "task.json").exists():
        task = read_config(folder / "task.json")
    files = sorted(folder.glob("*.h5"))
    tensors = []
    for path in files:
        try:
            with h5py.File(path) as file:
                names = []
                file.visit(names.append)
                tensors += [
                    (f"{path.name}/{name}", file[name].size, file[name].dtype)
                    for name in names
                    # The states of dropout are not parameters.
                    if isinstance(file[name], h5py.Dataset)
                    and "seed_gen" not in name
                ]
        except OSError as error:
            raise ValueError(
                f"{path}: not a readable .h5 file ({error}). It is damaged or "
                "incomplete; save or download the preset again."
            ) from error
    settings = {**task["config"], **backbone["config"]}
    return f"preset, {task['class_name']}", files, tensors, settings


def _read_checkpoint(path, config):
    checkpoint = open_checkpoint(path, config)
    tensors = [
        (name, values.size, values.dtype)
        for name, values in checkpoint.arrays.items()
        if "buffer" not in OPTIONAL_TENSORS.get(name, "")
    ]
    place = pathlib.Path(str(checkpoint.path))
    files = [place]
    if not place.is_file():
        # A preset of KerasHub, or the prefix of a TensorFlow checkpoint.
        files = [*place.glob("*.h5"), *place.parent.glob(f"{place.name}.*")]
    return checkpoint.kind, sorted(files), tensors, checkpoint.config


def _describe_vocabulary(path):
    tokens, _, added = read_vocabulary(path)
    words = [token for token in tokens if not token.startswith("[")]
    is_cased = any(token != token.lower() for token in words)
    return {
        "file": str(path),
        "tokens": max([len(tokens) - 1, *added.values()]) + 1,
        "letters": "upper and lower case" if is_cased else "lower case",
        "first": tokens[:8],
        "SHA-256": file_checksum(path),
    }
