"""The tokenizer that belongs to a checkpoint."""

import os
import pathlib
import warnings

import keras_hub

from unilmv2_tf.checkpoints.known_models import find_known_model
from unilmv2_tf.checkpoints.readers import read_config
from unilmv2_tf.preprocessing import UniLMv2Tokenizer
from unilmv2_tf.preprocessing.vocabulary import load_vocabulary

TOKENIZER_NAME = "tokenizer_config.json"
# Hugging Face's keys and our arguments.
_SETTINGS = {
    "do_lower_case": "lowercase",
    "strip_accents": "strip_accents",
    "tokenize_chinese_chars": "split_on_cjk",
}
# A table may have rows to spare, so that its size is a round one.
_ROUND, _MAX_SPARE_ROWS = 8, 127


def find_vocabulary(source):
    """Finds the vocabulary beside a checkpoint.

    Args:
        source: str or path of a checkpoint: a file, a folder or the prefix
            of a TensorFlow checkpoint.

    Returns:
        The path of `NAME-vocab.txt` beside `NAME.bin`, as the authors publish
        it, of `vocab.txt`, or of the vocabulary in a preset; `None` if there
        is none of them.

    Example:

    >>> find_vocabulary("no/such/model.bin")
    """
    path = pathlib.Path(source).expanduser()
    folder = path if path.is_dir() else path.parent
    for name in (
        f"{path.stem}-vocab.txt",
        "vocab.txt",
        "assets/tokenizer/vocabulary.txt",
    ):
        if (folder / name).exists():
            return folder / name
    return None


def _preset_text(source):
    """Vocabulary and settings of one of KerasHub's BERT presets."""
    other = keras_hub.models.BertTokenizer.from_preset(os.fspath(source))
    settings = {
        "lowercase": other.lowercase,
        "strip_accents": other.strip_accents,
        "split_on_cjk": other.split_on_cjk,
    }
    return other.get_vocabulary(), settings


def _settings_beside(source):
    """Settings of a `tokenizer_config.json`, or what the name tells."""
    path = pathlib.Path(source).expanduser()
    folder = path if path.is_dir() else path.parent
    settings = {}
    if (folder / TOKENIZER_NAME).exists():
        content = read_config(folder / TOKENIZER_NAME, path)
        settings = {
            argument: content[key]
            for key, argument in _SETTINGS.items()
            if isinstance(content.get(key), bool)
        }
    if "lowercase" not in settings:
        known = find_known_model(path)
        if known is not None:
            settings["lowercase"] = known.lowercase
        elif "cased" in path.name.lower():
            settings["lowercase"] = "uncased" in path.name.lower()
    return settings


def _guess_lowercase(vocabulary):
    words = [token for token in vocabulary if not token.startswith("[")]
    lowercase = not any(token != token.lower() for token in words)
    kind = "an uncased one" if lowercase else "a cased one"
    letters = "no" if lowercase else "some"
    warnings.warn(
        f"The vocabulary is taken for {kind}, as it has {letters} upper-case "
        "letters. If it is wrong, say so with `lowercase`.",
        stacklevel=3,
    )
    return lowercase


def _check_size(vocabulary, vocabulary_size):
    spare = vocabulary_size - len(vocabulary)
    is_round = vocabulary_size % _ROUND == 0
    if spare and not (is_round and 0 < spare <= _MAX_SPARE_ROWS):
        raise ValueError(
            "The vocabulary must be the one of the checkpoint. Received: "
            f"{len(vocabulary)} tokens, where the model has "
            f"{vocabulary_size}."
        )
    if spare:
        warnings.warn(
            f"The model has {vocabulary_size} tokens, the vocabulary "
            f"{len(vocabulary)}: the last {spare} have no text.",
            stacklevel=3,
        )


def load_tokenizer(source, vocabulary_size, vocabulary=None, lowercase=None):
    """Makes the tokenizer that belongs to a checkpoint.

    Args:
        source: str or path of a checkpoint, or the handle of a KerasHub
            preset.
        vocabulary_size: int. The number of tokens of the model.
        vocabulary: str or path of a file with one token a line. Defaults to
            `None`, what `find_vocabulary` finds.
        lowercase: bool. Whether the text is lowercased. Defaults to `None`:
            as a `tokenizer_config.json` beside the weights or the name of the
            checkpoint says, or else, with a warning, as the vocabulary looks.

    Returns:
        A `UniLMv2Tokenizer`.

    Raises:
        ValueError: if there is no vocabulary, or it has another size.

    Example:

    >>> load_tokenizer("no/such/model.bin", 30522)
    Traceback (most recent call last):
    ...
    ValueError: There is no vocabulary beside 'no/such/model.bin'...
    """
    if vocabulary is None and _is_keras_preset(source):
        tokens, settings = _preset_text(source)
    else:
        path = vocabulary or find_vocabulary(source)
        if path is None:
            raise ValueError(
                f"There is no vocabulary beside {os.fspath(source)!r}. Name "
                "it with `vocabulary` (vocab.txt in most releases)."
            )
        tokens = load_vocabulary(path)
        settings = _settings_beside(source)
    _check_size(tokens, vocabulary_size)
    if lowercase is not None:
        settings["lowercase"] = lowercase
    elif "lowercase" not in settings:
        settings["lowercase"] = _guess_lowercase(tokens)
    return UniLMv2Tokenizer(tokens, **settings)


def _is_keras_preset(source):
    source = os.fspath(source)
    return "://" in source or os.path.exists(
        os.path.join(source, "assets", "tokenizer")
    )
