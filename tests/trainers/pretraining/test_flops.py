"""Counted operations, compared with those of the forward graph."""

import pytest
import tensorflow as tf

from unilmv2_tf.trainers.pretraining.flops import row_sizes
from unilmv2_tf.trainers.pretraining.flops import training_flops
from unilmv2_tf.trainers.pretraining.model import make_preprocessor
from unilmv2_tf.trainers.pretraining.model import make_task


def matrix_products(graph):
    """Multiplications and additions of a graph's matrix products."""
    total = 0
    for operation in graph.get_operations():
        if operation.type not in ("MatMul", "BatchMatMulV2", "Einsum"):
            continue
        # None of our einsums has a diagonal or a broadcast.
        first, second = (tensor.shape.as_list() for tensor in operation.inputs)
        output = operation.outputs[0].shape.as_list()
        if operation.type == "Einsum":
            left, _, result = (
                operation.get_attr("equation").decode().replace("->", ",")
            ).split(",")
            summed = [size for name, size in zip(left, first)
                      if name not in result]  # fmt: skip
        elif operation.type == "MatMul":
            summed = [first[0 if operation.get_attr("transpose_a") else 1]]
        else:
            summed = [first[-2 if operation.get_attr("adj_x") else -1]]
        del second
        product = 2
        for size in [*output, *summed]:
            product *= size
        total += product
    return total


@pytest.mark.parametrize("objectives", [["ae", "par"], ["ae"], ["par"]])
def test_as_in_the_graph(objectives, make_settings, shards):
    settings = make_settings(objectives=objectives)
    settings.backbone = {**settings.backbone, "num_layers": 2}
    preprocessor = make_preprocessor(settings, shards)
    task = make_task(settings, shards, preprocessor)
    n, m = row_sizes(preprocessor)
    inputs = {
        name: tf.TensorSpec([1, *tensor.shape[1:]], tensor.dtype)
        for name, tensor in task.input.items()
    }
    sizes = {"mask_positions": m, "mask_steps": m, "revealed_token_ids": m}
    inputs = {
        name: tf.TensorSpec([1, sizes.get(name, n)], spec.dtype)
        for name, spec in inputs.items()
    }
    forward = tf.function(lambda x: task(x, training=False))
    graph = forward.get_concrete_function(inputs).graph
    expected = 3 * matrix_products(graph)
    counted = training_flops(task.backbone, (n, m), task.objectives)
    assert counted == pytest.approx(expected, rel=0.03)
