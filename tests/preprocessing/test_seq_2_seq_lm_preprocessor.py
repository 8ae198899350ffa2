import functools

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from unilmv2_tf import UniLMv2Backbone
from unilmv2_tf.preprocessing import UniLMv2Seq2SeqLMPreprocessor

MASK = 4
LENGTHS = {"encoder_sequence_length": 8, "decoder_sequence_length": 6}


def letters(*ids):
    return " ".join(chr(ord("a") + i - 5) for i in ids)


def random_pairs(number, longest, seed=0):
    generator = np.random.default_rng(seed)

    def texts():
        sizes = generator.integers(0, longest + 1, number)
        return [letters(*generator.integers(5, 31, size)) for size in sizes]

    return {"encoder_text": texts(), "decoder_text": texts()}


@pytest.fixture(scope="module")
def make(tokenizer):
    # Tracing takes seconds, so tests share what they don't change.
    @functools.cache
    def make(tokenizer=tokenizer, **options):
        options = {**LENGTHS, "seed": 1, **options}
        return UniLMv2Seq2SeqLMPreprocessor(tokenizer, **options)

    return make


def columns(outputs):
    """One dict of arrays."""
    x, y, sample_weight = outputs
    values = {**x, "y": y, "sample_weight": sample_weight}
    return {key: np.array(value) for key, value in values.items()}


def assert_equal(one, other):
    one, other = columns(one), columns(other)
    assert list(one) == list(other)
    for key in one:
        assert one[key].dtype == other[key].dtype
        np.testing.assert_array_equal(one[key], other[key], err_msg=key)


def all_of(dataset):
    """The concatenation of a dataset's batches."""
    batches = list(dataset.as_numpy_iterator())
    return tf.nest.map_structure(lambda *parts: np.concatenate(parts), *batches)


def one_of(x, i):
    return {key: value[i] for key, value in x.items()}


def test_the_worked_example(make):
    preprocessor = make(
        encoder_sequence_length=6, decoder_sequence_length=5, seed=41
    )
    x = {
        "encoder_text": letters(7, 8, 9),
        "decoder_text": letters(11, 12, 13),
    }
    assert {
        key: value.tolist() for key, value in columns(preprocessor(x)).items()
    } == {
        "encoder_token_ids": [2, 7, 8, 9, 3, 0],
        "encoder_padding_mask": [1, 1, 1, 1, 1, 0],
        "decoder_token_ids": [11, 12, 4, 3, 0],
        "decoder_padding_mask": [1, 1, 1, 1, 0],
        "pseudo_token_ids": [4, 4, 4, 4, 0],
        "decoder_steps": [1, 2, 3, 4, 0],
        "y": [11, 12, 13, 3, 0],
        "sample_weight": [1, 1, 1, 1, 0],
    }


def test_long_and_empty_texts(make):
    x = {
        "encoder_text": [letters(*range(5, 20)), "", letters(5)],
        "decoder_text": [letters(*range(5, 20)), letters(5), ""],
    }
    x = columns(make(target_mask_rate=0.0)(x))
    assert x["encoder_token_ids"].tolist() == [
        [2, 5, 6, 7, 8, 9, 10, 3],
        [2, 3, 0, 0, 0, 0, 0, 0],
        [2, 5, 3, 0, 0, 0, 0, 0],
    ]
    # A target that is cut off ends in [SEP] all the same.
    assert x["decoder_token_ids"].tolist() == [
        [5, 6, 7, 8, 9, 3],
        [5, 3, 0, 0, 0, 0],
        [3, 0, 0, 0, 0, 0],
    ]
    np.testing.assert_array_equal(x["y"], x["decoder_token_ids"])
    assert x["decoder_steps"].tolist() == [
        [1, 2, 3, 4, 5, 6],
        [1, 2, 0, 0, 0, 0],
        [1, 0, 0, 0, 0, 0],
    ]
    np.testing.assert_array_equal(x["sample_weight"], x["y"] > 0)
    np.testing.assert_array_equal(x["decoder_padding_mask"], x["y"] > 0)


def test_the_end_of_a_source_can_be_kept(make):
    x = {"encoder_text": [letters(*range(5, 20)), letters(5, 6)]}
    preprocessor = make(truncation_side="left")
    expected = [[2, 14, 15, 16, 17, 18, 19, 3], [2, 5, 6, 3, 0, 0, 0, 0]]
    rows = preprocessor.generate_preprocess(x)
    assert rows["encoder_token_ids"].numpy().tolist() == expected
    # In training, too, in a dataset; targets are cut at their end as ever.
    pairs = {**x, "decoder_text": x["encoder_text"]}
    dataset = tf.data.Dataset.from_tensor_slices(pairs).batch(2)
    rows, y, _ = next(dataset.map(preprocessor).as_numpy_iterator())
    assert rows["encoder_token_ids"].tolist() == expected
    assert y[0].tolist() == [5, 6, 7, 8, 9, 3]


def test_the_shortest_lengths(make):
    preprocessor = make(encoder_sequence_length=3, decoder_sequence_length=1)
    x, y, _ = preprocessor({"encoder_text": "a b", "decoder_text": "c d"})
    assert x["encoder_token_ids"].numpy().tolist() == [2, 5, 3]
    assert y.numpy().tolist() == [3]


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_no_target_or_every_target_is_replaced(rate, make):
    x = columns(make(target_mask_rate=rate)(random_pairs(200, 7)))
    expected = x["pseudo_token_ids"] if rate else x["y"]
    np.testing.assert_array_equal(x["decoder_token_ids"], expected)


def authors_targets(labels, generator, rates, ordinary):
    """Target and pseudo ids by the authors' rule, one token at a time.

    They draw random tokens from the whole vocabulary; we leave special ones
    out, as everywhere.
    """
    target_rate, mask_selection_rate, random_rate = rates
    rows = []
    for label in labels:
        chance = generator.random()
        pseudo = label
        if chance < mask_selection_rate:
            pseudo = MASK
        elif chance < mask_selection_rate + random_rate:
            pseudo = generator.choice(ordinary)
        is_replaced = generator.random() < target_rate
        rows.append((pseudo if is_replaced else label, pseudo))
    return np.array(rows)


@pytest.mark.parametrize("rates", [(0.5, 0.8, 0.1), (0.7, 0.5, 0.3)])
def test_shares_are_those_of_the_authors(rates, make):
    target_rate, mask_selection_rate, random_rate = rates
    preprocessor = make(
        decoder_sequence_length=24,
        target_mask_rate=target_rate,
        mask_token_rate=mask_selection_rate,
        random_token_rate=random_rate,
    )
    x = columns(preprocessor(random_pairs(1500, 24)))
    is_used = x["y"] > 0
    y, target, pseudo = (
        x[key][is_used]
        for key in ("y", "decoder_token_ids", "pseudo_token_ids")
    )
    # A replaced target holds the very id of its pseudo slot.
    assert np.all((target == y) | (target == pseudo))

    def kinds(target, pseudo):
        def kind(ids):
            return np.where(ids == MASK, 0, np.where(ids == y, 1, 2))

        return np.bincount(3 * kind(target) + kind(pseudo), minlength=9)

    expected = authors_targets(
        y, np.random.default_rng(0), rates, np.arange(5, 35)
    )
    table = np.array([kinds(target, pseudo), kinds(*expected.T)])
    table = table[:, table.sum(axis=0) > 0]
    assert scipy.stats.chi2_contingency(table).pvalue > 1e-3
    random_ids = pseudo[(pseudo != MASK) & (pseudo != y)]
    counts = np.bincount(random_ids, minlength=35)
    assert not counts[:5].any()
    # A label that is drawn at random doesn't count, and labels are letters.
    assert scipy.stats.chisquare(counts[5:31]).pvalue > 1e-3


def test_a_pseudo_token_of_its_own(make, own_pseudo_token):
    pairs = random_pairs(300, 7)
    plain = columns(make()(pairs))
    own = columns(make(own_pseudo_token)(pairs))
    assert own_pseudo_token.pseudo_token_id == 35
    # The text that is read shows gaps as [MASK], the slots that predict [P].
    for key in plain.keys() - {"pseudo_token_ids"}:
        np.testing.assert_array_equal(own[key], plain[key])
    np.testing.assert_array_equal(
        own["pseudo_token_ids"],
        np.where(
            plain["pseudo_token_ids"] == MASK, 35, plain["pseudo_token_ids"]
        ),
    )


def test_three_ways(make):
    preprocessor = make()
    pairs = random_pairs(7, 9)
    expected = preprocessor(pairs)
    tensors = {key: tf.constant(value) for key, value in pairs.items()}
    arrays = {key: np.array(value) for key, value in pairs.items()}
    for x in (tensors, arrays, {"epoch": 0, **pairs}):
        assert_equal(preprocessor(x), expected)
    dataset = tf.data.Dataset.from_tensor_slices(pairs)
    assert_equal(all_of(dataset.batch(3).map(preprocessor)), expected)
    assert_equal(
        all_of(dataset.map(preprocessor, num_parallel_calls=4).batch(3)),
        expected,
    )
    for i in range(7):
        row = tf.nest.map_structure(lambda value, i=i: value[i], expected)
        assert_equal(preprocessor(one_of(pairs, i)), row)
        assert_equal(preprocessor(one_of(tensors, i)), row)


def test_replacements_depend_on_seed_epoch_and_pair_alone(make):
    pairs = random_pairs(40, 9)
    one, other = make(seed=1), make(seed=2)

    def replaced(preprocessor, epoch, order=slice(None)):
        x = {key: np.array(value)[order] for key, value in pairs.items()}
        x["epoch"] = np.full(len(x["encoder_text"]), epoch)
        x = columns(preprocessor(x))
        return [x[key].tolist() for key in ("decoder_token_ids", "y")]

    drawn = [replaced(one, 0), replaced(one, 1), replaced(other, 0)]
    assert len({str(ids) for ids, _ in drawn}) == 3
    assert drawn[0][1] == drawn[1][1] == drawn[2][1]
    order = np.random.default_rng(0).permutation(40)
    assert replaced(one, 1, order) == [
        [ids[i] for i in order] for ids in drawn[1]
    ]
    one, other = (make.__wrapped__(seed=None) for _ in range(2))
    assert one.seed != other.seed


def test_iterating_twice_replaces_anew_and_reproducibly(make):
    pairs = random_pairs(30, 9)
    pairs["encoder_text"] = [
        letters(5 + i // 26, 5 + i % 26) for i in range(30)
    ]

    preprocessor = make()

    def two_passes():
        dataset = preprocessor.renew_each_epoch(pairs, 8).map(preprocessor)
        return [columns(all_of(dataset)), columns(all_of(dataset))]

    def by_source(x):
        sources = x["encoder_token_ids"].tolist()
        return {
            str(row): ids
            for row, ids in zip(sources, x["decoder_token_ids"].tolist())
        }

    first, second = two_passes()
    assert by_source(first).keys() == by_source(second).keys()
    assert by_source(first) != by_source(second)
    again = two_passes()
    for key in first:
        np.testing.assert_array_equal(first[key], again[0][key])
        np.testing.assert_array_equal(second[key], again[1][key])


def test_lengths_may_be_set_anew(make):
    preprocessor = make.__wrapped__()
    pair = one_of(random_pairs(1, 20), 0)
    preprocessor(pair)
    preprocessor.generate_preprocess("a b")
    preprocessor.decoder_sequence_length = 3
    preprocessor.encoder_sequence_length = 4
    x, y, _ = preprocessor(pair)
    assert y.shape == (3,)
    assert x["encoder_token_ids"].shape == (4,)
    generated = preprocessor.generate_preprocess("a b")
    assert generated["decoder_token_ids"].shape == (3,)


OPTIONS = {
    "encoder_sequence_length": 9,
    "decoder_sequence_length": 5,
    "target_mask_rate": 0.7,
    "mask_token_rate": 0.6,
    "random_token_rate": 0.3,
    "seed": 77,
    "truncation_side": "left",
}


def test_config_round_trip(make, own_pseudo_token):
    preprocessor = make(own_pseudo_token, **OPTIONS)
    config = keras.layers.serialize(preprocessor)
    assert OPTIONS.items() <= config["config"].items()
    again = keras.layers.deserialize(config)
    assert again.get_config() == preprocessor.get_config()


def test_preset_round_trip(make, own_pseudo_token, tmp_path):
    UniLMv2Backbone(
        vocabulary_size=36,
        num_layers=1,
        num_heads=1,
        hidden_dim=2,
        intermediate_dim=2,
    ).save_to_preset(str(tmp_path))
    preprocessor = make(own_pseudo_token, **OPTIONS)
    preprocessor.save_to_preset(str(tmp_path))
    again = UniLMv2Seq2SeqLMPreprocessor.from_preset(str(tmp_path))
    pairs = random_pairs(20, 9)
    assert_equal(again(pairs), preprocessor(pairs))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"target_mask_rate": 1.5}, r"`target_mask_rate`.*1\.5"),
        ({"mask_token_rate": -1}, r"`mask_token_rate`.*-1"),
        ({"random_token_rate": 2}, r"`random_token_rate`.*2"),
        (
            {"mask_token_rate": 0.9, "random_token_rate": 0.2},
            r"at most 1.*0\.9.*0\.2",
        ),
        (
            {"encoder_sequence_length": 2},
            "`encoder_sequence_length`.*at least 3.*=2",
        ),
        (
            {"decoder_sequence_length": 0},
            "`decoder_sequence_length`.*at least 1.*=0",
        ),
        ({"truncation_side": "both"}, "'right' or 'left'.*'both'"),
    ],
)
def test_arguments_out_of_range(options, message, make):
    with pytest.raises(ValueError, match=message):
        make(**options)
