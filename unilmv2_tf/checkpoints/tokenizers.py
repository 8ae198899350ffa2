"""Tokenizers that lie beside checkpoints."""

import os
import pathlib
import warnings

import keras_hub

from unilmv2_tf.checkpoints.configuration import known_config
from unilmv2_tf.checkpoints.readers import read_config
from unilmv2_tf.preprocessing import UniLMv2Tokenizer
from unilmv2_tf.preprocessing.vocabulary import load_vocabulary

VOCABULARY_NAME = "vocab.txt"
TOKENIZER_NAME = "tokenizer_config.json"
# Hugging Face's keys and our arguments.
_SETTINGS = {
    "do_lower_case": "lowercase",
    "strip_accents": "strip_accents",
    "tokenize_chinese_chars": "split_on_cjk",
}
# An embedding table may have spare rows to make its size a multiple of 8.
_MAX_SPARE_ROWS = 127


def load_tokenizer(source, vocabulary_size, vocabulary=None, lowercase=None):
    """Makes the `UniLMv2Tokenizer` of a checkpoint or a KerasHub preset.

    The vocabulary is the file `vocabulary` or the one beside the weights.
    Whether it lowercases is `lowercase`, or what `tokenizer_config.json` or
    the name of the checkpoint says, or, with a warning, a guess.
    """
    path = vocabulary or find_vocabulary(source)
    is_preset = "://" in str(source) or os.path.exists(
        os.path.join(source, "assets", "tokenizer")
    )
    if vocabulary is None and is_preset:
        other = keras_hub.models.BertTokenizer.from_preset(os.fspath(source))
        tokens = other.get_vocabulary()
        settings = {key: getattr(other, key) for key in _SETTINGS.values()}
    elif path is None:
        raise ValueError(
            f"There is no vocabulary beside {os.fspath(source)!r}. Pass it as "
            f"`vocabulary` ({VOCABULARY_NAME} in most releases)."
        )
    else:
        tokens = load_vocabulary(path)
        settings = _settings_beside(source)
    _check_size(tokens, vocabulary_size)
    if lowercase is not None:
        settings["lowercase"] = lowercase
    elif "lowercase" not in settings:
        settings["lowercase"] = _guess_lowercase(tokens)
    return UniLMv2Tokenizer(tokens, **settings)


def tokenizer_settings(tokenizer):
    """The content of Hugging Face's `tokenizer_config.json`."""
    return {
        "tokenizer_class": "BertTokenizer",
        **{key: getattr(tokenizer, name) for key, name in _SETTINGS.items()},
        "unk_token": "[UNK]",
        "sep_token": "[SEP]",
        "pad_token": "[PAD]",
        "cls_token": "[CLS]",
        "mask_token": "[MASK]",
    }


def find_vocabulary(source):
    """The vocabulary beside a checkpoint or in a preset, or `None`."""
    path = pathlib.Path(source).expanduser()
    folder = path if path.is_dir() else path.parent
    for name in (
        # As the authors publish it.
        f"{path.stem}-{VOCABULARY_NAME}",
        VOCABULARY_NAME,
        "assets/tokenizer/vocabulary.txt",
    ):
        if (folder / name).exists():
            return folder / name
    return None


def _settings_beside(source):
    path = pathlib.Path(source).expanduser()
    folder = path if path.is_dir() else path.parent
    settings = {}
    if (folder / TOKENIZER_NAME).exists():
        content = read_config(None, folder / TOKENIZER_NAME)
        settings = {
            argument: content[key]
            for key, argument in _SETTINGS.items()
            if isinstance(content.get(key), bool)
        }
    if "lowercase" not in settings:
        name = path.name.lower()
        if "cased" in name:
            settings["lowercase"] = "uncased" in name
        elif known_config(path) is not None:
            settings["lowercase"] = "uncased" in path.parent.name.lower()
    return settings


def _guess_lowercase(tokens):
    words = [token for token in tokens if not token.startswith("[")]
    lowercase = not any(token != token.lower() for token in words)
    kind, letters = ("uncased", "no") if lowercase else ("cased", "some")
    warnings.warn(
        f"The vocabulary is assumed to be {kind}, as it has {letters} "
        "upper-case letters. If that is wrong, pass `lowercase`.",
        stacklevel=3,
    )
    return lowercase


def _check_size(tokens, vocabulary_size):
    spare = vocabulary_size - len(tokens)
    is_round = vocabulary_size % 8 == 0
    if spare and not (is_round and 0 < spare <= _MAX_SPARE_ROWS):
        raise ValueError(
            "The vocabulary must be that of the checkpoint. Received: "
            f"{len(tokens)} tokens, but the model has {vocabulary_size}."
        )
    if spare:
        warnings.warn(
            f"The model has {vocabulary_size} tokens, the vocabulary "
            f"{len(tokens)}: the last {spare} have no text.",
            stacklevel=3,
        )
