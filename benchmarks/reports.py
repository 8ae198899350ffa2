"""Figures in benchmarks/results, and the tables in README.md and docs.

A table stands between two comments in its file, and is never typed. The
function `tables` of a benchmark makes its tables; `summary` makes its rows of
the summary in docs/results/speed.md.
"""

import contextlib
import importlib
import importlib.metadata
import json
import os
import pathlib
import platform
import time

from unilmv2_tf.filesystem import write_text

ROOT = pathlib.Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PACKAGES = (
    "tensorflow",
    "tensorflow-text",
    "keras",
    "keras-hub",
    "tf-models-official",
    "torch",
    "transformers",
    "jax",
    "scikit-learn",
)


def write_results(name, figures, folder=RESULTS):
    """Writes `NAME.json`: the figures, and what they were measured with."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    report = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": {"cpu": _processor(), "cores": os.cpu_count()},
        "versions": versions,
        **figures,
    }
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / f"{name}.json", json.dumps(report, indent=2) + "\n")


def read_results(name, folder=RESULTS):
    """Reads `NAME.json`, or returns `None` if there is none."""
    path = pathlib.Path(folder) / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def _processor():
    """The name of the CPU, and the number formats that matter for speed."""
    with open("/proc/cpuinfo") as file:
        fields = dict(line.split(":", 1) for line in file if ":" in line)
    fields = {key.strip(): value.strip() for key, value in fields.items()}
    name = fields.get("model name", platform.processor())
    formats = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
    flags = fields.get("flags", "").split()
    return f"{name} ({' '.join(form for form in formats if form in flags)})"


def write_tables(names, root=ROOT, results=RESULTS):
    """Writes the tables of these benchmarks anew, in README.md and docs."""
    tables = make_tables(names, results)
    root = pathlib.Path(root)
    for path in (root / "README.md", *sorted(root.glob("docs/**/*.md"))):
        text = path.read_text(encoding="utf-8")
        for name, table in tables.items():
            text = replace_table(text, name, table)
        write_text(path, text)


def make_tables(names, results=RESULTS):
    """All tables, a dict from name to Markdown."""
    tables, rows, machines = {}, [], []
    for name in names:
        figures = read_results(name, results)
        if figures is None:
            continue
        module = importlib.import_module(f"benchmarks.{name}")
        if hasattr(module, "tables"):
            for table, (header, lines) in module.tables(figures).items():
                tables[table] = markdown(header, lines)
        if hasattr(module, "summary"):
            rows += module.summary(figures)
            machines.append("{cpu}, {cores} cores".format(**figures["machine"]))
    measured = "; ".join(dict.fromkeys(machines))
    tables["summary"] = (
        markdown(("", "median (lowest-highest)"), rows)
        + f"\nMeasured on {measured}.\n"
    )
    return tables


def markdown(header, rows):
    """A table in Markdown.

    >>> print(markdown(("a", "b"), [(1, 2)]), end="")
    | a | b |
    |---|---|
    | 1 | 2 |
    """
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in (header, *rows)]
    lines.insert(1, "|" + "---|" * len(header))
    return "\n".join(lines) + "\n"


def begin_of(name):
    """The comment before a table."""
    return f"<!-- figures {name}: written by `python -m benchmarks table` -->"


def end_of(name):
    """The comment after a table."""
    return f"<!-- end of figures {name} -->"


def replace_table(text, name, table):
    """A text with another table between the comments of a name."""
    before, begin, after = text.partition(begin_of(name))
    if not begin:
        return text
    _, end, after = after.partition(end_of(name))
    if not end:
        raise ValueError(f"No {end_of(name)!r} follows {begin!r}.")
    return f"{before}{begin}\n{table}{end}{after}"
