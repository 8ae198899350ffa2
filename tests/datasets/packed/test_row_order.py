"""The order of rows: a permutation, a pure function, quick to enter."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from unilmv2_tf.datasets.packed.row_order import row_windows


@pytest.fixture(scope="module")
def shards_of(tmp_path_factory):
    """Writes shards of some lengths; each record is its number."""

    def write(lengths):
        folder = tmp_path_factory.mktemp("shards")
        numbers = itertools.count()
        shards = []
        for index, length in enumerate(lengths):
            path = str(folder / f"{index}.tfrecord")
            with tf.io.TFRecordWriter(path) as writer:
                for number in itertools.islice(numbers, length):
                    writer.write(f"{number:06d}")
            shards.append((path, length))
        return shards

    return write


def order_of(shards, num_rows=None, **options):
    """Numbers and epochs of the rows that come, up to some number."""
    dataset = row_windows(shards, **options).unbatch()
    pairs = dataset.take(-1 if num_rows is None else num_rows)
    pairs = list(pairs.as_numpy_iterator())
    numbers = np.array([int(record) for record, _ in pairs], dtype=int)
    return numbers, np.array([epoch for _, epoch in pairs], dtype=int)


LENGTHS = st.lists(st.integers(0, 12), min_size=1, max_size=4).filter(sum)


@settings(max_examples=6, deadline=None)
@given(
    lengths=LENGTHS,
    chunk_rows=st.integers(1, 6),
    window_chunks=st.integers(1, 4),
    seed=st.integers(-3, 2**40),
    start=st.floats(0, 1),
)
def test_epochs_are_permutations_that_may_be_entered_anywhere(
    shards_of, lengths, chunk_rows, window_chunks, seed, start
):
    shards, num_rows = shards_of(lengths), sum(lengths)
    sizes = {"chunk_rows": chunk_rows, "window_chunks": window_chunks}
    numbers, epochs = order_of(shards, seed=seed, num_epochs=3, **sizes)
    np.testing.assert_array_equal(epochs, np.repeat(range(3), num_rows))
    for epoch in range(3):
        assert sorted(numbers[epochs == epoch]) == list(range(num_rows))

    start_row = int(start * 3 * num_rows)
    later, later_epochs = order_of(
        shards, seed=seed, start_row=start_row, num_epochs=3, **sizes
    )
    np.testing.assert_array_equal(later, numbers[start_row:])
    np.testing.assert_array_equal(later_epochs, epochs[start_row:])


def test_epochs_and_seeds_have_orders_of_their_own(shards_of):
    shards = shards_of([40, 30])
    sizes = {"chunk_rows": 8, "window_chunks": 3}
    orders = {
        tuple(order[70 * epoch :][:70])
        for seed in (0, 1)
        for order in [order_of(shards, 280, seed=seed, **sizes)[0]]
        for epoch in range(4)
    }
    assert len(orders) == 8


def test_windows_are_mixed_well(shards_of):
    shards = shards_of([1500, 1500])
    for window_chunks in (4, 64):
        order, _ = order_of(
            shards, num_epochs=2, chunk_rows=50, window_chunks=window_chunks
        )
        first, second = order.reshape(2, 3000)
        for x, y in [
            (first, np.arange(3000)),
            (second, np.arange(3000)),
            (np.argsort(first), np.argsort(second)),
        ]:
            # Of 60 chunks in random order: the deviation is about 0.13.
            assert abs(np.corrcoef(x, y)[0, 1]) < 0.4
        # Neighbours come from all over their window, not from one chunk.
        is_near = np.abs(np.diff(first)) < 50
        assert is_near.mean() < 3 / window_chunks


def test_no_place_is_preferred(shards_of):
    order, _ = order_of(shards_of([6]), num_epochs=600)
    counts = np.zeros([6, 6])
    np.add.at(counts, (np.tile(range(6), 600), order), 1)
    # 100 expected, with a deviation of 9.
    assert np.abs(counts - 100).max() < 45


def test_the_order_stays_what_it_is(shards_of):
    # A training that goes on with a later version must meet the same rows.
    order, _ = order_of(
        shards_of([7, 5]), num_epochs=1, seed=5, chunk_rows=2, window_chunks=3
    )
    assert order.tolist() == [8, 9, 10, 7, 3, 2, 4, 6, 5, 11, 1, 0]


def test_without_shuffling_rows_come_as_they_lie(shards_of):
    order, epochs = order_of(
        shards_of([7, 0, 5]), 30, shuffle=False, chunk_rows=3, window_chunks=2
    )
    np.testing.assert_array_equal(order, np.arange(30) % 12)
    np.testing.assert_array_equal(epochs, np.arange(30) // 12)


def test_parts_of_shards(shards_of):
    (first, _), (second, _) = shards_of([7, 5])
    order, _ = order_of([(first, 3), (second, 1)], shuffle=False, num_epochs=1)
    assert order.tolist() == [0, 1, 2, 7]


def damage(path, record, offset):
    with open(path, "r+b") as file:
        file.seek(record * (6 + 16) + offset)
        byte = file.read(1)[0]
        file.seek(-1, 1)
        file.write(bytes([byte ^ 1]))


@pytest.mark.parametrize("offset", [0, 10, 14, 20])
def test_damaged_shards_are_named(shards_of, offset):
    shards = shards_of([9, 9])
    damage(shards[1][0], 5, offset)
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        order_of(shards, num_epochs=1, chunk_rows=4)
    assert shards[1][0] in str(error.value)
    assert "first unreadable row, from 0:] [" in str(error.value)
    assert str(error.value).split(shards[1][0])[1].startswith("] [5]")


def test_what_was_left_out_is_not_read(shards_of):
    shards = shards_of([40])
    damage(shards[0][0], 7, 14)
    order, _ = order_of(
        shards,
        shuffle=False,
        start_row=13,
        num_epochs=1,
        chunk_rows=4,
        window_chunks=2,
    )
    np.testing.assert_array_equal(order, np.arange(13, 40))


def test_a_shard_that_became_shorter_is_named(shards_of):
    shards = shards_of([9])
    with open(shards[0][0], "r+b") as file:
        file.truncate(4 * 22)
    with pytest.raises(tf.errors.InvalidArgumentError, match="shards"):
        order_of(shards, num_epochs=1)
