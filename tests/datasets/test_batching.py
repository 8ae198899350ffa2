import numpy as np
import pytest

from unilmv2_tf.datasets.batching import seeded_batches


def stream(num_examples, batch_size, num_steps, **kwargs):
    columns = {
        "x": np.arange(num_examples),
        "text": np.array([f"t{i}" for i in range(num_examples)]),
    }
    return list(
        seeded_batches(
            columns, None, batch_size, num_steps, **kwargs
        ).as_numpy_iterator()
    )


@pytest.mark.parametrize("num_examples, batch_size", [(7, 3), (10, 5), (2, 9)])
def test_each_pass_holds_every_example_once(num_examples, batch_size):
    batches = stream(num_examples, batch_size, num_steps=20)
    x = np.concatenate([batch["x"] for batch in batches])
    epoch = np.concatenate([batch["epoch"] for batch in batches])
    np.testing.assert_array_equal(epoch, np.arange(len(x)) // num_examples)
    for number in range(epoch[-1]):
        assert sorted(x[epoch == number]) == list(range(num_examples))


def test_columns_stay_together():
    for batch in stream(7, 3, num_steps=9):
        assert [f"t{i}".encode() for i in batch["x"]] == batch["text"].tolist()


def test_each_pass_has_its_own_order():
    batches = stream(50, 50, num_steps=4)
    orders = {tuple(batch["x"]) for batch in batches}
    assert len(orders) == 4


@pytest.mark.parametrize("start_step", [0, 1, 5, 9])
def test_a_later_start_goes_on_with_the_same_batches(start_step):
    whole = stream(7, 3, num_steps=10, seed=5)
    rest = stream(7, 3, num_steps=10, seed=5, start_step=start_step)
    assert len(rest) == 10 - start_step
    for expected, actual in zip(whole[start_step:], rest):
        np.testing.assert_array_equal(actual["x"], expected["x"])


def test_another_seed_is_another_order():
    first, second = (stream(50, 50, 1, seed=seed)[0]["x"] for seed in (1, 2))
    assert not np.array_equal(first, second)


def test_no_example():
    with pytest.raises(ValueError, match="at least one example"):
        seeded_batches({"x": np.arange(0)}, None, 2, num_steps=1)


def grouped(lengths, batch_size, num_steps, **kwargs):
    columns = {"x": np.arange(len(lengths))}
    dataset = seeded_batches(columns, lengths, batch_size, num_steps, **kwargs)
    return [batch["x"].numpy() for batch in dataset]


LENGTHS = np.random.default_rng(1).integers(1, 100, 640)


def test_groups_hold_every_example_once_in_each_pass():
    batches = np.concatenate(grouped(LENGTHS, 32, 60, seed=3))
    for number in range(3):
        examples = batches[number * 640 : (number + 1) * 640]
        if number == 0:
            first = examples
        assert not (number and np.array_equal(first, examples))
    # 50 batches, which are grouped together, are two and a half passes.
    counts = np.bincount(batches[: 50 * 32], minlength=640)
    assert set(counts) == {2, 3}
    assert set(np.bincount(batches, minlength=640)) == {3}


def test_groups_are_of_similar_length():
    batches = grouped(LENGTHS, 32, 50)
    spread = [np.ptp(LENGTHS[batch]) for batch in batches]
    assert max(spread) < 10
    longest = [LENGTHS[batch].max() for batch in batches]
    # And their lengths come in no order.
    assert abs(np.corrcoef(longest, np.arange(50))[0, 1]) < 0.5


def test_groups_are_a_function_of_seed_and_step():
    whole = grouped(LENGTHS, 32, 60, seed=5)
    for actual, expected in zip(
        grouped(LENGTHS, 32, 60, seed=5, start_step=17), whole[17:], strict=True
    ):
        np.testing.assert_array_equal(actual, expected)
    halves = grouped(LENGTHS, 32, 120, seed=5, parts=2)
    np.testing.assert_array_equal(np.concatenate(halves), np.concatenate(whole))
    assert len(halves[0]) == 16
    others = grouped(LENGTHS, 32, 60, seed=6)
    assert not np.array_equal(np.concatenate(others), np.concatenate(whole))


def test_groups_know_their_pass():
    columns = {"x": np.arange(640)}
    dataset = seeded_batches(columns, LENGTHS, 32, 60, seed=3)
    batches = list(dataset.as_numpy_iterator())
    x = np.concatenate([batch["x"] for batch in batches])
    epoch = np.concatenate([batch["epoch"] for batch in batches])
    for number in range(3):
        assert sorted(x[epoch == number]) == list(range(640))


def test_groups_of_two_lengths_are_similar_in_both():
    rng = np.random.default_rng(2)
    lengths = np.stack(
        [rng.integers(1, 400, 1600), rng.integers(1, 30, 1600)], axis=1
    )

    def padded(order):
        longest = lengths[order].max(axis=1, keepdims=True)
        return (longest - lengths[order]).mean(axis=(0, 1))

    both = np.stack(grouped(lengths, 32, 50))
    assert sorted(both.ravel()) == list(range(1600))
    by_first = np.stack(grouped(lengths[:, 0], 32, 50))
    drawn = rng.permutation(1600).reshape(50, 32)
    # Nearly none of the first is padding when only that counts, and nothing is
    # gained in the second; with both, either is some way from what is drawn.
    assert padded(by_first)[1] > 0.9 * padded(drawn)[1]
    assert np.all(padded(both) < 0.3 * padded(drawn))
