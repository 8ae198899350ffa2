"""The named sizes."""

import pathlib

import keras_hub
import pytest

from unilmv2_tf import UniLMv2Backbone
from unilmv2_tf import UniLMv2Seq2SeqLM
from unilmv2_tf import UniLMv2TextClassifier
from unilmv2_tf.models.presets import PRESETS
from unilmv2_tf.models.presets import is_preset_location
from unilmv2_tf.models.presets import preset_config

NAMES = [
    "unilmv2_tiny",
    "unilmv2_mini",
    "unilmv2_small",
    "unilmv2_base",
    "unilmv2_large",
]


def number_of_parameters(name):
    """Counted by hand: tables, layers, the shared relative bias."""
    config = preset_config(name)
    hidden, inner = config["hidden_dim"], config["intermediate_dim"]
    tables = config["vocabulary_size"] + 512 + 2
    attention = 4 * (hidden * hidden + hidden)
    feed_forward = 2 * hidden * inner + inner + hidden
    layer = attention + feed_forward + 4 * hidden
    return (
        tables * hidden
        + 2 * hidden
        + config["num_layers"] * layer
        + 32 * config["num_heads"]
    )


def test_the_names():
    assert list(PRESETS) == NAMES
    assert list(UniLMv2Backbone.presets) == NAMES


@pytest.mark.parametrize("name", ["unilmv2_tiny", "unilmv2_mini"])
def test_parameters(name):
    backbone = UniLMv2Backbone.from_preset(name, load_weights=False)
    assert backbone.count_params() == number_of_parameters(name)


@pytest.mark.parametrize(
    "cls", [UniLMv2Backbone, UniLMv2TextClassifier, UniLMv2Seq2SeqLM]
)
def test_sizes_have_no_weights(cls):
    with pytest.raises(ValueError, match="has no weights") as error:
        cls.from_preset("unilmv2_base")
    assert "preset=unilmv2_base, load_weights=True" in str(error.value)
    assert "Pass `load_weights=False`" in str(error.value)


@pytest.mark.parametrize("name", NAMES)
def test_base_classes_of_keras_hub_find_no_weights_either(name):
    for cls in (keras_hub.models.Backbone, keras_hub.models.TextClassifier):
        with pytest.raises(ValueError, match=name):
            cls.from_preset(name)


def test_base_and_large_are_those_of_the_paper():
    base = preset_config("unilmv2_base")
    assert (base["num_layers"], base["hidden_dim"]) == (12, 768)
    assert (base["num_heads"], base["intermediate_dim"]) == (12, 3072)
    assert base["vocabulary_size"] == 30522
    # "about 110M parameters"
    assert 108e6 < number_of_parameters("unilmv2_base") < 112e6
    large = preset_config("unilmv2_large")
    assert (large["num_layers"], large["hidden_dim"]) == (24, 1024)
    assert (large["num_heads"], large["intermediate_dim"]) == (16, 4096)


@pytest.mark.parametrize("name", NAMES)
def test_heads_have_64_dimensions(name):
    config = preset_config(name)
    assert config["hidden_dim"] == 64 * config["num_heads"]


def test_overrides_leave_the_preset_alone():
    config = preset_config("unilmv2_tiny", vocabulary_size=99)
    assert config["vocabulary_size"] == 99
    assert preset_config("unilmv2_tiny")["vocabulary_size"] == 30522


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match="`preset`") as error:
        preset_config("unilmv2_huge")
    for name in [*NAMES, "preset=unilmv2_huge"]:
        assert name in str(error.value)


def test_locations(tmp_path, monkeypatch):
    assert is_preset_location(str(tmp_path))
    assert is_preset_location(tmp_path)
    assert is_preset_location("hf://user/model")
    assert not is_preset_location(str(tmp_path / "absent"))
    # A name stays a name, whatever lies about.
    monkeypatch.chdir(tmp_path)
    pathlib.Path("unilmv2_tiny").mkdir()
    assert not is_preset_location("unilmv2_tiny")
    assert is_preset_location("./unilmv2_tiny")
