"""What a SavedModel tells about itself, beside the graph."""

import json
import os

import keras
import keras_hub
import tensorflow as tf
import tensorflow_text

import unilmv2_tf


def write_extra_assets(folder, task, sampler, max_length, signatures):
    """Writes `assets.extra/vocab.txt` and `assets.extra/signature.json`.

    They are for people and clients; the graph does not read them. With both a
    client can make ids of texts and texts of ids by itself.

    Args:
        folder: str. A SavedModel.
        task: the `UniLMv2Seq2SeqLM` that it holds.
        sampler: the sampler that it holds, as `scored_sampler` returns it.
        max_length: int. The longest target.
        signatures: dict of `tf.function`s with an input signature, by name.

    Example:

    >>> import os, tempfile
    >>> from unilmv2_tf.export.samplers import scored_sampler
    >>> from unilmv2_tf.models import UniLMv2Backbone, UniLMv2Seq2SeqLM
    >>> from unilmv2_tf.preprocessing import UniLMv2Seq2SeqLMPreprocessor
    >>> from unilmv2_tf.preprocessing import UniLMv2Tokenizer
    >>> tokenizer = UniLMv2Tokenizer(
    ...     ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "fox"])
    >>> task = UniLMv2Seq2SeqLM(
    ...     UniLMv2Backbone(7, 1, 1, 8, 8),
    ...     UniLMv2Seq2SeqLMPreprocessor(tokenizer))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_extra_assets(folder, task, scored_sampler("greedy"), 48, {})
    ...     sorted(os.listdir(os.path.join(folder, "assets.extra")))
    ['signature.json', 'vocab.txt']
    """
    extra = os.path.join(folder, "assets.extra")
    os.mkdir(extra)
    tokenizer = task.preprocessor.tokenizer
    with open(
        os.path.join(extra, "vocab.txt"), "w", encoding="utf-8", newline="\n"
    ) as file:
        file.writelines(f"{token}\n" for token in tokenizer.get_vocabulary())
    with open(
        os.path.join(extra, "signature.json"), "w", encoding="utf-8"
    ) as file:
        description = _description(task, sampler, max_length, signatures)
        json.dump(description, file, indent=2)
        file.write("\n")


def _description(task, sampler, max_length, signatures):
    preprocessor = task.preprocessor
    # A sampler that chooses token by token stands behind one that scores.
    sampler = getattr(sampler, "sampler", sampler)
    return {
        "model": type(task).__name__,
        "signatures": {
            name: _signature_description(function)
            for name, function in signatures.items()
        },
        "encoder_sequence_length": preprocessor.encoder_sequence_length,
        "max_length": max_length,
        "max_sequence_length": task.backbone.max_sequence_length,
        "sampler": {
            "class": type(sampler).__name__,
            "config": sampler.get_config(),
        },
        "tokenizer": _tokenizer_description(preprocessor.tokenizer),
        "parameters": task.count_params(),
        "versions": {
            "unilmv2_tf": unilmv2_tf.__version__,
            "tensorflow": tf.__version__,
            "tensorflow_text": tensorflow_text.__version__,
            "keras": keras.version(),
            "keras_hub": keras_hub.__version__,
        },
    }


def _signature_description(function):
    concrete = function.get_concrete_function()

    def described(specs):
        return {
            name: {"dtype": spec.dtype.name, "shape": spec.shape.as_list()}
            for name, spec in specs.items()
        }

    inputs = {spec.name: spec for spec in function.input_signature}
    return {
        "inputs": described(inputs),
        "outputs": described(concrete.structured_outputs),
    }


def _tokenizer_description(tokenizer):
    names = ("lowercase", "strip_accents", "split", "split_on_cjk")
    names += ("suffix_indicator", "oov_token", "special_tokens_in_strings")
    return {
        "vocabulary_size": tokenizer.vocabulary_size(),
        **{name: getattr(tokenizer, name) for name in names},
        **{
            f"{name}_token_id": getattr(tokenizer, f"{name}_token_id")
            for name in ("pad", "unk", "cls", "sep", "mask", "pseudo")
        },
    }
