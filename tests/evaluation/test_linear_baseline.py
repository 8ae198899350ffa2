import numpy as np
import pytest
import tensorflow as tf

from unilmv2_tf.evaluation import LinearBaseline


def texts_of(seed, count):
    """Random words, of which one kind tells the class and the other nothing."""
    generator = np.random.default_rng(seed)
    examples = []
    for _ in range(count):
        label = str(generator.choice(["plant", "animal"]))
        telling = {"plant": "fir oak ivy", "animal": "fox hen cat"}[label]
        words = generator.choice(list("abcdefgh"), 6).tolist()
        words.insert(3, str(generator.choice(telling.split())))
        examples.append((" ".join(words), label))
    return examples


def test_words_that_tell_the_class_are_found():
    train, held = texts_of(0, 200), texts_of(1, 100)
    baseline = LinearBaseline().fit(train)
    found = baseline.predict([text for text, _ in held])
    assert np.mean([a == b for a, (_, b) in zip(found, held)]) > 0.97
    dataset = tf.data.Dataset.from_tensor_slices(
        ({"text": [text for text, _ in train]}, [label for _, label in train])
    )
    again = LinearBaseline().fit(dataset)
    assert again.predict([text for text, _ in held]) == found


def test_pairs_are_compared():
    generator = np.random.default_rng(0)

    def pairs(count):
        for _ in range(count):
            one, two = generator.choice(["fox", "hen", "cat"], 2).tolist()
            yield ((one, two), "same" if one == two else "different")

    train, held = list(pairs(300)), list(pairs(50))
    baseline = LinearBaseline().fit(train)
    assert baseline.predict([pair for pair, _ in held]) == [
        label for _, label in held
    ]


def test_values_are_predicted_as_numbers():
    train = [(f"word{n % 4} filler", float(n % 4)) for n in range(80)]
    found = LinearBaseline().fit(train).predict([text for text, _ in train[:4]])
    assert all(isinstance(value, float) for value in found)
    assert found == sorted(found) and found[3] - found[0] > 2


def test_one_class_and_nothing():
    baseline = LinearBaseline().fit([("a fox", "x"), ("a hen", "x")])
    assert baseline.predict(["anything", ""]) == ["x", "x"]
    assert baseline.predict([]) == []
    with pytest.raises(ValueError, match="at least one pair"):
        LinearBaseline().fit([])
