"""Fixtures for tests of preprocessing."""

import numpy as np
import pytest

from unilmv2_tf.preprocessing import UniLMv2Tokenizer

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = [chr(code) for code in range(ord("a"), ord("z") + 1)]


@pytest.fixture(scope="session")
def tokenizer():
    """Ids 5 to 30 are the letters, 31 to 34 four suffixes."""
    return UniLMv2Tokenizer([*SPECIAL, *LETTERS, "##x", "##y", "##z", "##w"])


@pytest.fixture(scope="session")
def own_pseudo_token(tokenizer):
    """The same with id 35 for `[P]`."""
    return UniLMv2Tokenizer(
        [*tokenizer.get_vocabulary(), "[P]"], pseudo_token="[P]"
    )


class SplitMix64:
    """The generator as its authors publish it, in Python's own integers."""

    def __init__(self, seed):
        self.seed = int(seed)

    def bits(self, index):
        """The 64 bits of the output with an index, from 0."""
        mask = (1 << 64) - 1
        z = (self.seed + (index + 1) * 0x9E3779B97F4A7C15) & mask
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        return z ^ (z >> 31)

    def uniform(self, index):
        """A float32 in [0, 1) with 24 bits."""
        return np.float32((self.bits(index) >> 40) / 2**24)

    def integer(self, index, maximum):
        """An int in [0, maximum)."""
        return int(self.uniform(index) * np.float32(maximum))


@pytest.fixture(scope="session")
def splitmix():
    """The class `SplitMix64`."""
    return SplitMix64
