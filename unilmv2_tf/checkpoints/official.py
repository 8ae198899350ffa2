"""The authors' checkpoints, and others in their layouts, into our models."""

import numpy as np

from unilmv2_tf.checkpoints.configuration import backbone_arguments
from unilmv2_tf.checkpoints.configuration import segment_arguments
from unilmv2_tf.checkpoints.layouts import HEAD_TENSORS
from unilmv2_tf.checkpoints.layouts import RELATIVE_TABLE
from unilmv2_tf.checkpoints.layouts import canonicalize
from unilmv2_tf.checkpoints.readers import find_weights
from unilmv2_tf.checkpoints.readers import is_float
from unilmv2_tf.checkpoints.readers import read_config
from unilmv2_tf.checkpoints.readers import read_tensors
from unilmv2_tf.checkpoints.variables import canonical_variables
from unilmv2_tf.checkpoints.variables import is_transposed
from unilmv2_tf.models import UniLMv2Backbone
from unilmv2_tf.models import UniLMv2PseudoMaskedLM
from unilmv2_tf.models import UniLMv2Seq2SeqLM

_TASKS = (UniLMv2PseudoMaskedLM, UniLMv2Seq2SeqLM)


def _check_class(cls):
    accepted = (UniLMv2Backbone, *_TASKS)
    if not isinstance(cls, type) or not issubclass(cls, accepted):
        raise ValueError(
            "`cls` must be one of "
            f"{', '.join(kind.__name__ for kind in accepted)}. Received: "
            f"cls={cls!r}. For another task load the backbone and build the "
            "task on it."
        )


def _check_relative_table(arguments, weights):
    buckets = arguments["num_relative_buckets"]
    source = weights.sources.get(RELATIVE_TABLE)
    if buckets and source is None:
        raise ValueError(
            f"The configuration has rel_pos_bins={buckets}, but the file "
            "holds no relative table (bert.rel_pos_bias.weight or "
            "bert.encoder.rel_pos_bias.weight). Pass the configuration that "
            "belongs to the file, or rel_pos_bins 0."
        )
    if source is not None and not buckets:
        shape = weights.arrays[RELATIVE_TABLE].shape
        raise ValueError(
            f"The file holds a relative table, {source!r} of shape {shape}, "
            "but the configuration has no rel_pos_bins. Pass the "
            "configuration that belongs to the file."
        )


def _build(cls, config, arguments, dtype, kwargs):
    if issubclass(cls, UniLMv2Backbone):
        if kwargs:
            raise ValueError(
                "A backbone takes `dtype` and nothing else here. Received: "
                f"{sorted(kwargs)}. To change the model itself pass config= "
                "as a dict."
            )
        return cls(**arguments, dtype=dtype)
    if issubclass(cls, UniLMv2Seq2SeqLM):
        kwargs = {**segment_arguments(config), **kwargs}
    return cls(UniLMv2Backbone(**arguments, dtype=dtype), **kwargs)


def _check_complete(weights, variables, has_head):
    missing = [name for name in variables if name not in weights.arrays]
    if missing:
        raise ValueError(
            f"The file lacks {len(missing)} of {len(variables)} tensors that "
            f"the model needs: {missing}. Check that the configuration "
            "belongs to the file, and that the file holds a whole model"
            f"{' with its language model head' if has_head else ''}."
        )
    allowed = () if has_head else HEAD_TENSORS
    unused = [
        source
        for name, source in weights.sources.items()
        if name not in variables and name not in allowed
    ]
    if unused:
        raise ValueError(
            f"The file holds {len(unused)} tensors for which the model has "
            f"no place: {sorted(set(unused))}. Check that the configuration "
            "belongs to the file (the number of layers, for example)."
        )


def _converted(name, weights, variable):
    values = weights.arrays[name]
    source = weights.sources[name]
    expected = tuple(variable.shape)
    if is_transposed(name):
        expected = expected[::-1]
    if values.shape != expected:
        raise ValueError(
            f"{name!r} must have the shape {expected} with this "
            f"configuration. Received shape {values.shape} from {source!r}."
        )
    if not is_float(values.dtype):
        raise ValueError(
            f"{name!r} must hold floating-point numbers. Received dtype "
            f"{values.dtype} from {source!r}; quantized weights are not read."
        )
    with np.errstate(over="ignore"):
        values = values.astype(variable.dtype)
    if not np.isfinite(values).all():
        raise ValueError(
            f"{source!r} holds numbers too large for the dtype "
            f"{variable.dtype} of the model. Load it with a wider `dtype`."
        )
    return values.T if is_transposed(name) else values


def load_official(path, cls, config=None, **kwargs):
    """Builds a model with the weights of an official checkpoint.

    It reads the authors' UniLM v2 weights (fused layout), plain BERT weights
    and what the authors' fine-tuning code saves; see
    `unilmv2_tf.checkpoints.layouts`. Loading is strict: every tensor of the
    file is used, or belongs to `layouts.IGNORED_TENSORS`, or, for a bare
    backbone, to the language model head; otherwise an error names it.
    PyTorch is not needed, and nothing in the file is executed.

    Args:
        path: str or path. A `.bin` file that PyTorch 1.6 or newer wrote, a
            `.safetensors` file, or a folder with `model.safetensors`
            (preferred) or `pytorch_model.bin`.
        cls: `UniLMv2Backbone`, `UniLMv2PseudoMaskedLM`, `UniLMv2Seq2SeqLM` or
            a subclass.
        config: dict, or path of a JSON file, with the authors' keys, see
            `unilmv2_tf.checkpoints.configuration.backbone_arguments`. Defaults
            to `None`, the `config.json` in the folder or beside the file. The
            model has one dropout rate, so `attention_probs_dropout_prob` must
            agree with `hidden_dropout_prob`.
        **kwargs: `dtype` goes to the backbone, all others to a task, as
            `cls(backbone, **kwargs)`. `UniLMv2Seq2SeqLM` takes its segment
            ids from the configuration unless they are given here.

    Returns:
        An instance of `cls`.

    Raises:
        ValueError: if the file or the configuration cannot be read, or they
            do not fit together; the message names the tensor or the key.
        FileNotFoundError: if there is nothing at `path` or `config`.

    Example:

    >>> from unilmv2_tf.checkpoints import load_official
    >>> from unilmv2_tf.models import UniLMv2Backbone
    >>> load_official("model.gguf", UniLMv2Backbone)
    Traceback (most recent call last):
    ...
    FileNotFoundError: `path` must be a file of weights or a folder...

    Reference:
        Bao et al., 2020; the layouts are those of the authors' s2s-ft code.
    """
    _check_class(cls)
    weights_path = find_weights(path)
    config = read_config(config, weights_path)
    arguments = backbone_arguments(config)
    weights = canonicalize(read_tensors(weights_path))
    _check_relative_table(arguments, weights)
    model = _build(cls, config, arguments, kwargs.pop("dtype", None), kwargs)
    variables = canonical_variables(model)
    _check_complete(weights, variables, not issubclass(cls, UniLMv2Backbone))
    for name, variable in variables.items():
        variable.assign(_converted(name, weights, variable))
    return model
