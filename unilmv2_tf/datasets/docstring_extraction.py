"""Docstrings of installed packages, read with `ast`: nothing is imported."""

import ast
import importlib.metadata
import importlib.util
import os
import platform
import re
import sysconfig
import warnings

from unilmv2_tf.datasets.docstring_cleaning import argument_descriptions
from unilmv2_tf.datasets.docstring_cleaning import clean_document

# Distribution names, for the versions in the key of the cache.
DISTRIBUTIONS = {
    "numpy": "numpy",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
    "matplotlib": "matplotlib",
    "keras": "keras",
    "keras_hub": "keras-hub",
    "tensorflow": "tensorflow",
}
TOPICS = "pydoc_data"
STANDARD_LIBRARY = "python"
PACKAGES = (TOPICS, STANDARD_LIBRARY, *DISTRIBUTIONS)

_SKIPPED_FOLDERS = frozenset(
    """__pycache__ _vendor dist-packages encodings ensurepip externals idlelib
    lib2to3 pydoc_data site-packages test tests testing turtledemo""".split()
)
_TEST_FILE = re.compile(r"(test_.*|.*_tests?)\.py")
MIN_WORDS = 5
_DOCUMENTED = (
    ast.Module,
    ast.ClassDef,
    ast.FunctionDef,
    ast.AsyncFunctionDef,
)
# The attributes of statements that hold statements.
_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")


def package_root(package):
    """Returns the folder of a package's sources, or `None` if it has none."""
    if package == STANDARD_LIBRARY:
        root = sysconfig.get_path("stdlib")
    else:
        try:
            spec = importlib.util.find_spec(package)
        except (ImportError, ValueError):
            spec = None
        places = list(spec.submodule_search_locations or ()) if spec else []
        root = places[0] if places else None
    return root if root and os.path.isdir(root) else None


def source_files(package):
    """Returns the sorted Python files of a package that have documentation."""
    root = package_root(package)
    if root is None:
        return []
    if package == TOPICS:
        path = os.path.join(root, "topics.py")
        return [path] if os.path.isfile(path) else []
    paths = []
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(
            name for name in folders if name not in _SKIPPED_FOLDERS
        )
        paths.extend(
            os.path.join(folder, name)
            for name in sorted(files)
            if name.endswith(".py") and not _TEST_FILE.fullmatch(name)
        )
    return paths


def package_versions():
    """Returns the versions of the installed packages of the corpus."""
    versions = {}
    for package in PACKAGES:
        if package_root(package) is None:
            continue
        if package in DISTRIBUTIONS:
            try:
                version = importlib.metadata.version(DISTRIBUTIONS[package])
            except importlib.metadata.PackageNotFoundError:
                # Installed under another name, as nightly builds are.
                version = "unknown"
        else:
            version = platform.python_version()
        versions[package] = version
    return versions


def docstrings_of_source(source, module=""):
    """Returns pairs of dotted name and raw docstring of a Python source."""
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
    """Returns the documents of a file of a package."""
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


def extract(packages=PACKAGES):
    """Returns the documents of packages, in a fixed order."""
    return [
        document
        for package in packages
        for path in source_files(package)
        for document in documents_of_file(package, path)
    ]


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
    """Returns the texts of `pydoc_data.topics`, a module with a dict."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            topics = ast.literal_eval(node.value)
            return [(f"topics.{name}", text) for name, text in topics.items()]
    return []


def _module_name(package, path):
    relative = os.path.relpath(path, package_root(package))
    parts = relative.removesuffix(".py").split(os.sep)
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join([package, *parts])
