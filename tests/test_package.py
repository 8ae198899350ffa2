"""How the package is put together."""

import ast
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
FLOORS = {
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


def sources():
    yield from sorted((ROOT / "unilmv2_tf").rglob("*.py"))


def imports(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


def room(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[1]


@pytest.mark.parametrize("path", sources(), ids=lambda p: f"{room(p)}-{p.stem}")
def test_imports_go_down(path):
    floor = FLOORS.get(room(path))
    for name in imports(path):
        assert not name.startswith(("keras.src", "keras_hub.src"))
        parts = name.split(".")
        if parts[0] == "unilmv2_tf" and len(parts) > 1:
            imported = FLOORS.get(parts[1], 0)
            assert floor is None or imported <= floor, name


@pytest.mark.parametrize(
    "path",
    [
        p
        for p in sources()
        if room(p) in ("layers", "models", "samplers")
        # Functions import it, on its own backend.
        and p.stem != "tensorflow_backend"
    ],
    ids=lambda p: p.stem,
)
def test_model_code_runs_on_every_backend(path):
    for name in imports(path):
        assert name.split(".")[0] not in ("tensorflow", "jax", "torch"), name


def test_only_functions_import_what_is_of_one_backend():
    for path in sources():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            module = getattr(node, "module", None) or ""
            assert "tensorflow_backend" not in module, path


def test_import_needs_nothing_heavy():
    # KerasHub and TensorFlow import some of these themselves if they are
    # there; ours must not need them.
    heavy = "matplotlib sklearn rouge_score tensorflow_datasets official orbit"
    code = (
        "import sys; "
        f"sys.modules.update(dict.fromkeys({heavy.split()})); "
        "import unilmv2_tf; "
        "print('unilmv2_tf.models' in sys.modules, "
        "'unilmv2_tf.training' in sys.modules, "
        "'unilmv2_tf.serving' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    )
    assert result.stdout.strip() == "True False False", result.stderr
