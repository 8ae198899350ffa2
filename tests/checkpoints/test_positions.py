"""Position tables against the authors' and against NumPy."""

import numpy as np
import pytest

from unilmv2_tf import UniLMv2Backbone
from unilmv2_tf import UniLMv2PseudoMaskedLM
from unilmv2_tf.checkpoints import load_official
from unilmv2_tf.checkpoints import resize_positions
from unilmv2_tf.checkpoints.positions import with_positions


def table_of(backbone):
    return backbone.embeddings.position_embedding.embeddings.numpy()


def test_the_authors_enlarged_table(golden_dir):
    case = golden_dir / "tiny_relpos"
    expected = np.load(case / "golden.npz")["posext_table"]
    assert expected.shape == (64 + 36, 32)
    backbone = load_official(case, UniLMv2Backbone, positions=100)
    assert backbone.max_sequence_length == 100
    np.testing.assert_array_equal(table_of(backbone), expected)
    # The same from a model that is there, whose other weights stay.
    whole = load_official(case, UniLMv2PseudoMaskedLM, pseudo_token_id=4)
    longer = with_positions(whole, 100)
    np.testing.assert_array_equal(table_of(longer.backbone), expected)
    for old, new in zip(whole.weights, longer.weights, strict=True):
        np.testing.assert_array_equal(
            new.numpy()[: len(old.numpy())], old.numpy()
        )
    assert table_of(whole.backbone).shape == (64, 32)


@pytest.mark.parametrize("old, new", [(2, 9), (64, 100), (5, 5), (1, 3)])
def test_interpolation_against_numpy(old, new):
    table = np.random.default_rng(0).normal(size=(old, 3)).astype("float32")
    places = np.linspace(0, old - 1, new)
    expected = np.stack(
        [np.interp(places, np.arange(old), column) for column in table.T], 1
    )
    resized = resize_positions(table, new, "interpolate")
    assert resized.dtype == table.dtype
    np.testing.assert_allclose(resized, expected, atol=1e-6)


@pytest.mark.parametrize("method", ["cyclic", "interpolate"])
def test_cutting(method):
    table = np.arange(12.0).reshape(6, 2)
    cut = resize_positions(table, 4, method)
    np.testing.assert_array_equal(cut, table[:4])


def test_more_than_twice_as_many():
    table = np.arange(6.0).reshape(3, 2)
    np.testing.assert_array_equal(
        resize_positions(table, 7), table[[0, 1, 2, 0, 1, 2, 0]]
    )


@pytest.mark.parametrize("number", [0, -1, 2.5, "8"])
def test_numbers_that_are_none(number):
    with pytest.raises(ValueError, match="positive integer"):
        resize_positions(np.zeros((3, 2)), number)
    with pytest.raises(ValueError, match="cyclic, interpolate"):
        resize_positions(np.zeros((3, 2)), 4, "spline")
