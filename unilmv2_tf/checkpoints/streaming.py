"""A checkpoint into a preset, without the model in memory.

A model would be allocated at random, assigned, and copied again to be saved.
Instead a narrow twin is saved, of the same layers but a hidden size of one for
each head, whose weights are numbers that say which tensor belongs where; then
its files are written anew at full size, piece by piece.
"""

import functools
import json
import math
import os

import h5py
import numpy as np

from unilmv2_tf.checkpoints.layouts import POSITION_EMBEDDINGS
from unilmv2_tf.checkpoints.lazy_array import LazyArray
from unilmv2_tf.checkpoints.official import cast_values
from unilmv2_tf.checkpoints.official import check_checkpoint
from unilmv2_tf.checkpoints.official import list_placements
from unilmv2_tf.checkpoints.official import make_model
from unilmv2_tf.checkpoints.positions import check_positions
from unilmv2_tf.checkpoints.positions import resize_positions
from unilmv2_tf.checkpoints.presets import write_preset
from unilmv2_tf.checkpoints.variables import canonical_variables
from unilmv2_tf.checkpoints.variables import is_transposed
from unilmv2_tf.filesystem import write_text

_WEIGHT_FILES = ("model.weights.h5", "task.weights.h5")
_CONFIG_FILES = ("config.json", "task.json")


def _pieces(name, checkpoint, positions, method, dtype):
    """The values of a variable, in order and in our orientation."""
    values = checkpoint.weights.arrays[name]
    source = checkpoint.weights.sources[name]
    if name == POSITION_EMBEDDINGS and positions is not None:
        values = resize_positions(np.asarray(values), positions, method)
    if is_transposed(name):
        yield cast_values(values, source, dtype).T
    elif isinstance(values, LazyArray):
        for part in values.chunks():
            yield cast_values(part, source, dtype)
    else:
        yield cast_values(values, source, dtype)


def _write_dataset(parent, path, shape, dtype, pieces):
    dataset = parent.create_dataset(path, shape=shape, dtype=dtype)
    start = 0
    for piece in pieces:
        dataset[start : start + len(piece)] = piece
        start += len(piece)
    return dataset


def _fill_weights(path, names, shapes, pieces_of):
    """Writes a file of the twin's anew, at full size.

    Returns:
        The names whose tensors are in the file.
    """
    filled = []
    full_path = f"{path}.full"
    with h5py.File(path) as twin, h5py.File(full_path, "w") as full:

        def copy(place, item):
            if isinstance(item, h5py.Group):
                copied = full.require_group(place)
            else:
                name = names[int(item[(0,) * item.ndim]) - 1]
                shape = shapes[name]
                copied = _write_dataset(
                    full,
                    place,
                    shape[::-1] if is_transposed(name) else shape,
                    item.dtype,
                    pieces_of(name, dtype=item.dtype),
                )
                filled.append(name)
            copied.attrs.update(item.attrs)

        twin.visititems(copy)
        full.attrs.update(twin.attrs)
    os.replace(full_path, path)
    return filled


def _with_sizes(content, sizes):
    """Puts the true sizes wherever a configuration has the twin's."""
    if isinstance(content, list):
        return [_with_sizes(part, sizes) for part in content]
    if not isinstance(content, dict):
        return content
    changed = {key: _with_sizes(part, sizes) for key, part in content.items()}
    return {**changed, **sizes} if sizes.keys() <= content.keys() else changed


def _rewrite_json(path, change):
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
        write_text(path, json.dumps(change(content), indent=4))


def _enlarge(folder, names, backbone_names, shapes, sizes, pieces_of):
    filled = []
    for file in _WEIGHT_FILES:
        path = os.path.join(folder, file)
        if os.path.exists(path):
            filled += _fill_weights(path, names, shapes, pieces_of)
    if sorted(filled) != sorted(names):
        raise ValueError(
            "Each tensor must stand in the preset once. Received: "
            f"{len(filled)} places for {len(names)} tensors."
        )
    for file in _CONFIG_FILES:
        _rewrite_json(
            os.path.join(folder, file),
            lambda content: _with_sizes(content, sizes),
        )
    count = sum(math.prod(shapes[name]) for name in backbone_names)
    _rewrite_json(
        os.path.join(folder, "metadata.json"),
        lambda content: {**content, "parameter_count": count},
    )


def convert_to_preset(
    checkpoint,
    cls,
    folder,
    tokenizer,
    positions=None,
    position_method="cyclic",
    card=None,
    **kwargs,
):
    """Writes a checkpoint as a preset, tensor by tensor.

    Args:
        checkpoint: a `Checkpoint`, see `open_checkpoint`.
        cls: see `load_official`. The checkpoint holds its whole head.
        folder: str or path. What is there is replaced.
        tokenizer: a `UniLMv2Tokenizer`.
        positions: see `load_official`.
        position_method: see `load_official`.
        card: dict, what the model card tells, see `write_model_card`.
            Defaults to `None`.
        **kwargs: arguments of the task.

    Returns:
        A list of `Placement`s, one for each tensor of the checkpoint.

    Raises:
        ValueError: see `load_official`.
    """
    arguments, shapes = check_checkpoint(checkpoint, cls)
    sizes = {key: arguments[key] for key in ("hidden_dim", "intermediate_dim")}
    if positions is not None:
        check_positions(positions, position_method)
        arguments["max_sequence_length"] = positions
        shapes[POSITION_EMBEDDINGS] = (positions, sizes["hidden_dim"])
    narrow = {"hidden_dim": arguments["num_heads"], "intermediate_dim": 1}
    twin = make_model(cls, checkpoint, {**arguments, **narrow}, kwargs)
    variables = canonical_variables(twin)
    for number, variable in enumerate(variables.values(), start=1):
        variable.assign(np.full(variable.shape, number, "float32"))
    backbone = getattr(twin, "backbone", twin)
    placements = list_placements(checkpoint, variables)
    pieces_of = functools.partial(
        _pieces,
        checkpoint=checkpoint,
        positions=positions,
        method=position_method,
    )
    left_out = {
        placement.source: checkpoint.tensors[placement.source]
        for placement in placements
        if not placement.is_used
    }
    write_preset(
        twin,
        folder,
        tokenizer,
        left_out,
        placements,
        finish=functools.partial(
            _enlarge,
            names=[*variables],
            backbone_names=[*canonical_variables(backbone)],
            shapes=shapes,
            sizes=sizes,
            pieces_of=pieces_of,
        ),
        **(card or {}),
    )
    return placements
