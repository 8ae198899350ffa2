"""How the package is put together."""

import ast
import collections
import pathlib
import subprocess
import sys

import pytest

import unilmv2_tf

ROOT = pathlib.Path(__file__).resolve().parents[1]
SOURCES = sorted((ROOT / "unilmv2_tf").rglob("*.py"))
FLOORS = {
    "filesystem": 0,
    "optional_imports": 0,
    "progress": 0,
    "run_settings": 0,
    "layers": 0,
    "preprocessing": 1,
    "samplers": 1,
    "models": 2,
    "datasets": 3,
    "checkpoints": 3,
    "plots": 3,
    "training": 4,
    "evaluation": 4,
    "inference": 4,
    "serving": 4,
    "quickstart": 5,
    "cli": 5,
}
# Files that one backend alone imports, inside functions.
TENSORFLOW_ONLY = ("tensorflow_decoding", "tensorflow_fast_paths")


def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


def room(path):
    return path.relative_to(ROOT / "unilmv2_tf").with_suffix("").parts[0]


def is_tensorflow_only(name):
    return name.rpartition(".")[2].endswith(TENSORFLOW_ONLY)


def test_imports_go_down():
    upward = []
    for path in SOURCES:
        floor = FLOORS.get(room(path), 5)
        for name in imports(tree_of(path)):
            parts = name.split(".")
            if parts[0] == "unilmv2_tf" and len(parts) > 1:
                if FLOORS[parts[1]] > floor:
                    upward.append((path.name, name))
    assert not upward


def test_private_modules_of_keras_are_not_imported():
    private = ("keras.src", "keras_hub.src")
    for path in SOURCES:
        names = list(imports(tree_of(path)))
        assert not [name for name in names if name.startswith(private)], path


def test_model_code_runs_on_every_backend():
    for path in SOURCES:
        if room(path) not in ("layers", "models", "samplers"):
            continue
        if is_tensorflow_only(path.stem):
            continue
        roots = {name.split(".")[0] for name in imports(tree_of(path))}
        assert not roots & {"tensorflow", "jax", "torch"}, path


def test_only_functions_import_what_is_of_one_backend():
    for path in SOURCES:
        for node in tree_of(path).body:
            assert not is_tensorflow_only(getattr(node, "module", None) or "")


def test_files_have_names_of_their_own():
    names = collections.Counter(
        path.name for path in SOURCES if path.name != "__init__.py"
    )
    assert not [name for name, count in names.items() if count > 1]


def test_own_modules_are_not_renamed_on_import():
    for path in SOURCES:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                module = getattr(node, "module", None) or node.names[0].name
                if module.startswith("unilmv2_tf"):
                    assert not any(a.asname for a in node.names), path


def test_editors_see_the_names_that_users_import():
    tree = tree_of(ROOT / "unilmv2_tf" / "__init__.py")
    (block,) = (
        node
        for node in tree.body
        if isinstance(node, ast.If)
        and getattr(node.test, "id", "") == "TYPE_CHECKING"
    )
    static = {alias.name for node in block.body for alias in node.names}
    assert static == set(unilmv2_tf.__all__)
    for name in unilmv2_tf.__all__:
        assert getattr(unilmv2_tf, name).__name__.endswith(name)
    assert dir(unilmv2_tf) == sorted([*unilmv2_tf.__all__, "__version__"])
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = unilmv2_tf.nothing


def test_import_needs_nothing_heavy():
    # KerasHub and TensorFlow import some of these themselves if they are
    # installed; ours must not need them.
    heavy = "matplotlib sklearn rouge_score tensorflow_datasets official orbit"
    code = (
        "import sys; "
        f"sys.modules.update(dict.fromkeys({heavy.split()})); "
        "import unilmv2_tf, unilmv2_tf.evaluation; "
        "print('unilmv2_tf.models' in sys.modules, "
        "'unilmv2_tf.training' in sys.modules, "
        "'unilmv2_tf.serving' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    )
    assert result.stdout.strip() == "True False False", result.stderr
