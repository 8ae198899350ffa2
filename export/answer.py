"""Asks a SavedModel, as a server would: without the code that made it.

`ask_saved_model` runs this file by its path, in a process of its own. It reads
`{"folder": ..., "texts": [...], "batch_size": ...}` from standard input and
writes `[[generated_text, score], ...]` to standard output, both JSON.
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


def answer(folder, texts, batch_size):
    """Asks the signature `serving_default` for texts, batch by batch.

    Args:
        folder: string. A SavedModel.
        texts: list of strings.
        batch_size: int.

    Returns:
        A list of pairs: the generated text and its score.
    """
    import tensorflow as tf

    # TensorFlow Text offers Keras layers as well, and would load Keras for
    # them. All that a SavedModel needs of it are its operations.
    layers = "tensorflow_text.python.keras"
    sys.modules[layers] = types.ModuleType(layers)
    import tensorflow_text  # noqa: F401

    generate = tf.saved_model.load(folder).signatures["serving_default"]
    inputs = sorted(generate.structured_input_signature[1])
    if inputs != ["text"]:
        raise ValueError(
            "The SavedModel must take strings, `text`. Its serving_default "
            f"takes {inputs}. Export it with `text_signature=True`."
        )
    answers = []
    for start in range(0, len(texts), batch_size):
        outputs = generate(text=tf.constant(texts[start : start + batch_size]))
        answers += zip(
            [text.decode() for text in outputs["generated_text"].numpy()],
            outputs["score"].numpy().tolist(),
        )
    return answers


def main():
    """Reads the question, answers it."""
    sys.meta_path.insert(0, ForbiddenModules())
    # Libraries may print: what they print must not end up in the answer.
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    json.dump(answer(**json.load(sys.stdin)), output)
    output.close()


if __name__ == "__main__":
    main()
