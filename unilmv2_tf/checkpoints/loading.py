"""Checkpoints of other libraries as models of ours."""

import pathlib
import warnings
from typing import NamedTuple

import keras
import keras_hub
import numpy as np

from unilmv2_tf.checkpoints import configuration
from unilmv2_tf.checkpoints import keras_readers
from unilmv2_tf.checkpoints import layouts
from unilmv2_tf.checkpoints.readers import is_float
from unilmv2_tf.checkpoints.readers import read_files
from unilmv2_tf.checkpoints.readers import registered_name
from unilmv2_tf.models import UniLMv2Backbone
from unilmv2_tf.models import UniLMv2QuestionAnswerer
from unilmv2_tf.models import UniLMv2TextClassifier

_METHODS = ("cyclic", "interpolate")


def load_checkpoint(
    path,
    cls: type,
    config: dict | str | None = None,
    positions: int | None = None,
    position_method: str = "cyclic",
    **kwargs,
) -> keras.Model:
    """Builds a model with the weights of a checkpoint.

    It reads the authors' UniLM v2 weights (fused layout), BERT weights of
    Hugging Face, what the authors' fine-tuning code s2s-ft saves, BERT presets
    of KerasHub, and TensorFlow checkpoints of Google's BERT and of Model
    Garden's encoders. Loading is strict: every tensor of the file is used, or
    known to be optional; otherwise an error names it. Warnings tell what was
    left out, assumed, or is newly initialized. PyTorch is not needed, and
    nothing in the file is executed.

    Args:
        path: string or path. A PyTorch file (`.bin`, `.pt`, `.pth`), a
            `.safetensors` file, a folder with `model.safetensors` (preferred)
            or `pytorch_model.bin`, whole or in shards, a preset folder or
            handle of KerasHub, or the prefix of a TensorFlow checkpoint. Or an
            object: a `BertBackbone` or `BertMaskedLM` of KerasHub, a
            `BertEncoder` of Model Garden.
        cls: `UniLMv2Backbone`, one of the UniLMv2 tasks, or a subclass. A
            language model needs its head in the file; the head of a classifier
            or a question answerer may be missing.
        config: dict, or path of a JSON file, with Hugging Face's keys
            (`hidden_size`, ...) and the authors' `rel_pos_bins`,
            `max_rel_pos`, `source_type_id` and `target_type_id`. What it does
            not say is inferred from the tensors and the name of the file.
            Defaults to `None`, the one in the folder or beside the file.
        positions: int. The number of positions of the model, for longer or
            shorter inputs. Defaults to `None`, as many as in the file.
        position_method: string. How positions are added, see
            `unilmv2_tf.checkpoints.resize_positions`. Defaults to `"cyclic"`.
        **kwargs: `dtype` goes to the backbone, all others to a task, as
            `cls(backbone, **kwargs)`. Segment ids, classes and their names
            come from the checkpoint unless they are given here.

    Returns:
        An instance of `cls`.

    Raises:
        ValueError: If the file or the configuration cannot be read, or they
            do not match; the message names the tensor or the key.
        FileNotFoundError: If there is nothing at `path` or `config`.

    Example:

    >>> import keras_hub
    >>> from unilmv2_tf.checkpoints import load_checkpoint
    >>> bert = keras_hub.models.BertBackbone(
    ...     vocabulary_size=30, num_layers=1, num_heads=2, hidden_dim=8,
    ...     intermediate_dim=12, max_sequence_length=10)
    >>> load_checkpoint(bert, UniLMv2Backbone, positions=20).hidden_dim
    8

    Reference:
        Bao et al., 2020; the layouts are those of the authors' s2s-ft code.
    """
    if not isinstance(cls, type) or not issubclass(cls, layouts.MODEL_CLASSES):
        raise ValueError(
            f"`cls` must be one of {layouts.MODEL_NAMES}. Received: "
            f"cls={cls!r}. For another task load the backbone and build the "
            "task on it."
        )
    checkpoint = open_checkpoint(path, config)
    model, _ = build_model(
        checkpoint, cls, positions, position_method, **kwargs
    )
    return model


# === Reading ===


def open_checkpoint(source, config=None):
    """Reads a checkpoint of any format, see `load_checkpoint`."""
    checkpoint = _choose_reader(source)(source, config)
    path = checkpoint.path
    for name, values in checkpoint.tensors.items():
        if is_float(values.dtype) and not np.isfinite(values).all():
            bad = int(values.size - np.isfinite(values).sum())
            raise ValueError(
                f"{path}: tensor {name!r} holds NaN or infinity in {bad} of "
                f"{values.size} places. The training that wrote it diverged "
                "or the file is damaged; take an earlier checkpoint."
            )
    layouts.take_off_prefix(checkpoint)
    layouts.find_weights(checkpoint)
    arrays = checkpoint.arrays
    config = configuration.complete_config(checkpoint.config, arrays, path)
    checkpoint.config = config
    if foreign := configuration.foreign_head(config, arrays):
        warnings.warn(
            f"The classifier of the file is {foreign}, for which there is no "
            "task here: it was left out.",
            stacklevel=3,
        )
        for name in arrays.keys() & {"classifier.weight", "classifier.bias"}:
            del arrays[name]
            source = checkpoint.sources.pop(name)
            checkpoint.unused[source] = f"left out: {foreign}"
    return checkpoint


def _choose_reader(source):
    if isinstance(
        source, (keras_hub.models.BertBackbone, keras_hub.models.BertMaskedLM)
    ):
        return keras_readers.read_keras_hub_model
    if not isinstance(source, (str, pathlib.Path)):
        return keras_readers.read_model_garden_encoder
    if "://" in str(source) or registered_name(source):
        return keras_readers.read_keras_hub_preset
    if keras_readers.find_prefix(source):
        return keras_readers.read_tensorflow_checkpoint
    return read_files


# === Building ===


class Placement(NamedTuple):
    """Where a tensor of a checkpoint went."""

    source: str
    shape: tuple
    # The path of a variable, or why there is none.
    destination: str
    is_used: bool


def build_model(
    checkpoint, cls, positions=None, position_method="cyclic", **kwargs
):
    """Builds a model, and lists the `Placement` of every tensor."""
    arguments = configuration.backbone_arguments(checkpoint.config)
    rows = layouts.table_rows(
        cls, arguments["num_layers"], arguments["num_relative_buckets"] > 0
    )
    rows = _check_names(rows, checkpoint, cls)
    arrays = dict(checkpoint.arrays)
    if positions is not None:
        arguments["max_sequence_length"] = positions
        arrays[layouts.POSITION_EMBEDDINGS] = resize_positions(
            arrays[layouts.POSITION_EMBEDDINGS], positions, position_method
        )
    model = _new_model(cls, checkpoint, arguments, **kwargs)
    destinations = {}
    for row in rows:
        variable = row.variable(model)
        source = checkpoint.sources[row.name]
        variable.assign(_fit(row, arrays[row.name], source, variable))
        destinations.setdefault(source, []).append(variable.path)
    used = set(destinations)
    for name in arrays.keys() - {row.name for row in rows}:
        reason = f"left out: {layouts.OPTIONAL_TENSORS[name]}"
        destinations.setdefault(checkpoint.sources[name], []).append(reason)
    for source, reason in checkpoint.unused.items():
        destinations[source] = [reason]
    return model, [
        Placement(
            name, values.shape, ", ".join(destinations[name]), name in used
        )
        for name, values in checkpoint.tensors.items()
    ]


def _new_model(cls, checkpoint, arguments, dtype=None, **kwargs):
    if not issubclass(cls, UniLMv2Backbone):
        found = configuration.head_arguments(
            cls, checkpoint.config, checkpoint.arrays
        )
        if {"num_classes", "label_names"} & kwargs.keys():
            for name in ("num_classes", "label_names"):
                found.pop(name, None)
        elif (
            issubclass(cls, UniLMv2TextClassifier)
            and "classifier.weight" in checkpoint.unused
        ):
            raise ValueError(
                "The head of a text classifier must come from one. Received: "
                f"{checkpoint.path}, {checkpoint.unused['classifier.weight']}. "
                "Load a UniLMv2Backbone, or pass num_classes= or label_names= "
                "for a newly initialized head."
            )
        kwargs = {**found, **kwargs}
        return cls(UniLMv2Backbone(**arguments, dtype=dtype), **kwargs)
    if kwargs:
        raise ValueError(
            "A backbone takes `dtype` and nothing else here. Received: "
            f"{sorted(kwargs)}. To change the model itself pass config= as a "
            "dict."
        )
    return cls(**arguments, dtype=dtype)


def _check_names(rows, checkpoint, cls):
    """Returns the rows that the file has tensors for."""
    missing = [row for row in rows if row.name not in checkpoint.arrays]
    if issubclass(cls, (UniLMv2TextClassifier, UniLMv2QuestionAnswerer)):
        # Layers of the head that are missing in the file.
        layers = {_layer(name) for name in checkpoint.arrays}
        new = [
            row
            for row in missing
            if not row.path.startswith("backbone.")
            and _layer(row.name) not in layers
        ]
        if new:
            names = sorted({_layer(row.name) for row in new})
            warnings.warn(
                f"The file holds no {' and no '.join(names)}: newly "
                "initialized, to be trained.",
                stacklevel=4,
            )
        rows = [row for row in rows if row not in new]
        missing = [row for row in missing if row not in new]
    known = {row.name for row in rows} | layouts.OPTIONAL_TENSORS.keys()
    unused = {
        checkpoint.sources[name] for name in checkpoint.arrays.keys() - known
    }
    begins = {name.partition(".")[0] for name in checkpoint.tensors}
    prefix = checkpoint.prefix
    if not prefix and len(begins) == 1 and begins != {"bert"}:
        prefix = f"{begins.pop()}."
    begin = f"All names begin with {prefix!r}. " if prefix else ""
    if missing:
        raise ValueError(
            f"{begin}The file lacks {len(missing)} of {len(rows)} tensors that "
            f"the model needs: {_some([row.name for row in missing])}. Check "
            "that the configuration belongs to the file, and that the file "
            "holds a whole model with the head of the task."
        )
    if unused:
        raise ValueError(
            f"{begin}The file holds {len(unused)} tensors for which the model "
            f"has no place: {_some(sorted(unused))}. Check that the "
            "configuration belongs to the file (the number of layers, for "
            "example)."
        )
    return rows


def _some(names):
    more = ", ..." if len(names) > 6 else ""
    return ", ".join(map(repr, names[:6])) + more


def _layer(name):
    return name.rpartition(".")[0]


def _fit(row, values, source, variable):
    """Brings a tensor to the orientation and the dtype of a variable."""
    expected = tuple(row.transform(np.empty(variable.shape)).shape)
    if values.shape != expected:
        raise ValueError(
            f"{row.name!r} must have the shape {expected} with this "
            f"configuration. Received: shape {values.shape} from {source!r}."
        )
    if not is_float(values.dtype):
        raise ValueError(
            f"{row.name!r} must hold floating-point numbers. Received: dtype "
            f"{values.dtype} from {source!r}; quantized weights are not read."
        )
    with np.errstate(over="ignore"):
        values = values.astype(variable.dtype, copy=False)
    if not np.isfinite(values).all():
        raise ValueError(
            f"{source!r} holds numbers too large for the dtype "
            f"{variable.dtype} of the model. Load it with a wider `dtype`."
        )
    return row.transform(values)


# === Positions ===


def check_positions(num_positions, method):
    if type(num_positions) is not int or num_positions < 1:
        raise ValueError(
            "The number of positions must be a positive integer. Received: "
            f"{num_positions!r}"
        )
    if method not in _METHODS:
        raise ValueError(
            f"Positions are added by one of {', '.join(_METHODS)}. Received: "
            f"{method!r}"
        )


def resize_positions(
    table: np.ndarray, num_positions: int, method: str = "cyclic"
) -> np.ndarray:
    """Lengthens or cuts a table of position embeddings.

    Args:
        table: float array of shape `(positions, hidden)`.
        num_positions: int. The number of positions of the result. Where it is
            smaller than that of the table, the first rows are returned.
        method: string. How positions are added: `"cyclic"` repeats the table
            from its first row, as the authors do, and keeps the rows that
            exist; `"interpolate"` stretches the table linearly, so that the
            first and last row stay the same. Defaults to `"cyclic"`.

    Returns:
        An array of shape `(num_positions, hidden)` of the same dtype.

    Raises:
        ValueError: If `num_positions` is not positive, or there is no such
            method.

    Example:

    >>> table = np.array([[0.0], [1.0], [2.0]])
    >>> resize_positions(table, 5)[:, 0].tolist()
    [0.0, 1.0, 2.0, 0.0, 1.0]
    >>> resize_positions(table, 5, "interpolate")[:, 0].tolist()
    [0.0, 0.5, 1.0, 1.5, 2.0]

    Reference:
        The reuse of position embeddings in the authors' s2s-ft code.
    """
    check_positions(num_positions, method)
    table = np.asarray(table)
    old = len(table)
    if num_positions <= old:
        return table[:num_positions]
    if method == "cyclic":
        return table[np.arange(num_positions) % old]
    places = np.linspace(0, old - 1, num_positions)
    stretched = [
        np.interp(places, np.arange(old), column)
        for column in table.T.astype("float64")
    ]
    return np.stack(stretched, axis=1).astype(table.dtype)


def with_positions(model, num_positions, method="cyclic"):
    """Copies a model of ours, with more or fewer positions."""
    old_backbone = getattr(model, "backbone", model)
    table = old_backbone.embeddings.position_embedding.embeddings
    new_table = resize_positions(
        keras.ops.convert_to_numpy(table), num_positions, method
    )
    backbone = copy = type(old_backbone).from_config(
        {**old_backbone.get_config(), "max_sequence_length": num_positions}
    )
    if old_backbone is not model:
        parts = {"backbone": backbone, "preprocessor": model.preprocessor}
        copy = type(model).from_config({**model.get_config(), **parts})
    for old, new in zip(model.weights, copy.weights, strict=True):
        new.assign(new_table if old is table else old)
    return copy
