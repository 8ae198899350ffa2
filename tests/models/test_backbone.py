"""Properties of the backbone; its numbers are compared in test_golden.py."""

import inspect

import keras
import numpy as np
import pytest

from unilmv2_tf import UniLMv2Backbone


@pytest.fixture(scope="module")
def backbone(make_backbone, randomize):
    return randomize(make_backbone())


@pytest.fixture(scope="module")
def row():
    rng = np.random.default_rng(0)
    lengths = np.array([9, 6, 1])
    return {
        "token_ids": rng.integers(5, 19, (3, 9)),
        "segment_ids": rng.integers(0, 2, (3, 9)),
        "padding_mask": (np.arange(9) < lengths[:, None]).astype("int32"),
    }


@pytest.fixture(scope="module")
def slots():
    rng = np.random.default_rng(1)
    return {
        "revealed_token_ids": rng.integers(5, 19, (3, 4)),
        "pseudo_token_ids": np.full((3, 4), 4),
        "target_segment_ids": rng.integers(0, 2, (3, 4)),
        "target_positions": rng.integers(0, 9, (3, 4)),
        "steps": np.array([[1, 2, 2, 3], [2, 1, 0, 0], [0, 0, 0, 0]]),
    }


def assert_close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


def test_padding_changes_nothing(backbone, row):
    real = row["padding_mask"].astype(bool)
    states = np.asarray(backbone(row))
    assert states.shape == (3, 9, 8)
    filled = {**row, "token_ids": np.where(real, row["token_ids"], 17)}
    assert_close(np.asarray(backbone(filled))[real], states[real])
    longer = {name: np.pad(x, ((0, 0), (0, 5))) for name, x in row.items()}
    assert_close(np.asarray(backbone(longer))[:, :9][real], states[real])


def test_rows_of_a_batch_are_independent(backbone, row):
    states = backbone(row)
    for i in range(3):
        one = {name: x[i : i + 1] for name, x in row.items()}
        assert_close(backbone(one)[0], states[i])


def test_it_is_bidirectional(backbone, row):
    before = np.asarray(backbone(row))[0]
    token_ids = row["token_ids"].copy()
    token_ids[0, 4] = 5 if token_ids[0, 4] != 5 else 6
    after = np.asarray(backbone({**row, "token_ids": token_ids}))[0]
    assert (np.abs(after - before).max(axis=-1) > 1e-3).all()


def test_context_never_sees_the_other_blocks(backbone, row, slots):
    real = row["padding_mask"].astype(bool)
    states = np.asarray(backbone.encode_blocks(**row, **slots))
    assert states.shape == (3, 9 + 2 * 4, 8)
    assert_close(states[:, :9][real], np.asarray(backbone(row))[real])


@pytest.mark.parametrize("num_relative_buckets", [0, 8])
@pytest.mark.parametrize("with_position_ids", [False, True])
def test_query_indices_compute_the_same_states(
    make_backbone, randomize, row, num_relative_buckets, with_position_ids
):
    backbone = randomize(
        make_backbone(num_relative_buckets=num_relative_buckets)
    )
    places = np.array([[0, 8], [5, 5], [0, 0]])
    if with_position_ids:
        order = np.random.default_rng(3).permutation(9)
        row = {**row, "position_ids": np.stack([order, order[::-1], order])}
    states = np.asarray(backbone.encode(**row))
    picked = backbone.encode(**row, query_indices=places)
    assert_close(picked, np.take_along_axis(states, places[..., None], axis=1))


@pytest.mark.parametrize("num_relative_buckets", [0, 8])
@pytest.mark.parametrize("places", [None, [[2], [1], [0]]])
def test_predicted_only_computes_the_same_states(
    make_backbone, randomize, row, slots, num_relative_buckets, places
):
    backbone = randomize(
        make_backbone(num_relative_buckets=num_relative_buckets)
    )
    states = np.asarray(backbone.encode_blocks(**row, **slots))
    expected = states[:, -4:]
    if places is not None:
        places = np.array(places)
        picked = np.take_along_axis(states, places[..., None], axis=1)
        expected = np.concatenate([picked, expected], axis=1)
    predicted = backbone.encode_blocks(
        **row, **slots, query_indices=places, predicted_only=True
    )
    assert_close(predicted, expected)


def test_positions_only_count_relatively_without_a_table(
    make_backbone, randomize, row
):
    backbone = randomize(make_backbone())
    table = backbone.embeddings.position_embedding.embeddings
    table.assign(0 * table)
    positions = np.tile(np.arange(9), (3, 1))
    real = row["padding_mask"].astype(bool)
    states = np.asarray(backbone.encode(**row, position_ids=positions))
    moved = np.asarray(backbone.encode(**row, position_ids=positions + 7))
    mirrored = np.asarray(backbone.encode(**row, position_ids=8 - positions))
    assert_close(moved[real], states[real])
    # The bias tells left from right.
    assert np.abs(mirrored[0] - states[0]).max() > 1e-2


def test_without_relative_bias(make_backbone, randomize, row, slots):
    backbone = randomize(make_backbone(num_relative_buckets=0))
    assert backbone.relative_position_bias is None
    assert not [w for w in backbone.weights if "relative" in w.path]
    table = backbone.embeddings.position_embedding.embeddings
    table.assign(0 * table)
    # A bag of words: order counts no more.
    order = np.random.default_rng(0).permutation(9)
    shuffled = {name: x[:1, order] for name, x in row.items()}
    states = np.asarray(backbone(row))
    assert_close(np.asarray(backbone(shuffled))[0], states[0][order])
    joint = np.asarray(backbone.encode_blocks(**row, **slots))
    real = row["padding_mask"].astype(bool)
    assert_close(joint[:, :9][real], states[real])


def test_default_positions_count_from_zero(backbone, row):
    positions = np.tile(np.arange(9), (3, 1))
    assert_close(backbone.encode(**row, position_ids=positions), backbone(row))


@pytest.mark.parametrize("dtype", ["int32", "int64", "bool"])
def test_integer_types(backbone, row, dtype):
    mask = row["padding_mask"].astype(dtype)
    inputs = {**row, "padding_mask": mask}
    if dtype != "bool":
        inputs = {name: x.astype(dtype) for name, x in inputs.items()}
    assert_close(backbone(inputs), backbone(row))


@pytest.mark.parametrize(
    "policy", ["float16", "mixed_float16", "bfloat16", "mixed_bfloat16"]
)
def test_low_precision_is_close(make_backbone, backbone, row, slots, policy):
    low = make_backbone(dtype=policy)
    low.set_weights(backbone.get_weights())
    compute_dtype = policy.removeprefix("mixed_")
    states = low.encode_blocks(**row, **slots)
    assert states.dtype.name == compute_dtype
    states = np.asarray(states).astype("float32")
    assert np.isfinite(states).all()
    expected = np.asarray(backbone.encode_blocks(**row, **slots))
    assert np.abs(states - expected).mean() < 0.1
    assert low.embeddings.token_embedding.embeddings.dtype == (
        "float32" if policy.startswith("mixed") else compute_dtype
    )


def test_float64_is_closer(make_backbone, backbone, row):
    double = make_backbone(dtype="float64")
    double.set_weights(backbone.get_weights())
    states = double(row)
    assert states.dtype.name == "float64"
    assert_close(backbone(row), states)


def test_config_holds_every_argument(make_backbone, row):
    arguments = {
        "vocabulary_size": 23,
        "num_layers": 1,
        "num_heads": 3,
        "hidden_dim": 6,
        "intermediate_dim": 7,
        "dropout": 0.25,
        "max_sequence_length": 11,
        "num_segments": 4,
        "num_relative_buckets": 8,
        "max_relative_distance": 9,
        "layer_norm_epsilon": 1e-5,
        "dtype": "mixed_bfloat16",
        "approximate_gelu": True,
    }
    named = set(inspect.signature(UniLMv2Backbone).parameters) - {"kwargs"}
    assert set(arguments) == named
    backbone = UniLMv2Backbone(**arguments, name="named", trainable=False)
    config = backbone.get_config()
    restored = UniLMv2Backbone.from_config(config)
    assert restored.get_config() == config
    for name in named - {"dtype"}:
        assert config[name] == arguments[name]
    assert restored.dtype_policy.name == "mixed_bfloat16"
    assert (restored.name, restored.trainable) == ("named", False)
    weights = [(w.path, w.shape) for w in backbone.weights]
    assert [(w.path, w.shape) for w in restored.weights] == weights


def test_keras_file(backbone, row, tmp_path):
    backbone.save(tmp_path / "backbone.keras")
    restored = keras.saving.load_model(tmp_path / "backbone.keras")
    assert isinstance(restored, UniLMv2Backbone)
    np.testing.assert_array_equal(restored(row), backbone(row))


def test_preset_folder(backbone, row, tmp_path):
    backbone.save_to_preset(str(tmp_path))
    for location in (tmp_path, str(tmp_path)):
        restored = UniLMv2Backbone.from_preset(location)
        np.testing.assert_array_equal(restored(row), backbone(row))
    fresh = UniLMv2Backbone.from_preset(tmp_path, load_weights=False)
    assert np.abs(fresh(row) - backbone(row)).max() > 0.1
    without_dropout = UniLMv2Backbone.from_preset(tmp_path, dropout=0.0)
    assert without_dropout.dropout == 0
    np.testing.assert_array_equal(without_dropout(row), backbone(row))


def test_named_preset_with_overrides():
    backbone = UniLMv2Backbone.from_preset(
        "unilmv2_tiny", load_weights=False, vocabulary_size=50, dtype="bfloat16"
    )
    assert backbone.vocabulary_size == 50
    assert backbone.dtype_policy.name == "bfloat16"


def test_an_unknown_preset_names_the_known_ones():
    with pytest.raises(ValueError, match=r"unilmv2_tiny.*unilmv2_large"):
        UniLMv2Backbone.from_preset("bert_base_en")


def test_all_weights_are_trained(make_backbone, row):
    backbone = make_backbone()
    model = keras.Sequential([backbone, keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.5), loss="mse", jit_compile=False)
    before = {w.path: np.asarray(w) for w in backbone.trainable_weights}
    labels = np.random.default_rng(0).normal(size=(3, 9, 1))
    model.train_on_batch(row, labels)
    for weight in backbone.trainable_weights:
        # Softmax does not see what is the same for all keys.
        moved = np.abs(np.asarray(weight) - before[weight.path]).max()
        assert moved > 0 or weight.path.endswith("key/bias"), weight.path


@pytest.mark.parametrize(
    "argument",
    [
        "vocabulary_size",
        "num_layers",
        "num_heads",
        "hidden_dim",
        "intermediate_dim",
        "max_sequence_length",
        "num_segments",
    ],
)
@pytest.mark.parametrize("value", [0, -1, 2.5])
def test_sizes_are_positive_integers(make_backbone, argument, value):
    with pytest.raises(ValueError, match=f"`{argument}`.*={value}"):
        make_backbone(**{argument: value})


def test_other_bad_arguments(make_backbone):
    with pytest.raises(ValueError, match="hidden_dim=8, num_heads=3"):
        make_backbone(num_heads=3)
    with pytest.raises(ValueError, match="multiple of 4"):
        make_backbone(num_relative_buckets=6)


def test_a_row_longer_than_the_table(backbone):
    ids = np.ones((1, 41), "int32")
    with pytest.raises(ValueError, match="max_sequence_length=40"):
        backbone.encode(ids, 0 * ids, ids)
