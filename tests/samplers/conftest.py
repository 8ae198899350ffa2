"""A model that is a table, and a search through it."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy.special import log_softmax

NUM_STATES = 997


class TableModel:
    """Log-probabilities that depend on the whole text, by a random table.

    The cache holds a number for the text and one for the example, so that a
    sampler that reorders it wrongly reads wrong probabilities.
    """

    def __init__(self, num_rows, vocabulary_size, seed):
        rng = np.random.default_rng(seed)
        shape = (num_rows, NUM_STATES, vocabulary_size)
        self.log_probs = log_softmax(rng.normal(0, 2, shape), axis=-1)
        self.num_calls = 0

    def initial_cache(self):
        rows = np.arange(len(self.log_probs), dtype="int32")
        return {"row": rows, "text": np.ones_like(rows)}

    @staticmethod
    def read(text, token):
        return (text * 31 + token + 7) % NUM_STATES

    def next(self, prompt, cache, index):
        self.num_calls += 1
        last = ops.take(prompt, ops.maximum(index - 1, 0), axis=1)
        read = self.read(cache["text"], ops.cast(last, "int32"))
        text = ops.where(index > 0, read, cache["text"])
        table = self.log_probs.reshape(-1, self.log_probs.shape[-1])
        logits = ops.take(
            table.astype("float32"), cache["row"] * NUM_STATES + text, axis=0
        )
        # A logit is known but for a constant.
        return logits + 3.0, None, {**cache, "text": text}

    def log_prob(self, row, prefix, tokens):
        """Of the tokens that follow a prefix."""
        text, total = 1, 0.0
        for place, token in enumerate((*prefix, *tokens)):
            if place >= len(prefix):
                total += self.log_probs[row, text, token]
            text = self.read(text, token)
        return total


@pytest.fixture(scope="session")
def make_model():
    """Makes a table for some examples, of a vocabulary size and a seed."""
    return TableModel


@pytest.fixture(scope="session")
def search():
    """Runs a sampler on a table model and gives arrays."""

    def run(sampler, model, prompt, mask=None, stop_token_ids=(0,)):
        outputs = sampler(
            next=model.next,
            prompt=prompt,
            cache=model.initial_cache(),
            mask=mask,
            stop_token_ids=stop_token_ids,
        )
        return keras.tree.map_structure(np.asarray, outputs)

    return run
