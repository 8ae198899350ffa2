"""Samplers by name, and with the options of a command."""

import dataclasses

import keras_hub
import pytest

from unilmv2_tf import BeamSearchSampler
from unilmv2_tf import UniLMv2Tokenizer
from unilmv2_tf.samplers import SamplerArgs
from unilmv2_tf.samplers import get_sampler


@pytest.fixture(scope="module")
def tokenizer():
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    return UniLMv2Tokenizer([*special, "fox", "##es", ","])


def test_beam_is_ours_and_instances_stay_as_they_are():
    assert type(get_sampler("beam")) is BeamSearchSampler
    assert type(get_sampler("top_p")) is keras_hub.samplers.TopPSampler
    theirs = keras_hub.samplers.BeamSampler(num_beams=3)
    assert get_sampler(theirs) is theirs
    config = keras_hub.samplers.serialize(BeamSearchSampler(num_beams=3))
    assert get_sampler(config).num_beams == 3


def test_unknown_names():
    with pytest.raises(ValueError, match=r"beam, .*top_p\. Received.*'beems'"):
        get_sampler("beems")


def test_every_option_reaches_a_sampler(tokenizer):
    """An option that no sampler takes would be an error for each of them."""
    values = {int: 2, float: 0.5, str: "fox"}
    for field in dataclasses.fields(SamplerArgs):
        if field.name == "sampler":
            continue
        (kind,) = {int, float, str} & set(field.type.__args__)
        options = {field.name: values[kind]}
        if field.name == "diversity_penalty":
            options["num_groups"] = 5
        elif field.name == "num_groups":
            options["num_groups"] = 5
        accepted = []
        for name in ("beam", "greedy", "random", "top_k", "top_p"):
            args = SamplerArgs(sampler=name, **options)
            try:
                args.make_sampler(BeamSearchSampler(), tokenizer)
                accepted.append(name)
            except ValueError as error:
                assert "is not an option of" in str(error)
        assert accepted, field.name


def test_options_that_are_not_set_stay_as_they_are():
    base = BeamSearchSampler(num_beams=3, length_penalty=0.5, min_length=2)
    sampler = SamplerArgs(num_beams=4).make_sampler(base)
    assert sampler.get_config() == {**base.get_config(), "num_beams": 4}
    assert base.num_beams == 3
    # Another class starts from its own defaults.
    sampler = SamplerArgs(sampler="top_k", temperature=2.0).make_sampler(base)
    assert sampler.get_config() == {"k": 5, "seed": 0, "temperature": 2.0}
    sampler = SamplerArgs(num_return_sequences=2).make_sampler(base)
    assert sampler.return_scores


def test_words_become_token_ids(tokenizer):
    args = SamplerArgs(
        ignored_tokens=", [UNK]", forbidden_words='"foxes ," fox'
    )
    sampler = args.make_sampler(BeamSearchSampler(), tokenizer)
    assert sampler.ignored_token_ids == [7, 1]
    assert sampler.forbidden_token_ids == [[5, 6, 7], [5]]
    for words, message in (("zebra", "can spell"), ('"fox', "not closed")):
        with pytest.raises(ValueError, match=message):
            SamplerArgs(forbidden_words=words).make_sampler(
                BeamSearchSampler(), tokenizer
            )


def test_options_of_other_samplers():
    with pytest.raises(ValueError, match=r"`k` is not.*--sampler top_k or top"):
        SamplerArgs(k=3).make_sampler(BeamSearchSampler())
