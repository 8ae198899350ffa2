import functools

import keras
import keras_hub
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from unilmv2_tf import UniLMv2Backbone
from unilmv2_tf.preprocessing import UniLMv2PseudoMaskedLMPreprocessor
from unilmv2_tf.preprocessing import UniLMv2Tokenizer
from unilmv2_tf.preprocessing import pack_documents
from unilmv2_tf.preprocessing.blockwise_masking import num_mask_slots

SPECIAL = {0, 2, 3, 4}
UNK = 1
LENGTH = 24


def letters(*ids):
    return " ".join(chr(ord("a") + i - 5) for i in ids)


def random_texts(number, longest, seed=0):
    generator = np.random.default_rng(seed)
    return [
        letters(*generator.integers(5, 31, size))
        for size in generator.integers(0, longest + 1, number)
    ]


@pytest.fixture(scope="module")
def make(tokenizer):
    # Tracing takes seconds, so tests share what they don't change.
    @functools.cache
    def make(**options):
        options = {"sequence_length": LENGTH, "seed": 1, **options}
        return UniLMv2PseudoMaskedLMPreprocessor(tokenizer, **options)

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


def restored(outputs):
    """The rows as they were before."""
    x = columns(outputs)
    token_ids = x["token_ids"].copy()
    for row, positions, ids, steps in zip(
        token_ids,
        x["mask_positions"],
        x["revealed_token_ids"],
        x["mask_steps"],
    ):
        row[positions[steps > 0]] = ids[steps > 0]
    return token_ids


def test_the_worked_example(make):
    preprocessor = make(sequence_length=13, seed=485)
    text = letters(7, 8, 9, 10, 11, 12, 13, 14)
    assert {
        key: value.tolist()
        for key, value in columns(preprocessor(text)).items()
    } == {
        "token_ids": [2, 7, 8, 4, 4, 3, 11, 12, 4, 14, 3, 0, 0],
        "segment_ids": [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 0, 0],
        "padding_mask": [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0],
        "mask_positions": [3, 4, 8, 0, 0, 0, 0],
        "mask_steps": [2, 2, 1, 0, 0, 0, 0],
        "revealed_token_ids": [9, 10, 13, 0, 0, 0, 0],
        "y": [9, 10, 13, 0, 0, 0, 0],
        "sample_weight": [1, 1, 1, 0, 0, 0, 0],
    }


def test_rows_without_masks(make):
    x = columns(
        make(sequence_length=8, mask_selection_rate=0.0)(
            [letters(5, 6, 7), letters(5), "", letters(*range(5, 15))]
        )
    )
    assert x["token_ids"].tolist() == [
        [2, 5, 6, 3, 7, 3, 0, 0],
        [2, 5, 3, 0, 0, 0, 0, 0],
        [2, 3, 0, 0, 0, 0, 0, 0],
        [2, 5, 6, 7, 3, 8, 9, 3],
    ]
    assert x["segment_ids"].tolist() == [
        [0, 0, 0, 0, 1, 1, 0, 0],
        [0] * 8,
        [0] * 8,
        [0, 0, 0, 0, 0, 1, 1, 1],
    ]
    assert x["padding_mask"].sum(axis=1).tolist() == [6, 3, 2, 8]
    assert not x["mask_steps"].any()
    assert not x["sample_weight"].any()


def test_outputs_fit_together(make):
    texts = random_texts(300, 30)
    outputs = make()(texts)
    plain = columns(make(mask_selection_rate=0.0)(texts))
    x = columns(outputs)
    np.testing.assert_array_equal(restored(outputs), plain["token_ids"])
    np.testing.assert_array_equal(x["segment_ids"], plain["segment_ids"])
    np.testing.assert_array_equal(x["padding_mask"], plain["padding_mask"])
    assert x["y"].shape == (300, num_mask_slots(LENGTH))
    for i, steps in enumerate(x["mask_steps"]):
        number = np.count_nonzero(steps)
        # Slots are filled from the left, in the order of the text.
        assert np.all(steps[:number] > 0)
        assert np.all(np.diff(x["mask_positions"][i, :number]) > 0)
        assert sorted(set(steps[:number])) == list(range(1, steps.max() + 1))
        assert not SPECIAL & set(x["y"][i, :number])
        for key in ("mask_positions", "revealed_token_ids", "y"):
            assert not x[key][i, number:].any()
        text_tokens = np.isin(plain["token_ids"][i], [2, 3, 0], invert=True)
        wanted = np.ceil(0.15 * plain["padding_mask"][i].sum() - 1e-9)
        assert number >= min(wanted, text_tokens.sum())
    np.testing.assert_array_equal(x["sample_weight"], x["mask_steps"] > 0)
    np.testing.assert_array_equal(x["y"], x["revealed_token_ids"])


@pytest.mark.slow
def test_three_ways(make):
    preprocessor = make()
    texts = random_texts(7, 30)
    expected = preprocessor(texts)
    for x in (
        tf.constant(texts),
        np.array(texts, dtype=object),
        {"epoch": 0, "text": texts},
    ):
        assert_equal(preprocessor(x), expected)
    dataset = tf.data.Dataset.from_tensor_slices(texts)
    assert_equal(all_of(dataset.batch(3).map(preprocessor)), expected)
    assert_equal(all_of(dataset.map(preprocessor).batch(3)), expected)
    for i, text in enumerate(texts):
        row = tf.nest.map_structure(lambda value, i=i: value[i], expected)
        for x in (text, tf.constant(text)):
            assert_equal(preprocessor(x), row)


@pytest.mark.slow
def test_rows_three_ways(make, tokenizer):
    preprocessor = make()
    texts = random_texts(60, 25, seed=2)
    rows = pack_documents(
        tf.data.Dataset.from_tensor_slices({"text": texts}), tokenizer, LENGTH
    )
    arrays = next(iter(rows.batch(1000)))
    expected = preprocessor(arrays)
    np.testing.assert_array_equal(restored(expected), arrays["token_ids"])
    lists = {key: value.numpy().tolist() for key, value in arrays.items()}
    assert_equal(preprocessor(lists), expected)
    assert_equal(all_of(rows.batch(4).map(preprocessor)), expected)
    assert_equal(all_of(rows.map(preprocessor).batch(4)), expected)
    single = {key: value[5] for key, value in arrays.items()}
    row = tf.nest.map_structure(lambda value: value[5], expected)
    assert_equal(preprocessor(single), row)


def test_a_text_and_its_row_have_the_same_mask(make):
    texts = random_texts(20, 25)
    plain, _, _ = make(mask_selection_rate=0.0)(texts)
    assert_equal(make()(plain), make()(texts))


@pytest.mark.slow
def test_masks_depend_on_the_row_alone(make):
    preprocessor = make(whole_words=True)
    texts = random_texts(40, 21)
    expected = columns(preprocessor(texts))
    order = np.random.default_rng(0).permutation(len(texts))
    dataset = tf.data.Dataset.from_tensor_slices(texts)
    shuffled = tf.data.Dataset.from_tensor_slices([texts[i] for i in order])
    shuffled = shuffled.batch(7).map(preprocessor, num_parallel_calls=4)
    for outputs, rows in (
        (all_of(dataset.batch(1).map(preprocessor)), slice(None)),
        (all_of(shuffled), order),
        (preprocessor([texts[i] for i in order]), order),
    ):
        for key, value in columns(outputs).items():
            np.testing.assert_array_equal(value, expected[key][rows])


def test_another_seed_and_another_epoch_give_another_mask(make):
    texts = random_texts(30, 21)
    one, other = make(seed=1), make(seed=2)

    def positions(preprocessor, epoch):
        x = {"text": texts, "epoch": [epoch] * len(texts)}
        return columns(preprocessor(x))["mask_positions"].tolist()

    masks = [positions(one, epoch) for epoch in (0, 1, 2)]
    masks += [positions(other, epoch) for epoch in (0, 1)]
    assert len({str(mask) for mask in masks}) == len(masks)
    assert positions(one, 1) == masks[1]


def test_an_epoch_for_each_text(make):
    texts = [letters(*range(5, 25))] * 3
    x = columns(make()({"text": texts, "epoch": [4, 0, 4]}))["mask_positions"]
    np.testing.assert_array_equal(x[0], x[2])
    assert x[0].tolist() != x[1].tolist()


def test_what_a_token_becomes_is_independent_of_the_spans(make):
    preprocessor = make(
        block_probability=0.0, mask_token_rate=0.5, random_token_rate=0.0
    )
    num_rows = 6000
    x = columns(
        preprocessor(
            {
                "text": [letters(*range(5, 26))] * num_rows,
                "epoch": np.arange(num_rows),
            }
        )
    )
    rows, slots = np.nonzero(x["mask_steps"])
    place_of_step = np.zeros((num_rows, 5), int)
    place_of_step[rows, x["mask_steps"][rows, slots]] = x["mask_positions"][
        rows, slots
    ]
    pvalues = []
    for place in range(1, 12):
        is_masked = np.any(place_of_step[:, 1:] == place, axis=1)
        is_gap = x["token_ids"][is_masked, place] == 4
        for step in range(1, 5):
            is_early = place_of_step[is_masked, step] < LENGTH / 2
            table, _, _ = np.histogram2d(is_gap, is_early, bins=2)
            pvalues.append(scipy.stats.chi2_contingency(table).pvalue)
    assert min(pvalues) > 1e-3 / len(pvalues)


def test_without_a_seed_masks_differ(make):
    one, other = (make.__wrapped__(seed=None) for _ in range(2))
    assert one.seed != other.seed


def test_iterating_twice_masks_anew_and_reproducibly(make):
    texts = random_texts(30, 21, seed=4)
    preprocessor = make()

    def two_passes():
        dataset = preprocessor.renew_each_epoch(texts, batch_size=8)
        dataset = dataset.map(preprocessor, num_parallel_calls=tf.data.AUTOTUNE)
        return [all_of(dataset), all_of(dataset)]

    def by_row(outputs):
        positions = columns(outputs)["mask_positions"].tolist()
        rows = restored(outputs).tolist()
        return {str(row): mask for row, mask in zip(rows, positions)}

    first, second = two_passes()
    assert by_row(first).keys() == by_row(second).keys()
    assert by_row(first) != by_row(second)
    for outputs, again in zip((first, second), two_passes()):
        assert_equal(outputs, again)


def test_unknown_words_may_be_masked_and_special_tokens_not():
    tokenizer = UniLMv2Tokenizer(
        ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[P]", "a"],
        pseudo_token="[P]",
        special_tokens_in_strings=True,
    )
    preprocessor = UniLMv2PseudoMaskedLMPreprocessor(
        tokenizer, sequence_length=16, mask_selection_rate=1.0, seed=0
    )
    text = "a ü [SEP] [MASK] [P] [CLS] [PAD] a ü"
    _, y, sample_weight = preprocessor(text)
    assert y.numpy().tolist()[:4] == [6, UNK, 6, UNK]
    assert sample_weight.numpy().sum() == 4


def test_fully_autoregressive(make):
    x = columns(make(block_probability=0.0)(random_texts(50, 30)))
    for steps in x["mask_steps"]:
        steps = steps[steps > 0]
        assert sorted(steps) == list(range(1, len(steps) + 1))


@pytest.mark.parametrize("rate, expected", [(0.5, 12), (0.9, 21), (1.0, 21)])
def test_rates_of_a_full_row(rate, expected, make):
    texts = [letters(*range(5, 5 + 26))]
    x = columns(make(mask_selection_rate=rate)(texts))
    # 21 of the 24 tokens are text.
    number = np.count_nonzero(x["mask_steps"])
    assert expected <= number <= num_mask_slots(LENGTH, rate)


def test_whole_words_are_not_split(make, tokenizer):
    generator = np.random.default_rng(0)
    texts = [
        " ".join(
            "abcdefgh"[generator.integers(8)]
            + "".join(generator.choice(list("xyzw"), generator.integers(4)))
            for _ in range(12)
        )
        for _ in range(200)
    ]
    outputs = make(whole_words=True)(texts)
    rows, x = restored(outputs), columns(outputs)
    is_suffix = np.array(
        [token.startswith("##") for token in tokenizer.get_vocabulary()]
    )
    assert x["y"].shape[1] == num_mask_slots(LENGTH, whole_words=True)
    for row, positions, mask_steps in zip(
        rows, x["mask_positions"], x["mask_steps"]
    ):
        steps = np.zeros(LENGTH, int)
        steps[positions[mask_steps > 0]] = mask_steps[mask_steps > 0]
        for place in np.flatnonzero(is_suffix[row]):
            # What follows [SEP] is the rest of a word that was cut in two.
            if row[place - 1] not in SPECIAL:
                assert (steps[place] > 0) == (steps[place - 1] > 0)
                assert steps[place] == steps[place - 1]
        assert np.count_nonzero(steps) >= 4


def test_rows_of_other_lengths(make):
    preprocessor = make()

    def row(length, size):
        return {
            "token_ids": np.full((size, length), 9, "int32"),
            "segment_ids": np.zeros((size, length), "int32"),
            "padding_mask": np.ones((size, length), "int32"),
        }

    for length, size in ((24, 4), (16, 2), (24, 1)):
        x, y, _ = preprocessor(row(length, size))
        assert x["token_ids"].shape == (size, length)
        assert y.shape == (size, num_mask_slots(length))
    unknown = tf.data.Dataset.from_generator(
        lambda: iter([row(24, 2)]),
        output_signature={
            key: tf.TensorSpec([None, None], tf.int32) for key in row(1, 1)
        },
    )
    assert_equal(all_of(unknown.map(preprocessor)), preprocessor(row(24, 2)))


def test_attributes_may_be_set_anew(make):
    preprocessor = make.__wrapped__()
    text = letters(*range(5, 30))
    preprocessor(text)
    preprocessor.sequence_length = 13
    preprocessor.seed = 485
    again = make(sequence_length=13, seed=485)
    assert_equal(preprocessor(text), again(text))


OPTIONS = {
    "sequence_length": 20,
    "mask_selection_rate": 0.3,
    "block_probability": 0.7,
    "min_block": 3,
    "max_block": 4,
    "mask_token_rate": 0.6,
    "random_token_rate": 0.3,
    "whole_words": True,
    "seed": 77,
}


def test_config_round_trip(make):
    preprocessor = make(**OPTIONS)
    config = keras.layers.serialize(preprocessor)
    assert OPTIONS.items() <= config["config"].items()
    again = keras.layers.deserialize(config)
    assert isinstance(again.tokenizer, UniLMv2Tokenizer)
    assert again.get_config() == preprocessor.get_config()


def test_a_drawn_seed_is_kept(make):
    preprocessor = make(seed=None)
    assert preprocessor.get_config()["seed"] == preprocessor.seed


def test_kerashub_finds_the_class_of_a_preset(make, tmp_path):
    UniLMv2Backbone(
        vocabulary_size=35,
        num_layers=1,
        num_heads=1,
        hidden_dim=2,
        intermediate_dim=2,
    ).save_to_preset(str(tmp_path))
    preprocessor = make(**OPTIONS)
    preprocessor.save_to_preset(str(tmp_path))
    again = keras_hub.models.MaskedLMPreprocessor.from_preset(str(tmp_path))
    assert isinstance(again, UniLMv2PseudoMaskedLMPreprocessor)
    texts = random_texts(20, 25)
    assert_equal(again(texts), preprocessor(texts))
    changed = UniLMv2PseudoMaskedLMPreprocessor.from_preset(
        str(tmp_path), seed=3
    )
    assert changed.seed == 3
    assert changed.min_block == preprocessor.min_block


@pytest.mark.parametrize(
    "options, message",
    [
        (
            {"mask_selection_rate": 1.5},
            r"`mask_selection_rate`.*\[0, 1\].*1\.5",
        ),
        ({"block_probability": -1}, r"`block_probability`.*-1"),
        ({"mask_token_rate": 2}, r"`mask_token_rate`.*2"),
        ({"random_token_rate": -0.1}, r"`random_token_rate`.*-0\.1"),
        (
            {"mask_token_rate": 0.9, "random_token_rate": 0.2},
            r"at most 1.*0\.9.*0\.2",
        ),
        ({"min_block": 0}, "`min_block`.*min_block=0"),
        ({"min_block": 7}, "`min_block`.*min_block=7, max_block=6"),
        ({"sequence_length": 3}, "`sequence_length`.*sequence_length=3"),
        ({"truncate": "waterfall"}, "`truncate` is no argument.*waterfall"),
        ({"mask_selection_length": 9}, "`mask_selection_length`.*=9"),
    ],
)
def test_arguments_out_of_range(options, message, make):
    with pytest.raises(ValueError, match=message):
        make(**options)


def test_the_shortest_sequence_length(make):
    x, _, _ = make(sequence_length=4, mask_selection_rate=0.0)(letters(5, 6))
    assert x["token_ids"].numpy().tolist() == [2, 5, 3, 0]
