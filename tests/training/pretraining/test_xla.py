"""The whole update can be compiled ahead: static shapes, no Python, no text."""

import re

import numpy as np
import pytest
import tensorflow as tf

# What runs on the host, or has no fixed size.
FORBIDDEN = re.compile(
    "PyFunc|Host|Send|Recv|String|Print|Assert|Iterator|Dataset|Unique|Where$"
)


@pytest.mark.slow
def test_compiled_equals_uncompiled(make_step, batches):
    settings = {"accumulation_steps": 2, "epsilon": 1e-4, "clip_norm": 0.5}
    plain, compiled = make_step(**settings), make_step(**settings)
    for variable, other in zip(plain.task.weights, compiled.task.weights):
        other.assign(variable)
    # All of it, not only the forward and backward pass.
    compiled.in_graph = tf.function(compiled, jit_compile=True)
    for number in range(2):
        arguments = batches[number], tf.constant(number, tf.int64)
        np.testing.assert_allclose(
            compiled.in_graph(*arguments),
            plain.in_graph(*arguments),
            rtol=1e-5,
        )
    for one, other in zip(plain.task.weights, compiled.task.weights):
        np.testing.assert_allclose(one, other, atol=2e-5, err_msg=one.path)


def test_nothing_calls_the_host(make_step, batches):
    step = make_step(backbone={"dropout": 0.1}, clip_norm=1.0)
    arguments = batches[0], tf.constant(0, tf.int64)
    function = tf.function(step)
    graph = function.get_concrete_function(*arguments).graph
    for tensor in graph.inputs:
        assert tensor.dtype != tf.string
        assert tensor.dtype == tf.resource or tensor.shape.is_fully_defined()
    definition = graph.as_graph_def()
    nodes = [
        *definition.node,
        *(node for f in definition.library.function for node in f.node_def),
    ]
    kinds = {node.op for node in nodes}
    assert kinds & {"MatMul", "BatchMatMulV2", "Einsum"}
    assert not [kind for kind in kinds if FORBIDDEN.search(kind)]
    strings = [
        node.name
        for node in nodes
        if node.op == "Const"
        and node.attr["dtype"].type == tf.string.as_datatype_enum
    ]
    assert not strings


@pytest.mark.slow
def test_the_compilers_input(make_step, batches):
    step = make_step(backbone={"dropout": 0.1}, clip_norm=1.0)
    arguments = batches[0], tf.constant(0, tf.int64)
    function = tf.function(step, jit_compile=True)
    text = function.experimental_get_compiler_ir(*arguments)(stage="hlo")
    assert " dot(" in text or " dot." in text
    for word in ("callback", "outfeed", "infeed", " send(", " recv("):
        assert word not in text
    # A dimension that is only bounded is written as `<=`.
    assert "<=" not in text
    assert "custom-call" not in text
