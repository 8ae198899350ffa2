"""A process that has TensorFlow and none of the code that made a SavedModel.

The scripts beside this file run by their paths, in processes of their own, and
import nothing of this package but such files as this one, which need nothing.
"""

import importlib.machinery
import json
import os
import sys
import types

FORBIDDEN = ("unilmv2_tf", "keras", "keras_hub", "keras_nlp", "tf_keras")


class ForbiddenModules:
    """A finder and loader that refuses to import some packages.

    TensorFlow looks where Keras is without importing it, and may: to find a
    package is allowed, to load it is not.

    Example:

    >>> import importlib.util
    >>> refuse = ForbiddenModules()
    >>> refuse.find_spec("json") is None  # others may find it
    True
    >>> importlib.util.module_from_spec(refuse.find_spec("keras.layers"))
    Traceback (most recent call last):
    ...
    ImportError: keras.layers must not be needed to ask a SavedModel
    """

    def find_spec(self, name, path=None, target=None):
        """Finds a forbidden package, and leaves others to the other finders.

        Args:
            name: string. The full name of the module.
            path: ignored.
            target: ignored.

        Returns:
            A `ModuleSpec` that cannot be loaded, or `None`.
        """
        if name.partition(".")[0] in FORBIDDEN:
            return importlib.machinery.ModuleSpec(name, loader=self)
        return None

    def create_module(self, spec):
        """Refuses a module.

        Args:
            spec: a `ModuleSpec`, as `find_spec` makes it.

        Raises:
            ImportError: always.
        """
        raise ImportError(f"{spec.name} must not be needed to ask a SavedModel")

    def exec_module(self, module):
        """Is never reached; importlib wants it to be there."""


def import_text_ops():
    """Imports TensorFlow Text for its operations alone.

    It offers Keras layers as well, and would load Keras for them.
    """
    layers = "tensorflow_text.python.keras"
    sys.modules[layers] = types.ModuleType(layers)
    import tensorflow_text  # noqa: F401


def run(answer):
    """Runs a script: JSON from standard input, JSON to standard output.

    Args:
        answer: a function; what was read are its arguments, by name.
    """
    sys.meta_path.insert(0, ForbiddenModules())
    # Libraries may print: what they print must not end up in the answer.
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    json.dump(answer(**json.load(sys.stdin)), output)
    output.close()
