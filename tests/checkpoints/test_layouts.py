"""Three layouts, one set of names: against the golden conversions."""

import numpy as np
import pytest

from unilmv2_tf.checkpoints.layouts import canonicalize
from unilmv2_tf.checkpoints.readers import read_tensors

FORMS = (
    "pytorch_model.bin",
    "model.safetensors",
    "hf_bert.safetensors",
    "s2s_ft_saved/pytorch_model.bin",
)


@pytest.fixture(params=FORMS)
def tensors(request, golden_dir):
    return read_tensors(golden_dir / "tiny_relpos" / request.param)


@pytest.fixture
def plain_bert(golden_dir):
    """The official conversion, less the prefix and the decoder weight."""
    path = golden_dir / "tiny_relpos" / "hf_bert.safetensors"
    return {
        name.removeprefix("bert."): values
        for name, values in read_tensors(path).items()
        if not name.startswith("cls.predictions.decoder")
    }


def assert_same(arrays, expected):
    assert arrays.keys() == expected.keys()
    for name, values in expected.items():
        assert arrays[name].dtype == values.dtype
        np.testing.assert_array_equal(arrays[name], values)


def test_all_layouts_give_the_official_conversion(tensors, plain_bert):
    arrays = canonicalize(tensors).arrays
    arrays.pop("crit_mask_lm_smoothed.one_hot", None)
    assert_same(arrays, plain_bert)


def test_without_prefix(plain_bert):
    assert_same(canonicalize(plain_bert).arrays, plain_bert)


def test_old_layer_norm_names(plain_bert):
    old = {}
    for name, values in plain_bert.items():
        if "LayerNorm" in name:
            name = name.replace(".weight", ".gamma").replace(".bias", ".beta")
        old[f"bert.{name}" if not name.startswith("cls.") else name] = values
    weights = canonicalize(old)
    assert_same(weights.arrays, plain_bert)
    assert weights.sources["encoder.layer.1.output.LayerNorm.bias"] == (
        "bert.encoder.layer.1.output.LayerNorm.beta"
    )


def test_fused_rows_are_query_key_value():
    qkv = np.arange(12, dtype="float32").reshape(6, 2)
    prefix = "bert.encoder.layer.7.attention.self."
    arrays = canonicalize(
        {
            f"{prefix}qkv_linear.weight": qkv,
            f"{prefix}q_bias": np.array([[[1.0, 2.0]]], "float32"),
            f"{prefix}v_bias": np.array([[[3.0, 4.0]]], "float32"),
        }
    ).arrays
    prefix = prefix.removeprefix("bert.")
    expected = {
        "query.weight": [[0, 1], [2, 3]],
        "key.weight": [[4, 5], [6, 7]],
        "value.weight": [[8, 9], [10, 11]],
        "query.bias": [1, 2],
        "key.bias": [0, 0],
        "value.bias": [3, 4],
    }
    assert_same(
        arrays,
        {
            f"{prefix}{name}": np.array(values, "float32")
            for name, values in expected.items()
        },
    )


def test_unknown_names_are_kept_for_the_caller():
    weights = canonicalize({"bert.adapter.weight": np.zeros(2)})
    assert weights.sources == {"adapter.weight": "bert.adapter.weight"}


@pytest.mark.parametrize(
    "name", ["cls.predictions.decoder.weight", "cls.predictions.decoder_weight"]
)
def test_untied_decoder_is_named(name, plain_bert):
    table = plain_bert["embeddings.word_embeddings.weight"]
    tied = canonicalize({**plain_bert, name: table.copy()})
    assert_same(tied.arrays, plain_bert)
    untied = table.copy()
    untied[3, 5] += 1e-6
    with pytest.raises(ValueError, match=f"'{name}' must equal"):
        canonicalize({**plain_bert, name: untied})
    with pytest.raises(ValueError, match=f"'{name}' must equal"):
        canonicalize({**plain_bert, name: table[:-1]})
    with pytest.raises(ValueError, match="is absent"):
        canonicalize({name: table})


def test_decoder_bias(plain_bert):
    """Newer BERT files hold the output bias twice, or by this name alone."""
    name = "cls.predictions.decoder.bias"
    bias = plain_bert["cls.predictions.bias"]
    assert_same(canonicalize({**plain_bert, name: bias}).arrays, plain_bert)
    alone = {**plain_bert, name: bias}
    del alone["cls.predictions.bias"]
    assert_same(canonicalize(alone).arrays, plain_bert)
    with pytest.raises(ValueError, match=f"'{name}' must equal"):
        canonicalize({**plain_bert, name: bias + 1})


@pytest.mark.parametrize(
    "twice",
    [
        ("bert.embeddings.LayerNorm.weight", "embeddings.LayerNorm.gamma"),
        ("bert.rel_pos_bias.weight", "bert.encoder.rel_pos_bias.weight"),
    ],
)
def test_two_tensors_for_one_weight(twice):
    with pytest.raises(ValueError, match="Two tensors") as caught:
        canonicalize({name: np.zeros((2, 2)) for name in twice})
    assert all(repr(name) in str(caught.value) for name in twice)


def test_fused_and_plain_projections_together(tensors):
    prefix = "bert.encoder.layer.0.attention.self."
    both = {
        **tensors,
        f"{prefix}qkv_linear.weight": np.zeros((96, 32), "float32"),
        f"{prefix}query.weight": np.zeros((32, 32), "float32"),
    }
    with pytest.raises(ValueError, match="Two tensors"):
        canonicalize(both)


@pytest.mark.parametrize(
    "part, shape",
    [
        ("qkv_linear.weight", (95, 32)),
        ("qkv_linear.weight", (96, 31)),
        ("qkv_linear.weight", (96 * 32,)),
        ("q_bias", (1, 32)),
        ("v_bias", (2, 1, 16)),
    ],
)
def test_fused_shapes(part, shape):
    name = f"bert.encoder.layer.0.attention.self.{part}"
    with pytest.raises(ValueError, match="fused") as caught:
        canonicalize({name: np.zeros(shape, "float32")})
    assert repr(name) in str(caught.value) and str(shape) in str(caught.value)
