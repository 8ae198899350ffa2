"""Docstrings of source files, read with `ast`: nothing is imported."""

import ast
import json
import os
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

from .cleaning import clean_document
from .packages import PACKAGES
from .packages import TOPICS
from .packages import package_root
from .packages import source_files
from .sections import argument_descriptions

MIN_WORDS = 5
_FILES_PER_JOB = 100
_DOCUMENTED = (
    ast.Module,
    ast.ClassDef,
    ast.FunctionDef,
    ast.AsyncFunctionDef,
)
# Where statements stand in statements.
_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
# Run by bare Python processes; they import nothing but this folder.
_WORKER = (
    "import sys; sys.path.append(sys.argv[1]); "
    "from corpus.extraction import work; work()"
)


def docstrings_of_source(source, module=""):
    """The docstrings of a Python source, raw, in the order of the source.

    NumPy and SciPy document what is written in C by calls of `add_newdoc`;
    these texts are taken too.

    Args:
        source: string or bytes. A Python program.
        module: string. What the names begin with. Defaults to `""`.

    Returns:
        A list of pairs: dotted name, docstring. Empty when the source is not
        valid Python.

    Example:

    >>> docstrings_of_source("def f():\\n    '''Does it.'''", "package")
    [('package.f', 'Does it.')]
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    found = []
    _visit(tree, module, found)
    return found


def documents_of_file(package, path):
    """The cleaned documents of one file of the corpus.

    Args:
        package: string. One of the packages of the corpus.
        path: string. A file of it.

    Returns:
        A list of dictionaries with the keys `package`, `name`, `text` and
        `arguments` (pairs: name, description). Empty when the file cannot be
        read.
    """
    try:
        with open(path, "rb") as file:
            source = file.read()
    except OSError:
        return []
    if package == TOPICS:
        found = _topics(source)
    else:
        found = docstrings_of_source(source, _module_name(package, path))
    documents = []
    for name, docstring in found:
        # A lone surrogate is a fine Python string and impossible UTF-8.
        docstring = docstring.encode("utf-8", "replace").decode("utf-8")
        text = clean_document(docstring)
        if len(text.split()) >= MIN_WORDS:
            documents.append(
                {
                    "package": package,
                    "name": name,
                    "text": text,
                    "arguments": argument_descriptions(docstring),
                }
            )
    return documents


def extract(packages=PACKAGES, workers=None, progress=None):
    """The documents of whole packages, in an order that never changes.

    Args:
        packages: strings. Packages of the corpus; absent ones are skipped.
            Defaults to all.
        workers: int. Processes at work. `0` does everything in this one.
            Defaults to the number of cores, at most 8.
        progress: callable of two integers: files read, files in all.
            Defaults to `None`.

    Returns:
        A list of dictionaries, as `documents_of_file` describes them.
    """
    files = [(name, path) for name in packages for path in source_files(name)]
    jobs = [
        files[start : start + _FILES_PER_JOB]
        for start in range(0, len(files), _FILES_PER_JOB)
    ]
    if workers is None:
        workers = min(os.cpu_count() or 1, 8)
    # A frozen program has no interpreter to start.
    if not sys.executable or getattr(sys, "frozen", False):
        workers = 0
    run = _run_here if workers == 0 else _run_in_process
    documents, done = [], 0
    with ThreadPoolExecutor(max(workers, 1)) as pool:
        for job, found in zip(jobs, pool.map(run, jobs)):
            documents += found
            done += len(job)
            if progress:
                progress(done, len(files))
    return documents


def work():
    """Answers one job on standard input: what `extract` starts processes for.

    Reads a JSON list of [package, path] and writes the JSON list of their
    documents.
    """
    job = json.loads(sys.stdin.buffer.read())
    answer = json.dumps(_run_here(job))
    sys.stdout.buffer.write(answer.encode("ascii"))


def _run_here(job):
    documents = []
    for package, path in job:
        documents += documents_of_file(package, path)
    return documents


def _run_in_process(job):
    folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    process = subprocess.run(
        [sys.executable, "-I", "-c", _WORKER, folder],
        input=json.dumps(job).encode("ascii"),
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(process.stdout)


def _visit(node, name, found):
    if isinstance(node, _DOCUMENTED):
        docstring = ast.get_docstring(node, clean=False)
        if docstring:
            found.append((name, docstring))
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        found.extend(_newdocs(node.value))
    for block in _BLOCKS:
        for child in getattr(node, block, ()):
            documented = isinstance(child, _DOCUMENTED)
            inner = f"{name}.{child.name}".lstrip(".") if documented else name
            _visit(child, inner, found)


def _newdocs(call):
    function = getattr(call.func, "id", getattr(call.func, "attr", ""))
    if function != "add_newdoc" or len(call.args) < 2:
        return
    *place, documentation = call.args
    name = ".".join(part.value for part in place if _is_string(part))
    groups = (
        documentation.elts
        if isinstance(documentation, ast.List)
        else [documentation]
    )
    for group in groups:
        parts = group.elts if isinstance(group, ast.Tuple) else [group]
        if parts and all(_is_string(part) for part in parts):
            *inner, text = (part.value for part in parts)
            yield ".".join([name, *inner]), text


def _is_string(node):
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _topics(source):
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return []
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            return [
                (f"topics.{key.value}", _plain_string(value))
                for key, value in zip(node.value.keys, node.value.values)
                if _is_string(key) and _plain_string(value)
            ]
    return []


def _plain_string(node):
    try:
        value = ast.literal_eval(node)
    except ValueError:
        return ""
    return value if isinstance(value, str) else ""


def _module_name(package, path):
    relative = os.path.relpath(path, package_root(package))
    parts = relative.removesuffix(".py").split(os.sep)
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join([package, *parts])
