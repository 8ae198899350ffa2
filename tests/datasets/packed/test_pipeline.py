"""Masked batches of packed rows, compared with the rows that were written."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from unilmv2_tf.datasets.packed.folder import PackedFolder
from unilmv2_tf.datasets.packed.pipeline import evaluation_batches
from unilmv2_tf.datasets.packed.pipeline import masked_batches
from unilmv2_tf.datasets.packed.units import plan_units
from unilmv2_tf.datasets.packed.writing import write_packed_folder
from unilmv2_tf.preprocessing import UniLMv2PseudoMaskedLMPreprocessor
from unilmv2_tf.preprocessing import UniLMv2Tokenizer

LETTERS = [chr(code) for code in range(ord("a"), ord("z") + 1)]
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS]
LENGTH = 16


def write_shard(path, rows, dtype=np.uint16):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for row in rows:
            value = tf.train.BytesList(value=[row.astype(dtype).tobytes()])
            feature = {"token_ids": tf.train.Feature(bytes_list=value)}
            features = tf.train.Features(feature=feature)
            writer.write(
                tf.train.Example(features=features).SerializeToString()
            )


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
    return PackedFolder(str(path), LENGTH, VOCABULARY, {}, {}, shards, dtype)


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
    output = tmp_path / "packed"
    write_packed_folder(
        plan_units(text), tokenizer, output, LENGTH, validation_share=0
    )
    prepared = tfds.builder_from_directory(str(output)).as_dataset("train")
    written = [
        tuple(row["token_ids"].tolist()) for row in prepared.as_numpy_iterator()
    ]
    preprocessor = UniLMv2PseudoMaskedLMPreprocessor(
        tokenizer, sequence_length=LENGTH, seed=1
    )
    batches = batches_of(
        masked_batches(output, "train", preprocessor, 1, num_epochs=1)
    )
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


def test_a_number_of_epochs(folder, rows, preprocessor):
    batches = batches_of(
        masked_batches(
            folder, "train", preprocessor, 10, num_epochs=2, shuffle=False
        )
    )
    assert len(batches) == 10
    written = [tuple(row) for shard in rows for row in shard.tolist()]
    read = [row for batch in batches for row in true_rows(batch)]
    assert read == (written * 2)[:100]


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
    evaluation = evaluation_batches(folder, "validation", preprocessor, 31)
    training = masked_batches(
        folder, "validation", preprocessor, 31, shuffle=False
    )
    assert_same(batches_of(evaluation), batches_of(training, 1))


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
        ({"batch_size": 107, "num_epochs": 2}, "53 rows .* num_epochs=2"),
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
