"""Readers of checkpoints, by format.

A reader takes the user's path (or object) and configuration, and returns the
tensors by the names of `layouts`, with a configuration of Hugging Face's keys.
`open_checkpoint` chooses the reader. Nothing in a file is executed.
"""

import hashlib
import json
import os
import pathlib
from typing import NamedTuple

import ml_dtypes
import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from unilmv2_tf.checkpoints.pytorch_files import read_pytorch_file

CONFIG_NAME = "config.json"
WEIGHT_NAMES = ("model.safetensors", "pytorch_model.bin")
_INDEX_SUFFIX = ".index.json"
_PYTORCH_SUFFIXES = (".bin", ".pt", ".pth")


class Tensors(NamedTuple):
    """What a reader returns."""

    # The file, or the object.
    path: object
    # Its format, for reports.
    kind: str
    # Name -> NumPy array.
    arrays: dict
    # Of Hugging Face's keys; `None` if there is no configuration at all.
    config: dict | None


def is_float(dtype):
    """Whether a dtype is a floating-point one, bfloat16 included."""
    dtype = np.dtype(dtype)
    return dtype.kind == "f" or dtype == ml_dtypes.bfloat16


def read_config(config, beside):
    """Reads a configuration: a dict, a JSON file, or the file `beside`."""
    if isinstance(config, dict):
        return dict(config)
    path = pathlib.Path(beside if config is None else config).expanduser()
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(
            f"A configuration must be a JSON file. Received: {str(path)!r}, "
            f"{error}"
        ) from error
    if not isinstance(content, dict):
        raise ValueError(
            "A configuration must be a JSON object with keys such as "
            f"vocab_size. Received: {type(content).__name__} in {str(path)!r}"
        )
    return content


# === PyTorch and safetensors: files and folders ===


def read_files(source, config=None):
    """Reads `.safetensors` and PyTorch files, and folders with one of them."""
    path = find_weights(source)
    beside = find_config(path)
    if config is not None or beside is not None:
        config = read_config(config, beside)
    arrays = read_tensors(path)
    names = " ".join(arrays)
    if "qkv_linear" in names:
        kind = "UniLM v2, fused projections"
    elif "cls.predictions.decoder_weight" in names:
        kind = "s2s-ft, saved"
    else:
        kind = "UniLM v2" if "rel_pos_bias" in names else "BERT"
    return Tensors(path, kind, arrays, config)


def find_weights(path):
    """The file of weights, or the index of its shards, at a path."""
    path = pathlib.Path(path).expanduser()
    if not path.exists():
        raise FileNotFoundError(
            "`path` must be a file of weights or a folder. Received: "
            f"{str(path)!r}, which does not exist."
        )
    if not path.is_dir():
        return path
    for name in WEIGHT_NAMES:
        for found in (path / name, path / f"{name}{_INDEX_SUFFIX}"):
            if found.exists():
                return found
    suffixes = (".safetensors", *_PYTORCH_SUFFIXES)
    named = [entry for entry in path.iterdir() if entry.suffix in suffixes]
    if len(named) == 1:
        return named[0]
    found = sorted(entry.name for entry in path.iterdir())[:8]
    raise FileNotFoundError(
        f"A folder must hold {' or '.join(WEIGHT_NAMES)}, or the index of its "
        f"shards. Received: {str(path)!r} with {found}. Pass the file itself "
        "if it has another name."
    )


def find_config(weights_path):
    """`NAME-config.json` beside `NAME.bin`, or `config.json`, or `None`."""
    for name in (f"{weights_path.stem}-{CONFIG_NAME}", CONFIG_NAME):
        if weights_path.with_name(name).exists():
            return weights_path.with_name(name)
    return None


def read_tensors(path):
    """Reads the arrays of a file, or of the shards that an index names."""
    path = pathlib.Path(path)
    if path.name.endswith(_INDEX_SUFFIX):
        arrays = {}
        for name in sorted(set(read_config(None, path)["weight_map"].values())):
            arrays |= read_tensors(path.with_name(name))
        return arrays
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if path.suffix in _PYTORCH_SUFFIXES:
        return read_pytorch_file(path)
    raise ValueError(
        "A file of weights must end in .safetensors, .bin, .pt or .pth. "
        f"Received: {path.name!r}"
    )


# The format has no checksum. Other readers ignore this key of the metadata.
_DIGEST_KEY = "unilmv2_tf.sha256"


def _digest(arrays):
    result = hashlib.sha256()
    for name, values in sorted(arrays.items()):
        result.update(f"{name} {values.dtype} {values.shape} ".encode())
        values = np.asarray(values, order="C")
        result.update(values.reshape(-1).view(np.uint8))
    return result.hexdigest()


def _read_safetensors(path):
    try:
        with safe_open(path, framework="numpy") as file:
            expected = (file.metadata() or {}).get(_DIGEST_KEY)
            arrays = {name: file.get_tensor(name) for name in file.keys()}
    except FileNotFoundError:
        raise
    # SafetensorError, or TypeError and others for a dtype NumPy lacks.
    except Exception as error:
        raise ValueError(
            f"{path}: not a readable .safetensors file ({error}). It is "
            "damaged or of another format; download it again."
        ) from error
    if expected is not None and _digest(arrays) != expected:
        raise ValueError(
            f"{path}: the SHA-256 of the tensors is not the one noted in the "
            "file: it was damaged or edited. Copy or download it again or, if "
            "the change is wanted, save the tensors without the metadata "
            f"{_DIGEST_KEY!r}."
        )
    return arrays


def write_safetensors(path, arrays):
    """Writes a `.safetensors` file that notes a checksum of its tensors."""
    # transformers looks for the format before it reads.
    save_file(arrays, path, {"format": "pt", _DIGEST_KEY: _digest(arrays)})
    # The library makes files that only their owner may read.
    os.chmod(path, 0o644)


def registered_name(path):
    """The class in the `config.json` of a Keras preset, or `None`."""
    try:
        content = read_config(None, pathlib.Path(path) / CONFIG_NAME)
    except (OSError, ValueError):
        return None
    return content.get("registered_name")


def is_own_preset(path):
    """Whether a path is a preset folder of this package."""
    return (registered_name(path) or "").startswith("unilmv2_tf>")
