"""Whether the tensors of a checkpoint are those that a model needs."""

import warnings

from unilmv2_tf.checkpoints.layouts import HEAD_TRANSFORM
from unilmv2_tf.checkpoints.layouts import OPTIONAL_TENSORS
from unilmv2_tf.checkpoints.layouts import OUTPUT_BIAS
from unilmv2_tf.checkpoints.layouts import POSITION_EMBEDDINGS
from unilmv2_tf.checkpoints.layouts import RELATIVE_TABLE
from unilmv2_tf.checkpoints.layouts import SEGMENT_EMBEDDINGS
from unilmv2_tf.checkpoints.layouts import WORD_EMBEDDINGS
from unilmv2_tf.checkpoints.readers import is_float
from unilmv2_tf.models import LanguageModelTask
from unilmv2_tf.models import UniLMv2QuestionAnswerer
from unilmv2_tf.models import UniLMv2TextClassifier


def _dense(name, outputs, inputs):
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def _norm(name, hidden):
    return {f"{name}.weight": (hidden,), f"{name}.bias": (hidden,)}


def _layer_shapes(name, hidden, inner):
    shapes = {}
    for projection in ("query", "key", "value"):
        shapes |= _dense(f"{name}.attention.self.{projection}", hidden, hidden)
    shapes |= _dense(f"{name}.attention.output.dense", hidden, hidden)
    shapes |= _norm(f"{name}.attention.output.LayerNorm", hidden)
    shapes |= _dense(f"{name}.intermediate.dense", inner, hidden)
    shapes |= _dense(f"{name}.output.dense", hidden, inner)
    return shapes | _norm(f"{name}.output.LayerNorm", hidden)


def _backbone_shapes(arguments):
    hidden = arguments["hidden_dim"]
    shapes = {
        WORD_EMBEDDINGS: (arguments["vocabulary_size"], hidden),
        POSITION_EMBEDDINGS: (arguments["max_sequence_length"], hidden),
        SEGMENT_EMBEDDINGS: (arguments["num_segments"], hidden),
        **_norm("embeddings.LayerNorm", hidden),
    }
    buckets = arguments["num_relative_buckets"]
    if buckets:
        shapes[RELATIVE_TABLE] = (arguments["num_heads"], buckets)
    for number in range(arguments["num_layers"]):
        shapes |= _layer_shapes(
            f"encoder.layer.{number}", hidden, arguments["intermediate_dim"]
        )
    return shapes


def _trainable_head_shapes(cls, hidden, weights):
    """Shapes of layers that are made to be trained, if the file has them."""
    layers = {}
    if issubclass(cls, UniLMv2TextClassifier):
        output = weights.arrays.get("classifier.weight")
        num_classes = output.shape[0] if output is not None else 1
        layers["pooler.dense"] = (hidden, hidden)
        layers["classifier"] = (num_classes, hidden)
    if issubclass(cls, UniLMv2QuestionAnswerer):
        layers["qa_outputs"] = (2, hidden)
    shapes, new = {}, []
    for name, sizes in layers.items():
        layer = _dense(name, *sizes)
        if layer.keys() & weights.arrays.keys():
            shapes |= layer
        else:
            new.append(name)
    if new:
        warnings.warn(
            f"The file holds no {' and no '.join(new)}: what is named so "
            "starts anew, and has to be trained.",
            stacklevel=4,
        )
    return shapes


def expected_shapes(arguments, cls, weights):
    """Lists the tensors that a model needs.

    Args:
        arguments: dict of backbone arguments.
        cls: class of the model.
        weights: `CanonicalWeights`. Which layers of a classifier or a
            question answerer there are depends on them: those that are
            absent start anew, with a warning.

    Returns:
        A dict from canonical names to shapes, in PyTorch's orientation.

    Example:

    >>> from unilmv2_tf.checkpoints.configuration import backbone_arguments
    >>> from unilmv2_tf.models import UniLMv2Backbone
    >>> arguments = backbone_arguments({
    ...     "vocab_size": 101, "hidden_size": 32, "num_hidden_layers": 2,
    ...     "num_attention_heads": 4, "intermediate_size": 64,
    ...     "max_position_embeddings": 64, "type_vocab_size": 2})
    >>> shapes = expected_shapes(arguments, UniLMv2Backbone, None)
    >>> shapes["encoder.layer.1.intermediate.dense.weight"]
    (64, 32)
    """
    hidden = arguments["hidden_dim"]
    shapes = _backbone_shapes(arguments)
    if issubclass(cls, LanguageModelTask):
        shapes |= _dense(f"{HEAD_TRANSFORM}.dense", hidden, hidden)
        shapes |= _norm(f"{HEAD_TRANSFORM}.LayerNorm", hidden)
        shapes[OUTPUT_BIAS] = (arguments["vocabulary_size"],)
        return shapes
    return shapes | _trainable_head_shapes(cls, hidden, weights)


def check_tensors(weights, shapes, is_task):
    """Checks names, shapes and dtypes of tensors against what is expected.

    Args:
        weights: `CanonicalWeights`.
        shapes: dict, as `expected_shapes` returns it.
        is_task: bool. Whether the model has a head.

    Raises:
        ValueError: if a tensor is missing, has no place, or has another
            shape or dtype; it is named.

    Example:

    >>> from unilmv2_tf.checkpoints.layouts import CanonicalWeights
    >>> nothing = CanonicalWeights(arrays={}, sources={}, tied={})
    >>> check_tensors(nothing, {"pooler.dense.bias": (8,)}, is_task=False)
    Traceback (most recent call last):
    ...
    ValueError: The file lacks 1 of 1 tensors that the model needs...
    """
    missing = [name for name in shapes if name not in weights.arrays]
    if missing:
        raise ValueError(
            f"The file lacks {len(missing)} of {len(shapes)} tensors that "
            f"the model needs: {missing}. Check that the configuration "
            "belongs to the file, and that the file holds a whole model"
            f"{' with the head of the task' if is_task else ''}."
        )
    unused = [
        source
        for name, source in weights.sources.items()
        if name not in shapes and name not in OPTIONAL_TENSORS
    ]
    if unused:
        raise ValueError(
            f"The file holds {len(unused)} tensors for which the model has "
            f"no place: {sorted(set(unused))}. Check that the configuration "
            "belongs to the file (the number of layers, for example)."
        )
    for name, expected in shapes.items():
        check_tensor(name, weights, expected)


def check_tensor(name, weights, expected):
    """Checks shape and dtype of a tensor.

    Args:
        name: string. A canonical name.
        weights: `CanonicalWeights`.
        expected: tuple of ints, the shape in PyTorch's orientation.

    Raises:
        ValueError: if it has another shape, or does not hold floating-point
            numbers.
    """
    values, source = weights.arrays[name], weights.sources[name]
    if tuple(values.shape) != expected:
        raise ValueError(
            f"{name!r} must have the shape {expected} with this "
            f"configuration. Received shape {values.shape} from {source!r}."
        )
    if not is_float(values.dtype):
        raise ValueError(
            f"{name!r} must hold floating-point numbers. Received dtype "
            f"{values.dtype} from {source!r}; quantized weights are not read."
        )


def check_relative_table(arguments, weights):
    """Checks that table and configuration agree on whether there is one.

    Args:
        arguments: dict of backbone arguments.
        weights: `CanonicalWeights`.

    Raises:
        ValueError: if one has it, and the other has not.
    """
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
