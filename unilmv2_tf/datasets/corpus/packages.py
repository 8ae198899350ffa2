"""Which installed packages the corpus is made of, and their source files."""

import importlib.metadata
import importlib.util
import os
import platform
import re
import sysconfig

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
    [
        "__pycache__",
        "_vendor",
        "dist-packages",
        "encodings",
        "ensurepip",
        "externals",
        "idlelib",
        "lib2to3",
        "pydoc_data",
        "site-packages",
        "test",
        "tests",
        "testing",
        "turtledemo",
    ]
)
_TEST_FILE = re.compile(r"(test_.*|.*_tests?)\.py")


def package_root(package):
    """The folder of a package's sources, found without importing it.

    Args:
        package: string. One of `PACKAGES`.

    Returns:
        A path, or `None` when the package is absent or has no folder of
        source files (a zip archive, for example).

    Raises:
        ValueError: for a package that is not part of the corpus.

    Example:

    >>> import os
    >>> os.path.basename(package_root("numpy"))
    'numpy'
    """
    if package not in PACKAGES:
        raise ValueError(
            f"`package` must be one of {', '.join(PACKAGES)}. "
            f"Received: package={package!r}"
        )
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
    """The Python files of a package that carry documentation, sorted.

    Tests, vendored copies and editor or converter tools are left out.

    Args:
        package: string. One of `PACKAGES`.

    Returns:
        A list of paths, empty when the package is absent.

    Raises:
        ValueError: for a package that is not part of the corpus.

    Example:

    >>> import os
    >>> names = [os.path.basename(path) for path in source_files("python")]
    >>> "argparse.py" in names, "test_argparse.py" in names
    (True, False)
    """
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
    """The version of every package of the corpus that is installed.

    Returns:
        A dictionary from package to version, in the order of the corpus.
        The interpreter's version stands for the standard library.

    Example:

    >>> import numpy
    >>> package_versions()["numpy"] == numpy.__version__
    True
    """
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
