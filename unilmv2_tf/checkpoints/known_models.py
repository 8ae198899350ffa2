"""What the tensors of published checkpoints do not say."""

import pathlib
import re
from typing import NamedTuple


class KnownModel(NamedTuple):
    """A published checkpoint.

    Args:
        config: dict of official keys: the sizes by which the file is
            recognised, and what no tensor tells.
        lowercase: bool. Whether its vocabulary is an uncased one.

    Example:

    >>> find_known_model("unilm1-base-cased.bin").lowercase
    False
    """

    config: dict
    lowercase: bool


_CASED, _UNCASED = 28996, 30522
_BASE = (12, 768, 12, 3072)
_LARGE = (24, 1024, 16, 4096)
_MINILM = (12, 384, 12, 1536)
# UniLM 1 tells its three kinds of training apart by segments, of which the
# last two are those of a source and a target.
_UNILM1 = (4, 5)


def _known(sizes, vocabulary_size, relative=False, segments=(0, 1)):
    num_layers, hidden_size, num_heads, intermediate_size = sizes
    config = {
        "vocab_size": vocabulary_size,
        "hidden_size": hidden_size,
        "num_hidden_layers": num_layers,
        "num_attention_heads": num_heads,
        "intermediate_size": intermediate_size,
        "layer_norm_eps": 1e-12,
        "hidden_dropout_prob": 0.1,
        "source_type_id": segments[0],
        "target_type_id": segments[1],
    }
    if relative:
        config.update(rel_pos_bins=32, max_rel_pos=128)
    return KnownModel(config, lowercase=vocabulary_size == _UNCASED)


KNOWN_MODELS = {
    "unilm-base-cased": _known(_BASE, _CASED, segments=_UNILM1),
    "unilm-large-cased": _known(_LARGE, _CASED, segments=_UNILM1),
    "unilm1-base-cased": _known(_BASE, _CASED, segments=_UNILM1),
    "unilm1-large-cased": _known(_LARGE, _CASED, segments=_UNILM1),
    "unilm1.2-base-uncased": _known(_BASE, _UNCASED),
    "unilm2-base-uncased": _known(_BASE, _UNCASED, relative=True),
    "unilm2-large-uncased": _known(_LARGE, _UNCASED, relative=True),
    "unilm2-large-cased": _known(_LARGE, _CASED, relative=True),
    "minilm-l12-h384-uncased": _known(_MINILM, _UNCASED),
    "bert-base-cased": _known(_BASE, _CASED),
    "bert-base-uncased": _known(_BASE, _UNCASED),
    "bert-large-cased": _known(_LARGE, _CASED),
    "bert-large-uncased": _known(_LARGE, _UNCASED),
}


def find_known_model(path):
    """Looks up a published checkpoint by the name of its file or folder.

    Args:
        path: str or path, `unilm2-base-uncased.bin` for example, or
            `bert-base-cased/pytorch_model.bin`.

    Returns:
        A `KnownModel`, or `None`.

    Example:

    >>> find_known_model("unilm2-large-uncased.bin").config["hidden_size"]
    1024
    >>> find_known_model("weights.bin")
    """
    path = pathlib.Path(path)
    for name in (path.name, path.parent.name):
        stem = re.sub(r"\.(bin|pt|pth|safetensors)$", "", name.lower())
        if stem in KNOWN_MODELS:
            return KNOWN_MODELS[stem]
    return None
