import numpy as np
import pytest
import tensorflow as tf

from unilmv2_tf.preprocessing.fit_datasets import check_texts
from unilmv2_tf.preprocessing.fit_datasets import renew_each_epoch

TEXTS = ["a", "b", "c", "d", "e"]


def passes(dataset, number=3):
    return [list(dataset.as_numpy_iterator()) for _ in range(number)]


def epochs_of(one_pass):
    return np.concatenate([batch["epoch"] for batch in one_pass])


def texts_of(one_pass, key="text"):
    return [text.decode() for batch in one_pass for text in batch[key]]


@pytest.mark.parametrize(
    "x",
    [
        TEXTS,
        np.array(TEXTS),
        tf.constant(TEXTS),
        {"text": TEXTS},
        tf.data.Dataset.from_tensor_slices(TEXTS).batch(2),
        tf.data.Dataset.from_tensor_slices({"text": TEXTS}).batch(2),
    ],
    ids=["list", "array", "tensor", "dict", "dataset", "dataset of dicts"],
)
def test_each_pass_has_one_epoch_and_all_texts(x):
    dataset = renew_each_epoch(x, batch_size=2, text_key="text")
    assert len(dataset) == 3
    three = passes(dataset)
    for one_pass in three:
        assert [len(batch["text"]) for batch in one_pass] == [2, 2, 1]
        assert sorted(texts_of(one_pass)) == TEXTS
        assert len(set(epochs_of(one_pass))) == 1
    assert len({epochs_of(one_pass)[0] for one_pass in three}) == 3


def test_a_fresh_dataset_repeats_it_all():
    def fresh():
        return passes(renew_each_epoch(TEXTS * 3, 4, "text"))

    for one, other in zip(fresh(), fresh()):
        assert texts_of(one) == texts_of(other)
        np.testing.assert_array_equal(epochs_of(one), epochs_of(other))


def test_arrays_are_shuffled_anew_in_each_pass():
    orders = {
        tuple(texts_of(one_pass))
        for one_pass in passes(
            renew_each_epoch([str(i) for i in range(50)], 8, "text")
        )
    }
    assert len(orders) == 3


def test_a_dataset_keeps_its_order():
    dataset = tf.data.Dataset.from_tensor_slices(TEXTS).batch(2)
    for one_pass in passes(renew_each_epoch(dataset, 99, "text")):
        assert texts_of(one_pass) == TEXTS


def test_other_entries_stay_with_their_text():
    x = {"encoder_text": TEXTS, "decoder_text": [t + "!" for t in TEXTS]}
    for one_pass in passes(renew_each_epoch(x, 2)):
        sources = texts_of(one_pass, "encoder_text")
        targets = texts_of(one_pass, "decoder_text")
        assert targets == [source + "!" for source in sources]


@pytest.mark.parametrize(
    "change, cardinality, number",
    [
        (lambda dataset: dataset, 3, 3),
        (lambda dataset: dataset.filter(lambda _: True), -2, 3),
        (lambda dataset: dataset.repeat(), -1, 7),
        (lambda dataset: dataset.take(0), 0, 0),
    ],
    ids=["known", "unknown", "infinite", "empty"],
)
def test_cardinality(change, cardinality, number):
    dataset = change(tf.data.Dataset.from_tensor_slices(TEXTS).batch(2))
    renewed = renew_each_epoch(dataset, 2, "text")
    assert renewed.cardinality().numpy() == cardinality
    assert len(list(renewed.take(7))) == number


@pytest.mark.parametrize("x", [[], {"text": []}, np.array([], dtype=str)])
def test_no_examples(x):
    with pytest.raises(ValueError, match="at least one example"):
        renew_each_epoch(x, 2, "text")


@pytest.mark.parametrize(
    "x, text_key",
    [
        (TEXTS, None),
        (tf.data.Dataset.from_tensor_slices(TEXTS).batch(2), None),
        ((TEXTS, TEXTS), "text"),
        (
            tf.data.Dataset.from_tensor_slices(({"text": TEXTS}, TEXTS)),
            "text",
        ),
    ],
)
def test_what_is_no_dict_of_strings(x, text_key):
    with pytest.raises(ValueError, match="must hold dicts of strings"):
        renew_each_epoch(x, 2, text_key)


@pytest.mark.parametrize(
    ("x", "place"),
    [
        (["a", None], r"x\[1\]=None, 1 such row of 2"),
        (["a", float("nan"), None], r"x\[1\]=nan, 2 such rows of 3"),
        (np.array([None, "b"], object), r"x\[0\]=None"),
        ({"text_a": ["a"], "text_b": [None]}, r"x\['text_b'\]\[0\]=None"),
    ],
)
def test_missing_texts_are_named_by_their_row(x, place):
    with pytest.raises(ValueError, match=place):
        check_texts(x)
    check_texts((["a", ""], tf.constant(["b"]), np.array(["c"])))
