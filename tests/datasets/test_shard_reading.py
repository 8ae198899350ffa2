"""Masked batches of token shards, compared with the rows that were written."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from unilmv2_tf.datasets import masked_batches
from unilmv2_tf.datasets.shard_plan import plan_shards
from unilmv2_tf.datasets.shard_reading import evaluation_batches
from unilmv2_tf.datasets.shard_reading import rows_from_token_ids
from unilmv2_tf.datasets.shard_reading import shuffled_rows
from unilmv2_tf.datasets.shard_writing import write_token_shards
from unilmv2_tf.datasets.token_shards import TokenShards
from unilmv2_tf.preprocessing import UniLMv2PseudoMaskedLMPreprocessor
from unilmv2_tf.preprocessing import UniLMv2Tokenizer
from unilmv2_tf.preprocessing import pack_documents

LETTERS = [chr(code) for code in range(ord("a"), ord("z") + 1)]
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS]
LENGTH = 16


def write_shard(path, rows, dtype=np.uint16):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for row in rows:
            writer.write(row.astype(dtype).tobytes())


def random_rows(num_rows, seed):
    """Rows of which some have padding."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(5, len(VOCABULARY), [num_rows, LENGTH])
    rows[:, 0] = 2
    rows[:, 7] = rows[:, -1] = 3
    rows[::3, -3] = 3
    rows[::3, -2:] = 0
    return rows


def make_folder(path, dtype=np.uint16, **splits):
    """A folder; each split is a list of arrays of rows."""
    shards = {}
    for split, arrays in splits.items():
        shards[split] = []
        for number, rows in enumerate(arrays):
            shard = path / f"{split}-{number}"
            write_shard(shard, rows, dtype)
            shards[split].append((str(shard), len(rows)))
    return TokenShards(str(path), LENGTH, VOCABULARY, {}, {}, shards, dtype)


@pytest.fixture(scope="module")
def rows():
    return [random_rows(31, 1), random_rows(22, 2)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("folder")
    return make_folder(path, train=rows, validation=rows[:1], none=[])


@pytest.fixture(scope="module")
def preprocessor():
    return UniLMv2PseudoMaskedLMPreprocessor(
        UniLMv2Tokenizer(VOCABULARY), sequence_length=LENGTH, seed=1
    )


def true_rows(batch):
    """What a batch was before it was masked."""
    x, y, sample_weight = batch
    token_ids = x["token_ids"].copy()
    row, slot = np.nonzero(sample_weight)
    token_ids[row, x["mask_positions"][row, slot]] = y[row, slot]
    return [tuple(row) for row in token_ids.tolist()]


def batches_of(dataset, count=-1):
    return list(dataset.take(count).as_numpy_iterator())


def assert_same(actual, expected):
    assert len(actual) == len(expected)
    tf.nest.map_structure(np.testing.assert_array_equal, actual, expected)


def test_batches_are_what_the_preprocessor_makes_of_the_rows(
    folder, rows, preprocessor
):
    batches = batches_of(masked_batches(folder, "train", preprocessor, 8), 14)
    before = [row for batch in batches for row in true_rows(batch)]
    written = sorted(tuple(row) for shard in rows for row in shard.tolist())
    assert sorted(before[:53]) == sorted(before[53:106]) == written
    assert before[:53] != before[53:106]

    before = np.array(before).reshape(14, 8, LENGTH)
    for step, (batch, token_ids) in enumerate(zip(batches, before)):
        is_token = token_ids != 0
        is_second = np.cumsum(token_ids == 3, axis=1) - (token_ids == 3) > 0
        expected = preprocessor(
            {
                "token_ids": token_ids,
                "segment_ids": (is_second & is_token).astype("int32"),
                "padding_mask": is_token.astype("int32"),
                "epoch": np.arange(8 * step, 8 * step + 8) // 53,
            }
        )
        expected = tf.nest.map_structure(lambda x: x.numpy(), expected)
        assert_same(batch, expected)


def test_rows_get_other_masks_in_other_epochs(folder, preprocessor):
    batches = masked_batches(folder, "train", preprocessor, 53)
    first, second = batches_of(batches, 2)
    masks = [
        dict(zip(true_rows(batch), batch[0]["mask_positions"].tolist()))
        for batch in (first, second)
    ]
    assert np.mean([masks[0][row] != masks[1][row] for row in masks[0]]) > 0.7


def test_what_was_prepared(tmp_path, tokenizer):
    text = tmp_path / "text.txt"
    text.write_text("\n\n".join("ab c def g" * n for n in range(1, 30)))
    output = tmp_path / "shards"
    write_token_shards(
        plan_shards(text), tokenizer, output, LENGTH, validation_share=0
    )
    prepared = tf.data.TFRecordDataset([str(x) for x in output.glob("*train*")])
    written = [
        tuple(np.frombuffer(row, np.uint16).tolist())
        for row in prepared.as_numpy_iterator()
    ]
    preprocessor = UniLMv2PseudoMaskedLMPreprocessor(
        tokenizer, sequence_length=LENGTH, seed=1
    )
    batches = batches_of(evaluation_batches(output, "train", preprocessor, 1))
    read = [row for batch in batches for row in true_rows(batch)]
    assert len(read) > 20
    assert sorted(read) == sorted(written)


@settings(max_examples=3, deadline=None)
@given(
    batch_size=st.integers(1, 53),
    start_step=st.integers(0, 9),
    seed=st.integers(0, 2**40),
)
def test_a_later_start_goes_on_with_the_same_batches(
    folder, preprocessor, batch_size, start_step, seed
):
    options = {"batch_size": batch_size, "seed": seed}
    whole = masked_batches(folder, "train", preprocessor, **options)
    rest = masked_batches(
        folder, "train", preprocessor, start_step=start_step, **options
    )
    expected = batches_of(whole, start_step + 3)[start_step:]
    assert_same(batches_of(rest, 3), expected)


def test_workers_share_the_batches_of_one(folder, preprocessor):
    whole = batches_of(masked_batches(folder, "train", preprocessor, 12), 6)
    for num_workers in (2, 4):
        shares = [
            masked_batches(
                folder,
                "train",
                preprocessor,
                12,
                start_step=1,
                num_workers=num_workers,
                worker=worker,
            )
            for worker in range(num_workers)
        ]
        joined = [
            tf.nest.map_structure(lambda *x: np.concatenate(x), *parts)
            for parts in zip(*(batches_of(share, 5) for share in shares))
        ]
        assert_same(joined, whole[1:])


@pytest.mark.parametrize("num_workers", [1, 3])
def test_shapes_are_static(folder, preprocessor, num_workers):
    training = masked_batches(
        folder, "train", preprocessor, 12, num_workers=num_workers
    )
    evaluation = evaluation_batches(folder, "train", preprocessor, 12)
    for dataset, size in [(training, 12 // num_workers), (evaluation, 12)]:
        for spec in tf.nest.flatten(dataset.element_spec):
            assert spec.shape.is_fully_defined()
            assert spec.shape[0] == size


def test_the_graph_calls_no_python(folder, preprocessor):
    def graph(dataset):
        return tf.raw_ops.DatasetToGraphV2(
            input_dataset=tf.data.experimental.to_variant(dataset)
        ).numpy()

    with_python = tf.data.Dataset.range(3).map(
        lambda x: tf.numpy_function(lambda x: x, [x], tf.int64)
    )
    assert b"PyFunc" in graph(with_python)
    for dataset in (
        masked_batches(folder, "train", preprocessor, 8),
        evaluation_batches(folder, "train", preprocessor, 8),
    ):
        assert b"TFRecordDatasetV2" in graph(dataset)
        assert b"PyFunc" not in graph(dataset)


@pytest.mark.parametrize(
    "num_rows, batch_size", [(None, 10), (None, 53), (33, 8), (32, 8), (99, 64)]
)
def test_evaluation_holds_each_row_once(
    folder, rows, preprocessor, num_rows, batch_size
):
    dataset = evaluation_batches(
        folder, "train", preprocessor, batch_size, num_rows
    )
    batches = batches_of(dataset)
    assert_same(batches, batches_of(dataset))
    written = [tuple(row) for shard in rows for row in shard.tolist()][
        :num_rows
    ]
    read = [row for batch in batches for row in true_rows(batch)]
    assert read[: len(written)] == written
    assert len(read) == -(-len(written) // batch_size) * batch_size
    weights = np.concatenate([weight for _, _, weight in batches])
    assert np.isin(weights, [0, 1]).all()
    assert (weights[: len(written)].sum(axis=1) >= 1).all()
    assert (weights[len(written) :] == 0).all()
    # What fills the batch is a row that a model can read.
    for row in read[len(written) :]:
        assert row == (2, 3) + (0,) * (LENGTH - 2)


def test_evaluation_has_the_masks_of_epoch_0(folder, preprocessor):
    masks = [
        dict(zip(true_rows(batch), batch[0]["mask_positions"].tolist()))
        for dataset in (
            evaluation_batches(folder, "validation", preprocessor, 31),
            masked_batches(folder, "validation", preprocessor, 31),
        )
        for batch in batches_of(dataset, 1)
    ]
    assert masks[0] == masks[1] and len(masks[0]) == 31


def test_large_vocabularies_are_stored_as_int32(tmp_path, preprocessor):
    written = random_rows(5, 3)
    folder = make_folder(tmp_path, np.int32, train=[written])
    (batch,) = batches_of(evaluation_batches(folder, "train", preprocessor, 5))
    assert true_rows(batch) == [tuple(row) for row in written.tolist()]


@pytest.mark.parametrize("dtype, token_id", [(np.uint16, 31), (np.int32, -1)])
def test_foreign_ids_are_refused(tmp_path, preprocessor, dtype, token_id):
    rows = random_rows(9, 3)
    rows[4, 5] = token_id
    folder = make_folder(tmp_path, dtype, train=[rows])
    for batches in (
        masked_batches(folder, "train", preprocessor, 9),
        evaluation_batches(folder, "train", preprocessor, 9),
    ):
        with pytest.raises(tf.errors.InvalidArgumentError) as error:
            batches_of(batches, 1)
        assert "outside of its vocabulary of 31 tokens" in str(error.value)
        assert str(tmp_path) in str(error.value)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"split": "test"}, "none, train|train, validation"),
        ({"split": "none"}, "at least one row"),
        ({"batch_size": 54}, "batch_size=54, but 53 rows"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"num_workers": 3}, "multiple of `num_workers`"),
        ({"num_workers": 2, "worker": 2}, "worker=2, num_workers=2"),
        ({"start_step": -1}, "start_step=-1"),
    ],
)
def test_wrong_numbers(folder, preprocessor, options, message):
    options = {"split": "train", "batch_size": 4, **options}
    with pytest.raises(ValueError, match=message):
        masked_batches(folder, preprocessor=preprocessor, **options)


def test_no_rows_to_evaluate(folder, preprocessor):
    with pytest.raises(ValueError, match="num_rows=0"):
        evaluation_batches(folder, "train", preprocessor, 4, num_rows=0)


@pytest.mark.parametrize(
    "vocabulary, message",
    [
        (VOCABULARY[:-1], "30 tokens, .* id 30, '.no token.' instead of 'z'"),
        ([*VOCABULARY, "##s"], "32 tokens, .* id 31, '##s' instead of"),
        (
            [*VOCABULARY[:6], "B", *VOCABULARY[7:]],
            "31 tokens, .* id 6, 'B' instead of 'b'",
        ),
    ],
)
def test_another_vocabulary(folder, vocabulary, message):
    preprocessor = UniLMv2PseudoMaskedLMPreprocessor(
        UniLMv2Tokenizer(vocabulary), sequence_length=LENGTH
    )
    for batches in (masked_batches, evaluation_batches):
        with pytest.raises(ValueError, match=message):
            batches(folder, "train", preprocessor, 4)


def test_another_length(folder, preprocessor):
    longer = UniLMv2PseudoMaskedLMPreprocessor(
        preprocessor.tokenizer, sequence_length=32
    )
    with pytest.raises(ValueError, match="Received: sequence_length=32"):
        masked_batches(folder, "train", longer, 4)


@settings(max_examples=4, deadline=None, derandomize=True)
@given(
    texts=st.lists(st.text("abc ", max_size=30), min_size=1, max_size=12),
    sequence_length=st.integers(5, 12),
)
def test_the_same_as_when_packed(texts, sequence_length, tokenizer):
    documents = tf.data.Dataset.from_tensor_slices({"text": texts})
    packed = pack_documents(documents, tokenizer, sequence_length)
    for row in packed:
        derived = rows_from_token_ids(
            tf.cast(row["token_ids"], tf.uint16), tokenizer
        )
        for key, value in derived.items():
            assert value.dtype == tf.int32
            np.testing.assert_array_equal(value, row[key], key)


@pytest.fixture(scope="module")
def shards_of(tmp_path_factory):
    """Writes shards of some lengths; each row is its number."""

    def write(lengths):
        folder = tmp_path_factory.mktemp("shards")
        shards, first = [], 0
        for index, length in enumerate(lengths):
            path = str(folder / f"{index}.tfrecord")
            write_shard(path, np.arange(first, first + length)[:, None])
            shards.append((path, length))
            first += length
        return TokenShards(
            str(folder), 1, range(2**16), {}, {}, {"train": shards}, np.uint16
        )

    return write


def order_of(shards, num_rows=None, **options):
    """Numbers and epochs of the rows that come, up to some number."""
    dataset = shuffled_rows(shards, "train", **options).unbatch()
    pairs = dataset.take(-1 if num_rows is None else num_rows)
    pairs = list(pairs.as_numpy_iterator())
    numbers = np.array([int(row[0]) for row, _ in pairs], dtype=int)
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
        shards_of([7, 0, 5]), 30, seed=None, chunk_rows=3, window_chunks=2
    )
    np.testing.assert_array_equal(order, np.arange(30) % 12)
    np.testing.assert_array_equal(epochs, np.arange(30) // 12)


def test_the_first_rows_of_shards(shards_of):
    shards = shards_of([3, 0, 5])
    order, _ = order_of(shards, seed=None, num_epochs=1, max_rows=5)
    assert order.tolist() == [0, 1, 2, 3, 4]


# Of the shards of `shards_of`: a length, two checksums, one id.
RECORD_BYTES = 8 + 4 + 2 + 4


def damage(path, record, offset):
    with open(path, "r+b") as file:
        file.seek(record * RECORD_BYTES + offset)
        byte = file.read(1)[0]
        file.seek(-1, 1)
        file.write(bytes([byte ^ 1]))


@pytest.mark.parametrize("offset", [0, 10, 12, 16])
def test_damaged_shards_are_named(shards_of, offset):
    shards = shards_of([9, 9])
    path = shards.shards["train"][1][0]
    damage(path, 5, offset)
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        order_of(shards, num_epochs=1, chunk_rows=4)
    assert path in str(error.value)
    assert "first unreadable row, from 0:] [" in str(error.value)
    assert str(error.value).split(path)[1].startswith("] [5]")


def test_what_was_left_out_is_not_read(shards_of):
    shards = shards_of([40])
    path = shards.shards["train"][0][0]
    damage(path, 7, 12)
    order, _ = order_of(
        shards,
        seed=None,
        start_row=13,
        num_epochs=1,
        chunk_rows=4,
        window_chunks=2,
    )
    np.testing.assert_array_equal(order, np.arange(13, 40))


def test_a_shard_that_became_shorter_is_named(shards_of):
    shards = shards_of([9])
    path = shards.shards["train"][0][0]
    with open(path, "r+b") as file:
        file.truncate(4 * RECORD_BYTES)
    with pytest.raises(tf.errors.InvalidArgumentError, match="token shard"):
        order_of(shards, num_epochs=1)
