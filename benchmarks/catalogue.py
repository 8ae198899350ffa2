"""Which benchmarks there are: the modules of this folder that say so.

A benchmark is a module with

    NAME = "training"          what it is called on the command line and in
                               results/NAME.json
    add_arguments(parser)      optional: flags, all with defaults
    QUICK = [...]              optional: flags for a run of seconds, in tests
    run(settings) -> dict      measures; settings are what the parser returns
    draw(figures, path)        optional: a picture, docs/benchmark-NAME.png
    table(figures) -> rows     optional: `(what, ours)` pairs of strings for
                               the README's table

A module that has a `main()` instead needs something of its own (a folder, an
hour) and is run on its own, with the arguments after its name. The files are
read, not imported: that would take TensorFlow's seconds.
"""

import ast
import dataclasses
import importlib
import pathlib

FOLDER = pathlib.Path(__file__).parent


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """What is known of a benchmark without importing it."""

    name: str
    module: str
    summary: str
    # Whether it has the functions above, and is part of `make bench`.
    is_regular: bool

    def load(self):
        """Imports its module."""
        return importlib.import_module(self.module)


def find(folder=FOLDER, package="benchmarks"):
    """Lists the benchmarks of a folder.

    Args:
        folder: path. Defaults to that of this package.
        package: string. The package of the folder. Defaults to this one.

    Returns:
        A dict from name to `Benchmark`, sorted.

    Example:

    >>> from benchmarks.catalogue import find
    >>> find()["training"].is_regular, find()["ablation"].is_regular
    (True, False)
    """
    found = {}
    for path in sorted(folder.glob("*.py")):
        benchmark = _read(path, package)
        if benchmark is not None:
            found[benchmark.name] = benchmark
    return found


def _read(path, package):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = {
        node.name for node in tree.body if isinstance(node, ast.FunctionDef)
    }
    names = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Constant)
        and [getattr(t, "id", None) for t in node.targets] == ["NAME"]
    ]
    is_regular = bool(names) and "run" in functions
    if path.stem.startswith("_") or not (is_regular or "main" in functions):
        return None
    summary = (ast.get_docstring(tree) or "").partition("\n\n")[0]
    return Benchmark(
        name=names[0] if names else path.stem,
        module=f"{package}.{path.stem}",
        summary=" ".join(summary.split()),
        is_regular=is_regular,
    )
