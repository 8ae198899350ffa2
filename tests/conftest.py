"""Fixtures that several rooms share."""

import gc
import os
import pathlib

import pytest

# Workers of pytest-xdist take a core each. Set before TensorFlow is imported.
for _name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):
    os.environ.setdefault(_name, "1")


@pytest.fixture(scope="session", autouse=True)
def quick_garbage_collection():
    """TensorFlow's million objects are not searched while graphs are traced."""
    import unilmv2_tf.models  # noqa: F401

    # A quarter of the time of a trace.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


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


@pytest.fixture(scope="session")
def small_docstrings(tmp_path_factory):
    """The embedded corpus of two packages: the whole takes long to read."""
    from unilmv2_tf.datasets import docstrings
    from unilmv2_tf.datasets.docstring_extraction import extract

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNILMV2_CACHE", str(tmp_path_factory.mktemp("cache")))
        names = ["pydoc_data", "numpy"]
        patch.setattr(docstrings, "extract", lambda: extract(names))
        docstrings.load_examples()
        yield
