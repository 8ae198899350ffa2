import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from unilmv2_tf.preprocessing import UniLMv2Tokenizer
from unilmv2_tf.preprocessing.blockwise_masking import check_rates
from unilmv2_tf.preprocessing.blockwise_masking import corrupt
from unilmv2_tf.preprocessing.random_bits import mix

NUM_ROWS, WIDTH = 2000, 20
MASK = 4


def corrupted(tokenizer, true_id=7, **rates):
    """Ids of `NUM_ROWS * WIDTH` places that held one id."""
    seeds = mix(tf.cast(tf.range(NUM_ROWS), tf.uint64))
    counters = tf.tile(tf.range(0, 2 * WIDTH, 2)[tf.newaxis], [NUM_ROWS, 1])
    token_ids = tf.fill([NUM_ROWS, WIDTH], true_id)
    return corrupt(token_ids, seeds, counters, tokenizer, **rates).numpy()


def num_of(share, sample):
    """Whether a count fits a share of the places."""
    places = NUM_ROWS * WIDTH
    return scipy.stats.binomtest(int(sample), places, share).pvalue > 1e-3


@pytest.mark.parametrize("mask, random", [(0.8, 0.1), (0.5, 0.3), (0.2, 0.8)])
def test_shares(mask, random, tokenizer):
    ids = corrupted(tokenizer, mask_token_rate=mask, random_token_rate=random)
    num_ordinary = tokenizer.vocabulary_size() - 5
    assert num_of(mask, np.sum(ids == MASK))
    # The random token may be the true one.
    kept = 1 - mask - random + random / num_ordinary
    assert num_of(kept, np.sum(ids == 7))


def test_defaults_are_those_of_bert(tokenizer):
    np.testing.assert_array_equal(
        corrupted(tokenizer),
        corrupted(tokenizer, mask_token_rate=0.8, random_token_rate=0.1),
    )


@pytest.mark.parametrize("shuffled", [False, True])
def test_random_tokens_are_uniform_and_never_special(shuffled, tokenizer):
    vocabulary = list(tokenizer.get_vocabulary())
    if shuffled:
        # Special tokens need not come first.
        vocabulary = [
            vocabulary[i]
            for i in np.random.default_rng(1).permutation(len(vocabulary))
        ]
    vocabulary.append("[P]")
    tokenizer = UniLMv2Tokenizer(vocabulary, pseudo_token="[P]")
    ids = corrupted(tokenizer, mask_token_rate=0.0, random_token_rate=1.0)
    counts = np.bincount(ids.ravel(), minlength=len(vocabulary))
    is_special = np.array([token.startswith("[") for token in vocabulary])
    assert is_special.sum() == 6
    assert not counts[is_special].any()
    assert scipy.stats.chisquare(counts[~is_special]).pvalue > 1e-3


def test_places_are_independent(tokenizer):
    ids = corrupted(tokenizer, mask_token_rate=0.5, random_token_rate=0.25)
    kinds = np.where(ids == MASK, 0, np.where(ids == 7, 1, 2))
    for left, right in (
        (kinds[:, :-1], kinds[:, 1:]),
        (kinds[:-1], kinds[1:]),
    ):
        table, _, _ = np.histogram2d(left.ravel(), right.ravel(), bins=3)
        assert scipy.stats.chi2_contingency(table).pvalue > 1e-3


@pytest.mark.parametrize(
    "mask, random, expected", [(1.0, 0.0, MASK), (0.0, 0.0, 7)]
)
def test_all_or_nothing(mask, random, expected, tokenizer):
    ids = corrupted(tokenizer, mask_token_rate=mask, random_token_rate=random)
    assert np.all(ids == expected)


def test_a_vocabulary_of_special_tokens_has_no_random_ones():
    tokenizer = UniLMv2Tokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    ids = corrupted(
        tokenizer, true_id=1, mask_token_rate=0.0, random_token_rate=1.0
    )
    assert np.all(ids == 1)


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan")])
def test_a_rate_out_of_range_is_named(rate):
    check_rates(some_rate=0.0, other_rate=1.0)
    with pytest.raises(ValueError, match=rf"some_rate.*some_rate={rate}"):
        check_rates(some_rate=rate)


def test_rates_must_leave_room_for_each_other():
    check_rates(mask_token_rate=0.9, random_token_rate=0.1)
    with pytest.raises(ValueError, match=r"at most 1.*0\.8.*0\.3"):
        check_rates(mask_token_rate=0.8, random_token_rate=0.3)
