"""The authors' checkpoints, and others of BERT's kind, into our models."""

from typing import NamedTuple

import numpy as np

from unilmv2_tf.checkpoints.checks import check_relative_table
from unilmv2_tf.checkpoints.checks import check_tensor
from unilmv2_tf.checkpoints.checks import check_tensors
from unilmv2_tf.checkpoints.checks import expected_shapes
from unilmv2_tf.checkpoints.configuration import backbone_arguments
from unilmv2_tf.checkpoints.configuration import label_names
from unilmv2_tf.checkpoints.configuration import segment_arguments
from unilmv2_tf.checkpoints.layouts import OPTIONAL_TENSORS
from unilmv2_tf.checkpoints.layouts import POSITION_EMBEDDINGS
from unilmv2_tf.checkpoints.positions import check_positions
from unilmv2_tf.checkpoints.positions import resize_positions
from unilmv2_tf.checkpoints.sources import open_checkpoint
from unilmv2_tf.checkpoints.variables import CONVERTIBLE_TASKS
from unilmv2_tf.checkpoints.variables import canonical_variables
from unilmv2_tf.checkpoints.variables import is_transposed
from unilmv2_tf.models import UniLMv2Backbone
from unilmv2_tf.models import UniLMv2Seq2SeqLM
from unilmv2_tf.models import UniLMv2TextClassifier


class Placement(NamedTuple):
    """Where a tensor of a checkpoint went.

    Args:
        source: string, its name in the checkpoint.
        shape: tuple of ints, its shape there.
        destination: string, the path of a variable, or why it has none.
        is_used: bool.

    Example:

    >>> Placement("bert.pooler.dense.bias", (8,), "left out", False).is_used
    False
    """

    source: str
    shape: tuple
    destination: str
    is_used: bool


def _check_class(cls):
    accepted = (UniLMv2Backbone, *CONVERTIBLE_TASKS)
    if not isinstance(cls, type) or not issubclass(cls, accepted):
        raise ValueError(
            "`cls` must be one of "
            f"{', '.join(kind.__name__ for kind in accepted)}. Received: "
            f"cls={cls!r}. For another task load the backbone and build the "
            "task on it."
        )


def _head_arguments(cls, checkpoint):
    """What a checkpoint says about the arguments of a task."""
    if issubclass(cls, UniLMv2Seq2SeqLM):
        return segment_arguments(checkpoint.config)
    output = checkpoint.weights.arrays.get("classifier.weight")
    if not issubclass(cls, UniLMv2TextClassifier) or output is None:
        return {}
    arguments = {"num_classes": output.shape[0]}
    names = label_names(checkpoint.config)
    if len(names) == arguments["num_classes"] > 1:
        arguments["label_names"] = names
    return arguments


def make_model(cls, checkpoint, arguments, kwargs):
    """Makes a model with random weights.

    Args:
        cls: see `load_official`.
        checkpoint: a `Checkpoint`, for what it says about the head.
        arguments: dict of backbone arguments.
        kwargs: dict, see `load_official`.

    Returns:
        An instance of `cls`.

    Raises:
        ValueError: if a backbone is given arguments of a task.
    """
    dtype = kwargs.pop("dtype", None)
    if issubclass(cls, UniLMv2Backbone):
        if kwargs:
            raise ValueError(
                "A backbone takes `dtype` and nothing else here. Received: "
                f"{sorted(kwargs)}. To change the model itself pass config= "
                "as a dict."
            )
        return cls(**arguments, dtype=dtype)
    if not {"num_classes", "label_names"} & kwargs.keys():
        kwargs = {**_head_arguments(cls, checkpoint), **kwargs}
    return cls(UniLMv2Backbone(**arguments, dtype=dtype), **kwargs)


def list_placements(checkpoint, variables):
    """Lists where the tensors of a checkpoint go.

    Args:
        checkpoint: a `Checkpoint`.
        variables: dict from canonical names to the variables that take them.

    Returns:
        A list of `Placement`s, one for each tensor.
    """
    destinations = {source: [] for source in checkpoint.tensors}
    used = set()
    for name, source in checkpoint.weights.sources.items():
        if name in variables:
            destinations[source].append(variables[name].path)
            used.add(source)
        else:
            destinations[source].append(f"left out: {OPTIONAL_TENSORS[name]}")
    for source, original in checkpoint.weights.tied.items():
        destinations[source].append(f"the same as {original}, tied with it")
    return [
        Placement(source, values.shape, ", ".join(paths), source in used)
        for (source, values), paths in zip(
            checkpoint.tensors.items(), destinations.values()
        )
    ]


def cast_values(values, source, dtype):
    """Casts the values of a tensor to the dtype of a variable.

    Args:
        values: array or `LazyArray`.
        source: string, the tensor's name in the checkpoint.
        dtype: string or numpy dtype.

    Returns:
        A NumPy array.

    Raises:
        ValueError: if a number is too large for the dtype.
    """
    with np.errstate(over="ignore"):
        values = np.asarray(values).astype(dtype, copy=False)
    if not np.isfinite(values).all():
        raise ValueError(
            f"{source!r} holds numbers too large for the dtype {dtype} of the "
            "model. Load it with a wider `dtype`."
        )
    return values


def _converted(name, weights, variable, positions, method):
    values = weights.arrays[name]
    if name == POSITION_EMBEDDINGS and positions is not None:
        values = resize_positions(np.asarray(values), positions, method)
    else:
        shape = tuple(variable.shape)
        check_tensor(
            name, weights, shape[::-1] if is_transposed(name) else shape
        )
    values = cast_values(values, weights.sources[name], variable.dtype)
    return values.T if is_transposed(name) else values


def check_checkpoint(checkpoint, cls):
    """Checks that a checkpoint holds what a model needs.

    Args:
        checkpoint: a `Checkpoint`.
        cls: see `load_official`.

    Returns:
        A tuple of a dict of backbone arguments and a dict from canonical
        names to shapes, see `expected_shapes`.

    Raises:
        ValueError: see `load_official`.
    """
    weights = checkpoint.weights
    arguments = backbone_arguments(checkpoint.config)
    check_relative_table(arguments, weights)
    shapes = expected_shapes(arguments, cls, weights)
    check_tensors(weights, shapes, is_task=not issubclass(cls, UniLMv2Backbone))
    return arguments, shapes


def build_model(
    checkpoint, cls, positions=None, position_method="cyclic", **kwargs
):
    """Builds a model with the weights of a checkpoint that is open.

    Args:
        checkpoint: a `Checkpoint`, see `open_checkpoint`.
        cls: see `load_official`.
        positions: see `load_official`.
        position_method: see `load_official`.
        **kwargs: see `load_official`.

    Returns:
        A tuple of an instance of `cls` and a list of `Placement`s, one for
        each tensor of the checkpoint.

    Raises:
        ValueError: see `load_official`.

    Example:

    >>> import keras_hub
    >>> from unilmv2_tf.checkpoints.sources import open_checkpoint
    >>> checkpoint = open_checkpoint(keras_hub.models.BertBackbone(
    ...     vocabulary_size=30, num_layers=1, num_heads=2, hidden_dim=8,
    ...     intermediate_dim=12, max_sequence_length=10))
    >>> model, placements = build_model(checkpoint, UniLMv2Backbone)
    >>> placements[0].source, placements[0].destination
    ('bert.embeddings.word_embeddings.weight',
     'embeddings/token_embedding/embeddings')
    """
    weights = checkpoint.weights
    # Before a model is built: a wrong size may be an enormous one.
    arguments, shapes = check_checkpoint(checkpoint, cls)
    if positions is not None:
        check_positions(positions, position_method)
        arguments["max_sequence_length"] = positions
    model = make_model(cls, checkpoint, arguments, dict(kwargs))
    variables = {
        name: variable
        for name, variable in canonical_variables(model).items()
        if name in shapes
    }
    for name, variable in variables.items():
        variable.assign(
            _converted(name, weights, variable, positions, position_method)
        )
    return model, list_placements(checkpoint, variables)


def load_official(
    path,
    cls,
    config=None,
    positions=None,
    position_method="cyclic",
    **kwargs,
):
    """Builds a model with the weights of an official checkpoint.

    It reads the authors' UniLM v2 weights (fused layout), plain BERT weights,
    what the authors' fine-tuning code saves (see
    `unilmv2_tf.checkpoints.layouts`), BERT presets of KerasHub's, and
    TensorFlow checkpoints of Google's BERT and of Model Garden's encoders.
    Loading is strict: every tensor of the file is used, or belongs to
    `layouts.OPTIONAL_TENSORS`; otherwise an error names it. PyTorch is not
    needed, and nothing in the file is executed.

    Args:
        path: str or path. A `.bin` file that PyTorch 1.6 or newer wrote, a
            `.safetensors` file, a folder with `model.safetensors` (preferred)
            or `pytorch_model.bin`, a preset folder or the prefix of a
            TensorFlow checkpoint. Or an object: a `BertBackbone` or
            `BertMaskedLM` of KerasHub's, a `BertEncoder` of Model Garden's.
        cls: `UniLMv2Backbone`, one of the UniLMv2 tasks, or a subclass. A
            language model needs its head in the file; what a classifier or a
            question answerer does not find there starts anew, with a warning.
        config: dict, or path of a JSON file, with the authors' keys, see
            `unilmv2_tf.checkpoints.configuration.backbone_arguments`. Defaults
            to `None`, the one in the folder or beside the file. What it
            leaves open, or all if there is none, is read off the tensors and
            the file's name, see `unilmv2_tf.checkpoints.sizes`. The
            model has one dropout rate, so `attention_probs_dropout_prob` must
            agree with `hidden_dropout_prob`.
        positions: int. The number of positions of the model, to take longer
            inputs or shorter ones. Defaults to `None`, those in the file.
        position_method: string. How positions are added, see
            `unilmv2_tf.checkpoints.resize_positions`. Defaults to `"cyclic"`.
        **kwargs: `dtype` goes to the backbone, all others to a task, as
            `cls(backbone, **kwargs)`. `UniLMv2Seq2SeqLM` takes its segment
            ids, and `UniLMv2TextClassifier` its classes and their names, from
            the checkpoint unless they are given here.

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
    checkpoint = open_checkpoint(path, config)
    model, _ = build_model(
        checkpoint,
        cls,
        positions=positions,
        position_method=position_method,
        **kwargs,
    )
    return model
