"""The count of operations, compared with the products in the graph."""

import math

import pytest
import tensorflow as tf

from unilmv2_tf.models import UniLMv2Backbone
from unilmv2_tf.models import UniLMv2PseudoMaskedLM
from unilmv2_tf.training.pretraining_task import row_sizes
from unilmv2_tf.training.pretraining_task import training_flops


def flops_of(operation):
    """Of one product of matrices; 0 for anything else."""
    if operation.type not in ("MatMul", "BatchMatMulV2", "Einsum"):
        return 0
    shapes = [tensor.shape.as_list() for tensor in operation.inputs]
    size = math.prod(operation.outputs[0].shape.as_list())
    if operation.type == "MatMul":
        is_transposed = operation.get_attr("transpose_a")
        return 2 * size * shapes[0][0 if is_transposed else 1]
    if operation.type == "BatchMatMulV2":
        is_transposed = operation.get_attr("adj_x")
        return 2 * size * shapes[0][-2 if is_transposed else -1]
    names = operation.get_attr("equation").decode().split("->")[0]
    sizes = {}
    for labels, shape in zip(names.split(","), shapes):
        assert len(labels) == len(shape), names
        sizes.update(zip(labels, shape))
    return 2 * math.prod(sizes.values())


@pytest.mark.parametrize("objectives", [("ae",), ("par",), ("ae", "par")])
@pytest.mark.parametrize("n, m", [(64, 10), (256, 42)])
def test_products_of_the_forward_pass(objectives, n, m):
    task = UniLMv2PseudoMaskedLM(
        UniLMv2Backbone.from_preset(
            "unilmv2_tiny",
            load_weights=False,
            vocabulary_size=3000,
            hidden_dim=64,
            num_heads=4,
        ),
        pseudo_token_id=4,
        objectives=objectives,
    )
    lengths = {
        **dict.fromkeys(("token_ids", "segment_ids", "padding_mask"), n),
        **dict.fromkeys(
            ("mask_positions", "mask_steps", "revealed_token_ids"), m
        ),
    }
    batch_size = 2
    graph = (
        tf.function(lambda x: task(x, training=False))
        .get_concrete_function(
            {
                name: tf.TensorSpec([batch_size, length], tf.int32)
                for name, length in lengths.items()
            }
        )
        .graph
    )
    counted = sum(flops_of(operation) for operation in graph.get_operations())
    expected = training_flops(task.backbone, (n, m), objectives)
    # The backward pass has two products for each of the forward pass.
    assert 3 * counted / batch_size == pytest.approx(expected, rel=0.01)


def test_sizes_are_those_of_the_batches(make_step, batches):
    preprocessor = make_step().task.preprocessor
    x, y, _ = batches[0]
    sizes = x["token_ids"].shape[1], y.shape[1]
    assert row_sizes(preprocessor) == sizes
