"""Fixtures for packed rows: a tokenizer of letters."""

import pytest

from unilmv2_tf.preprocessing import UniLMv2Tokenizer

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = [chr(code) for code in range(ord("a"), ord("z") + 1)]


@pytest.fixture(scope="session")
def tokenizer():
    """Words are split into letters, of ids 5 to 30 at their beginning."""
    pieces = [f"##{letter}" for letter in LETTERS]
    return UniLMv2Tokenizer([*SPECIAL, *LETTERS, *pieces])


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """A text of about 2.5 MB: three units."""
    import numpy as np

    generator = np.random.default_rng(7)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz      "))
    path = tmp_path_factory.mktemp("corpus") / "text.txt"
    documents = [
        "".join(generator.choice(letters, size))
        for size in generator.integers(20, 2000, 2500)
    ]
    path.write_text("\n\n".join(documents) + "\n")
    return path
