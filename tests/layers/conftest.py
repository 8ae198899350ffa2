"""Fixtures of the layers' tests."""

import numpy as np
import pytest


@pytest.fixture(scope="session")
def randomize():
    """Gives a built layer weights large enough for mistakes to show."""

    def assign(layer, seed=0, scale=0.5):
        rng = np.random.default_rng(seed)
        for weight in layer.weights:
            values = rng.normal(0, scale, weight.shape)
            if weight.path.endswith("gamma"):
                values = values + 1
            weight.assign(values)
        return layer

    return assign
