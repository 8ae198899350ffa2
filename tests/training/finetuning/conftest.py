"""A toy problem: reviews whose last word says how they are meant."""

import numpy as np
import pytest

from unilmv2_tf.training.arguments import ClassifyArgs

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = [f"w{number}" for number in range(8)]
TONES = {"bad": "awful", "fair": "bearable", "good": "lovely"}
SMALL = {
    "num_layers": 1,
    "num_heads": 2,
    "hidden_dim": 32,
    "intermediate_dim": 32,
    "max_sequence_length": 32,
    "dropout": 0.0,
}


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A folder with a vocabulary, and reviews for training and validation."""
    folder = tmp_path_factory.mktemp("reviews")
    tokens = SPECIAL + WORDS + list(TONES.values())
    (folder / "vocabulary.txt").write_text("\n".join(tokens))
    generator = np.random.default_rng(0)
    for name, number in (("train", 96), ("validation", 24)):
        lines = []
        for index in range(number):
            label = list(TONES)[index % 3]
            words = generator.choice(WORDS, generator.integers(1, 5))
            lines.append(f"{' '.join(words)} {TONES[label]}\t{label}")
        (folder / f"{name}.tsv").write_text("\n".join(lines))
    return folder


@pytest.fixture
def settings(folder, tmp_path):
    """Makes settings of a training that takes seconds."""

    def make(**kwargs):
        defaults = {
            "data": str(folder / "train.tsv"),
            "validation": str(folder / "validation.tsv"),
            "vocabulary": str(folder / "vocabulary.txt"),
            "output": str(tmp_path / "run"),
            "preset": "unilmv2_tiny",
            "sequence_length": 16,
            "epochs": 8,
            "batch_size": 8,
            "learning_rate": 1e-2,
        }
        backbone = {**SMALL, **kwargs.pop("backbone", {})}
        return ClassifyArgs(**{**defaults, "backbone": backbone, **kwargs})

    return make
