"""The private names of Keras and KerasHub that the package uses: one list."""

import ast
import pathlib

import keras
import keras_hub
import pytest

PACKAGE = pathlib.Path(__file__).resolve().parents[1] / "unilmv2_tf"
# Checked with Keras 3.15.1 and KerasHub 0.32.
ADAMW = (
    "_all_reduce_sum_gradients",
    "_apply_weight_decay",
    "_get_variable_index",
    "_momentums",
    "_trainable_variables",
    "_use_weight_decay",
    "_velocities",
)
TOKENIZER = (
    "_add_special_token",
    "_init_special_tokens",
    "_use_tf_workflow",
)
STANDARD_LIBRARY = {"_asdict", "_exit", "_Pickler", "_Unpickler"}


@pytest.fixture(scope="module")
def adamw():
    optimizer = keras.optimizers.AdamW()
    optimizer.build([keras.Variable([0.0])])
    return optimizer


def test_this_version_of_keras_has_the_private_names(adamw):
    missing = [name for name in ADAMW if not hasattr(adamw, name)]
    assert not missing, (
        f"keras {keras.__version__} has no AdamW.{missing}: adapt "
        "unilmv2_tf/training/optimizer.py or exclude this version"
    )


def test_this_version_of_keras_hub_has_the_private_names():
    tokenizer = keras_hub.tokenizers.WordPieceTokenizer(["[UNK]"])
    missing = [name for name in TOKENIZER if not hasattr(tokenizer, name)]
    assert not missing, (
        f"keras_hub {keras_hub.__version__} has no WordPieceTokenizer."
        f"{missing}: adapt unilmv2_tf/preprocessing/tokenizer.py or exclude "
        "this version"
    )


def test_no_other_private_names_are_used():
    used, defined = {}, set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                defined.add(node.name)
            elif isinstance(node, ast.Name):
                if isinstance(node.ctx, ast.Store):
                    defined.add(node.id)
            elif isinstance(node, ast.Attribute):
                if isinstance(node.ctx, ast.Store):
                    defined.add(node.attr)
                elif node.attr.startswith("_") and node.attr[1] != "_":
                    used[node.attr] = path.name
    foreign = {name: used[name] for name in used.keys() - defined}
    known = {*ADAMW, *TOKENIZER} | STANDARD_LIBRARY
    assert not foreign.keys() - known, foreign
