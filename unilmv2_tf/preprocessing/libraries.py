"""TensorFlow for text, or stand-ins that say that it is missing.

Layers and models need no TensorFlow under JAX and PyTorch, and import this
room for their preprocessors. Where it is not installed, for example on a
machine that only trains, everything but text works.
"""

import importlib


class MissingLibrary:
    """Stands for a module that is not installed.

    Args:
        name: string. The name of the module.

    Raises:
        ImportError: as soon as anything of the module is used.

    Example:

    >>> from unilmv2_tf.preprocessing.libraries import MissingLibrary
    >>> MissingLibrary("tensorflow").constant([1])
    Traceback (most recent call last):
        ...
    ImportError: Text is processed by tensorflow, which is not installed...
    """

    def __init__(self, name):
        self._name = name

    def __getattr__(self, attribute):
        # What looks a module over, as a debugger does, asks for these.
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        raise ImportError(
            f"Text is processed by {self._name}, which is not installed. "
            "Received: texts, or arrays that a preprocessor should turn into "
            "rows. Install tensorflow and tensorflow-text, or make the rows "
            "where they are installed, and give the model integers "
            "(preprocessor=None)."
        )


def library(name):
    """A module, or its stand-in.

    Args:
        name: string.

    Returns:
        The module, or a `MissingLibrary` if it is not installed. A module
        that is there and cannot be imported raises its error.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        return MissingLibrary(name)


tf = library("tensorflow")
tf_text = library("tensorflow_text")
