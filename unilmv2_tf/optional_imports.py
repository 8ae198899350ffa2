"""Libraries that the extras of the package install."""

import importlib


def optional_import(name: str, extra: str):
    """Imports a module, or raises an error that names the extra it is in.

    >>> optional_import("no_such_module", "metrics")
    Traceback (most recent call last):
        ...
    ImportError: `no_such_module` is not installed. Install it with: pip install
    'unilmv2_tf[metrics]'
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        package = name.partition(".")[0]
        # A dependency of the library may be missing instead.
        if (error.name or "").partition(".")[0] != package:
            raise
        raise ImportError(
            f"`{package}` is not installed. Install it with: pip install "
            f"'unilmv2_tf[{extra}]'"
        ) from error
