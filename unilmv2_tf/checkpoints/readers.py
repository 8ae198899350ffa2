"""Files of weights, configurations and vocabularies, by format.

A reader takes a path (or an object) and the user's configuration, and returns
a `Checkpoint`. To add a format, write its reader and choose it in
`loading.open_checkpoint`.
"""

import hashlib
import json
import os
import pathlib
import warnings

import keras_hub
import ml_dtypes
import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from unilmv2_tf.checkpoints.configuration import published_name
from unilmv2_tf.checkpoints.layouts import Checkpoint
from unilmv2_tf.checkpoints.pytorch_files import read_pytorch_file
from unilmv2_tf.preprocessing import UniLMv2Tokenizer
from unilmv2_tf.preprocessing.vocabulary import SPECIAL_TOKENS
from unilmv2_tf.preprocessing.vocabulary import load_vocabulary

CONFIG_NAME = "config.json"
VOCABULARY_NAME = "vocab.txt"
TOKENIZER_NAME = "tokenizer_config.json"
TOKENIZER_JSON_NAME = "tokenizer.json"
ADDED_TOKENS_NAME = "added_tokens.json"
WEIGHT_NAMES = ("model.safetensors", "pytorch_model.bin")
_INDEX_SUFFIX = ".index.json"
_PYTORCH_SUFFIXES = (".bin", ".pt", ".pth")


def is_float(dtype):
    """Whether a dtype is a floating-point one, bfloat16 included."""
    dtype = np.dtype(dtype)
    return dtype.kind == "f" or dtype == ml_dtypes.bfloat16


# === Configurations ===


def read_config(config, beside=None):
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


def registered_name(path):
    """The class in the `config.json` of a Keras preset, or an empty string."""
    try:
        content = read_config(pathlib.Path(path) / CONFIG_NAME)
    except (OSError, ValueError):
        return ""
    return content.get("registered_name", "")


def is_own_preset(path):
    """Whether a path is a preset folder of this package."""
    return registered_name(path).startswith("unilmv2_tf>")


# === PyTorch and safetensors ===


def read_files(source, config=None):
    """Reads `.safetensors` and PyTorch files, and folders with one of them."""
    path = _find_weights(source)
    # The authors name a configuration as the weights.
    for name in (f"{path.stem}-{CONFIG_NAME}", CONFIG_NAME):
        if config is None and path.with_name(name).exists():
            config = path.with_name(name)
    if config is not None:
        config = read_config(config)
    arrays = read_tensors(path)
    names = " ".join(arrays)
    if "qkv_linear" in names:
        kind = "UniLM v2, fused projections"
    elif "cls.predictions.decoder_weight" in names:
        kind = "s2s-ft, saved"
    else:
        kind = "UniLM v2" if "rel_pos_bias" in names else "BERT"
    return Checkpoint(path, kind, arrays, config)


def _find_weights(path):
    path = pathlib.Path(path).expanduser()
    if not path.exists():
        raise FileNotFoundError(
            "`path` must be a file of weights or a folder. Received: "
            f"{str(path)!r}, which does not exist."
        )
    if not path.is_dir():
        return path
    indices = [f"{name}{_INDEX_SUFFIX}" for name in WEIGHT_NAMES]
    for name in (WEIGHT_NAMES[0], indices[0], WEIGHT_NAMES[1], indices[1]):
        if (path / name).exists():
            return path / name
    suffixes = (".safetensors", *_PYTORCH_SUFFIXES)
    found = [entry for entry in path.iterdir() if entry.suffix in suffixes]
    if len(found) == 1:
        return found[0]
    names = sorted(entry.name for entry in path.iterdir())[:8]
    raise FileNotFoundError(
        f"A folder must hold {' or '.join(WEIGHT_NAMES)}, or the index of its "
        f"shards. Received: {str(path)!r} with {names}. Pass the file itself "
        "if it has another name."
    )


def read_tensors(path):
    """Reads the arrays of a file, or of the shards that an index names."""
    path = pathlib.Path(path)
    if path.name.endswith(_INDEX_SUFFIX):
        arrays = {}
        for name in sorted(set(read_config(path)["weight_map"].values())):
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


# === Tokenizers ===

# Hugging Face's keys and our arguments.
TOKENIZER_SETTINGS = {
    "do_lower_case": "lowercase",
    "strip_accents": "strip_accents",
    "tokenize_chinese_chars": "split_on_cjk",
}
# An embedding table may have spare rows to make its size a multiple of 8.
_MAX_SPARE_ROWS = 127


def find_vocabulary(source):
    """The vocabulary beside a checkpoint or in a preset, or `None`."""
    path = pathlib.Path(source).expanduser()
    folder = path if path.is_dir() else path.parent
    for name in (
        # As the authors publish it.
        f"{path.stem}-{VOCABULARY_NAME}",
        VOCABULARY_NAME,
        "assets/tokenizer/vocabulary.txt",
        TOKENIZER_JSON_NAME,
    ):
        if (folder / name).exists():
            return folder / name
    return None


def read_vocabulary(path):
    """The tokens, a tokenizer's arguments and added tokens that a file has."""
    if not str(path).endswith(".json"):
        return load_vocabulary(path), {}, {}
    content = read_config(path)
    model, normalizer, splitter = (
        content.get(key) or {}
        for key in ("model", "normalizer", "pre_tokenizer")
    )
    steps = normalizer.get("normalizers", [normalizer])
    kinds = [step.get("type") for step in steps]
    for part, received, accepted in (
        ("model", model.get("type", "WordPiece"), ["WordPiece"]),
        ("prefix", model.get("continuing_subword_prefix"), ["##"]),
        ("pre_tokenizer", splitter.get("type"), ["BertPreTokenizer"]),
        *(("normalizer", kind, [*_NORMALIZERS]) for kind in kinds),
    ):
        if received not in accepted:
            raise ValueError(
                f"{path}: the {part} must be as in BERT, {accepted[0]}. "
                f"Received: {received}"
            )
    settings = dict.fromkeys(TOKENIZER_SETTINGS.values(), False)
    for step, kind in zip(steps, kinds):
        settings |= _NORMALIZERS[kind](step)
    by_id = {index: token for token, index in model["vocab"].items()}
    tokens = [by_id.get(index, "") for index in range(max(by_id) + 1)]
    added = content.get("added_tokens") or ()
    return tokens, settings, {each["content"]: each["id"] for each in added}


_NORMALIZERS = {
    "BertNormalizer": lambda step: {
        "lowercase": step["lowercase"],
        "strip_accents": step.get("strip_accents"),
        "split_on_cjk": step["handle_chinese_chars"],
    },
    "Lowercase": lambda step: {"lowercase": True},
    "StripAccents": lambda step: {"strip_accents": True},
    "NFD": lambda step: {},
    None: lambda step: {},
}


def load_tokenizer(source, vocabulary_size, vocabulary=None, lowercase=None):
    """Makes the `UniLMv2Tokenizer` of a checkpoint or a KerasHub preset."""
    path = vocabulary or find_vocabulary(source)
    added = {}
    if vocabulary is None and (
        "://" in str(source)
        or os.path.exists(os.path.join(source, "assets", "tokenizer"))
    ):
        other = keras_hub.models.BertTokenizer.from_preset(os.fspath(source))
        tokens = other.get_vocabulary()
        settings = {
            name: getattr(other, name) for name in TOKENIZER_SETTINGS.values()
        }
    elif path is None:
        raise ValueError(
            f"There is no vocabulary beside {os.fspath(source)!r}. Pass it as "
            f"`vocabulary` ({VOCABULARY_NAME} in most releases)."
        )
    else:
        tokens, settings, added = read_vocabulary(path)
        beside = pathlib.Path(path).with_name(TOKENIZER_JSON_NAME)
        if vocabulary is None and not settings and beside.exists():
            _, settings, added = read_vocabulary(beside)
        _add_settings_beside(source, settings, added)
        added = {
            token: index
            for token, index in added.items()
            if tokens[index : index + 1] != [token]
            or token not in SPECIAL_TOKENS
        }
    # A file may end in empty lines.
    while len(tokens) > vocabulary_size and not tokens[-1]:
        tokens.pop()
    size = max([len(tokens) - 1, *added.values()]) + 1
    spare = vocabulary_size - size
    if spare < 0 or (
        spare and (vocabulary_size % 8 or spare > _MAX_SPARE_ROWS)
    ):
        raise ValueError(
            "The vocabulary must be that of the checkpoint. Received: "
            f"{size} tokens, but the model has {vocabulary_size}."
        )
    if spare:
        warnings.warn(
            f"The model has {vocabulary_size} tokens, the vocabulary "
            f"{size}: the last {spare} have no text.",
            stacklevel=2,
        )
    if lowercase is not None:
        settings["lowercase"] = lowercase
    elif "lowercase" not in settings:
        words = [token for token in tokens if not token.startswith("[")]
        is_cased = any(token != token.lower() for token in words)
        settings["lowercase"] = not is_cased
        warnings.warn(
            f"The vocabulary is assumed to be {'' if is_cased else 'un'}cased, "
            f"as it has {'some' if is_cased else 'no'} upper-case letters. If "
            "that is wrong, pass `lowercase`.",
            stacklevel=2,
        )
    if added:
        settings["added_tokens"] = added
    return UniLMv2Tokenizer(tokens, **settings)


def _add_settings_beside(source, settings, added):
    """Adds what the files of a tokenizer beside the weights say."""
    path = pathlib.Path(source).expanduser()
    folder = path if path.is_dir() else path.parent
    if (folder / ADDED_TOKENS_NAME).exists():
        added |= read_config(folder / ADDED_TOKENS_NAME)
    if (folder / TOKENIZER_NAME).exists():
        content = read_config(folder / TOKENIZER_NAME)
        for key, argument in TOKENIZER_SETTINGS.items():
            if isinstance(content.get(key), bool):
                settings[argument] = content[key]
        for index, token in content.get("added_tokens_decoder", {}).items():
            added[token["content"]] = int(index)
    name = published_name(path) or path.name.lower()
    if "lowercase" not in settings and "cased" in name:
        settings["lowercase"] = "uncased" in name
