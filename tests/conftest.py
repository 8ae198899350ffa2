"""Fixtures that several rooms share."""

import os
import pathlib

import pytest


@pytest.fixture(scope="session")
def golden_dir():
    """The folder of golden data, `UNILMV2_GOLDEN` or `shared/golden`."""
    named = os.environ.get("UNILMV2_GOLDEN")
    if named:
        candidates = [pathlib.Path(named)]
    else:
        root = pathlib.Path(__file__).resolve().parents[1]
        candidates = [
            parent / "shared" / "golden" for parent in (root, *root.parents)
        ]
    for candidate in candidates:
        if (candidate / "FORMAT.md").exists():
            return candidate
    pytest.fail(
        "The golden data was not found. Set UNILMV2_GOLDEN to its folder. "
        f"Looked at: {[str(candidate) for candidate in candidates]}"
    )
