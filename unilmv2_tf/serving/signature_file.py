"""What a SavedModel tells about itself, beside the graph."""

import json
import os

import keras
import keras_hub
import tensorflow as tf
import tensorflow_text

import unilmv2_tf


def write_extra_assets(folder, endpoints, functions):
    """Writes `assets.extra/vocab.txt` and `assets.extra/signature.json`.

    They are for people and clients; the graph does not read them. With both a
    client can make ids of texts and texts of ids by itself.

    Args:
        folder: str. A SavedModel.
        endpoints: list of endpoints that it holds, such as `Generate`.
        functions: dict of `tf.function`s with an input signature, by the name
            of their signature, the main one first.

    Returns:
        The description that was written, a dict.

    Example:

    >>> import os, tempfile
    >>> from unilmv2_tf.serving.generating import Generate
    >>> from unilmv2_tf.models import UniLMv2Backbone, UniLMv2Seq2SeqLM
    >>> from unilmv2_tf.preprocessing import UniLMv2Seq2SeqLMPreprocessor
    >>> from unilmv2_tf.preprocessing import UniLMv2Tokenizer
    >>> tokenizer = UniLMv2Tokenizer(
    ...     ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "fox"])
    >>> task = UniLMv2Seq2SeqLM(
    ...     UniLMv2Backbone(7, 1, 1, 8, 8),
    ...     UniLMv2Seq2SeqLMPreprocessor(tokenizer))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     description = write_extra_assets(folder, [Generate(task)], {})
    ...     sorted(os.listdir(os.path.join(folder, "assets.extra")))
    ['signature.json', 'vocab.txt']
    """
    extra = os.path.join(folder, "assets.extra")
    os.mkdir(extra)
    tokenizer = endpoints[0].task.preprocessor.tokenizer
    with open(
        os.path.join(extra, "vocab.txt"), "w", encoding="utf-8", newline="\n"
    ) as file:
        file.writelines(f"{token}\n" for token in tokenizer.get_vocabulary())
    description = _description(endpoints, functions)
    with open(
        os.path.join(extra, "signature.json"), "w", encoding="utf-8"
    ) as file:
        json.dump(description, file, indent=2)
        file.write("\n")
    return description


def _description(endpoints, functions):
    backbone = endpoints[0].task.backbone
    return {
        "main": next(iter(functions), None),
        "signatures": {
            name: _signature_description(function)
            for name, function in functions.items()
        },
        "tasks": {
            endpoint.name: {
                "model": type(endpoint.task).__name__,
                **endpoint.describe(),
            }
            for endpoint in endpoints
        },
        "backbone": {
            "max_sequence_length": backbone.max_sequence_length,
            "hidden_dim": backbone.hidden_dim,
            "num_layers": backbone.num_layers,
            "dtype": precision(backbone),
        },
        "tokenizer": _tokenizer_description(
            endpoints[0].task.preprocessor.tokenizer
        ),
        "parameters": num_parameters(endpoints),
        "versions": {
            "unilmv2_tf": unilmv2_tf.__version__,
            "tensorflow": tf.__version__,
            "tensorflow_text": tensorflow_text.__version__,
            "keras": keras.version(),
            "keras_hub": keras_hub.__version__,
        },
    }


def num_parameters(endpoints):
    """How many weights the tasks have, those in common counted once.

    Args:
        endpoints: list of endpoints.

    Returns:
        An int.
    """
    weights = {
        id(weight): weight
        for endpoint in endpoints
        for weight in endpoint.task.weights
    }
    return sum(int(keras.ops.size(weight.value)) for weight in weights.values())


def precision(backbone):
    """What a backbone computes in: the name of its dtype policy.

    Args:
        backbone: a `UniLMv2Backbone`.

    Returns:
        A string; `"int8"` if it has such weights.

    Example:

    >>> from unilmv2_tf import UniLMv2Backbone
    >>> precision(UniLMv2Backbone(7, 1, 1, 8, 8, dtype="bfloat16"))
    'bfloat16'
    """
    if any(weight.dtype == "int8" for weight in backbone.weights):
        return "int8"
    return backbone.dtype_policy.name


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
