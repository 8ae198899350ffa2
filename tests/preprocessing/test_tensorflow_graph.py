import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from unilmv2_tf.preprocessing.tensorflow_graph import graph_preprocessing


class Doubler(keras.layers.Layer):
    """Counts how often its method is traced."""

    def __init__(self, factor=2):
        super().__init__()
        self.factor = factor
        self.layouts = []

    @graph_preprocessing
    def multiply(self, x, *, plus=0):
        self.layouts.append(
            [
                leaf.shape.as_list()
                for leaf in tf.nest.flatten(x)
                if leaf is not None
            ]
        )
        assert not tf.executing_eagerly()
        return tf.nest.map_structure(
            lambda leaf: (
                leaf
                if leaf is None or leaf.dtype == tf.string
                else leaf * tf.cast(self.factor, leaf.dtype) + plus
            ),
            x,
        )


@pytest.mark.parametrize(
    "x",
    [[1, 2], np.array([1, 2]), tf.constant([1, 2])],
    ids=["list", "array", "tensor"],
)
def test_whatever_holds_the_numbers(x):
    layer = Doubler()
    assert np.array(layer.multiply(x)).tolist() == [2, 4]
    (nested,) = layer.multiply({"a": x, "b": (x,)})["b"]
    assert np.array(nested).tolist() == [2, 4]


def test_strings():
    layer = Doubler()
    assert layer.multiply("é").numpy().decode() == "é"
    for texts in (["é", "a"], np.array(["é", "a"])):
        encoded = layer.multiply(texts).numpy()
        assert [text.decode() for text in encoded] == ["é", "a"]


def test_what_is_left_out_stays_left_out():
    outputs = Doubler().multiply({"a": [1], "b": None})
    assert outputs["a"].numpy().tolist() == [2]
    assert outputs["b"] is None


def test_a_dataset_and_a_function_give_the_same():
    layer = Doubler()
    dataset = tf.data.Dataset.from_tensor_slices([1, 2, 3]).batch(2)
    assert [
        batch.tolist()
        for batch in dataset.map(layer.multiply).as_numpy_iterator()
    ] == [[2, 4], [6]]
    traced = tf.function(layer.multiply)(tf.constant([1, 2]))
    assert traced.numpy().tolist() == [2, 4]


def test_batch_sizes_share_a_trace_but_lengths_do_not():
    layer = Doubler()
    texts = [["a"] * size for size in (1, 2, 3, 4, 5)]
    for text in texts:
        layer.multiply(text)
    # The second size tells TensorFlow that there are several.
    assert layer.layouts == [[[1]], [[None]]]
    layer.layouts.clear()
    for size, length in ((1, 4), (2, 4), (3, 4), (1, 9), (2, 9), (3, 9)):
        layer.multiply(np.zeros((size, length), "int32"))
    assert layer.layouts == [[[1, 4]], [[None, 4]], [[1, 9]], [[None, 9]]]


def test_ranks_are_not_forgotten():
    layer = Doubler()
    for x in ("a", ["a"], "b", ["a", "b"], "c"):
        layer.multiply(x)
        layer.multiply({"text": x, "epoch": 3})
        layer.multiply({"text": x, "epoch": [3] * len(x)})
    assert all(
        shape is not None for layout in layer.layouts for shape in layout
    )


def test_options_and_attributes_that_change():
    layer = Doubler()
    assert layer.multiply([1]).numpy() == 2
    assert layer.multiply([1], plus=5).numpy() == 7
    assert layer.multiply([1]).numpy() == 2
    layer.factor = 10
    assert layer.multiply([1]).numpy() == 10
    assert layer.multiply([1], plus=5).numpy() == 15
    layer.factor = 2
    assert layer.multiply([1]).numpy() == 2
    assert len(layer.layouts) == 4


PROGRAM = """
import json
import keras
import numpy as np
from unilmv2_tf.preprocessing import *

tokenizer = UniLMv2Tokenizer(
    ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c", "d"])
masked = UniLMv2PseudoMaskedLMPreprocessor(
    tokenizer, sequence_length=16, seed=3)(["a b c d a b c", "d c"])
pairs = UniLMv2Seq2SeqLMPreprocessor(
    tokenizer, encoder_sequence_length=6, decoder_sequence_length=5, seed=3)
trained = pairs({"encoder_text": ["a b"], "decoder_text": ["c d"]})
generated = pairs.generate_preprocess("a b")
leaves = keras.tree.flatten([masked, trained, generated])
assert all(keras.ops.is_tensor(leaf) for leaf in leaves)
texts = pairs.generate_postprocess(
    {"decoder_token_ids": keras.ops.convert_to_tensor([[5, 6, 3, 7]]),
     "decoder_padding_mask": keras.ops.ones((1, 4))})
values = [keras.ops.convert_to_numpy(leaf).tolist() for leaf in leaves]
print("RESULT", json.dumps([values, texts]))
"""


def result_in(output):
    (line,) = (x for x in output.splitlines() if x.startswith("RESULT"))
    return json.loads(line.removeprefix("RESULT"))


@pytest.mark.slow
def test_the_same_integers_under_another_backend(capsys):
    pytest.importorskip("jax")
    finished = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM],
        env={
            **os.environ,
            "KERAS_BACKEND": "jax",
            "CUDA_VISIBLE_DEVICES": "-1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    exec(PROGRAM, {})
    assert result_in(finished.stdout) == result_in(capsys.readouterr().out)
