"""Asks a SavedModel from a process that has none of our code."""

import os

from unilmv2_tf.serving.process import run_clean
from unilmv2_tf.serving.versions import newest_version


def ask_saved_model(folder, texts, batch_size=32):
    """Asks an exported generator in a clean process, as a server would.

    The process imports TensorFlow and TensorFlow Text only; `unilmv2_tf`,
    `keras` and `keras_hub` are barred from it. So it proves that the SavedModel
    stands on its own. It loads the model at each call, which takes seconds: to
    answer many requests run a server.

    Args:
        folder: str or path. What `export_model` returned, or the folder
            above the versions, of which the newest is asked.
        texts: list of strings.
        batch_size: int. How many are asked at once. Defaults to `32`.

    Returns:
        A list of tuples, a text each: `(generated_text, score)`.

    Raises:
        TypeError: if `texts` is no list of strings.
        ValueError: if `batch_size` is below 1.
        FileNotFoundError: if there is no SavedModel in `folder`.
        RuntimeError: if the process fails; the message holds the last lines
            that it wrote.

    Example:

    >>> from unilmv2_tf.serving import ask_saved_model
    >>> ask_saved_model("no/such/folder", ["The quick brown fox."])
    Traceback (most recent call last):
    ...
    FileNotFoundError: `folder` must be a SavedModel or the folder above its...
    """
    _check_texts(texts)
    if batch_size < 1:
        raise ValueError(
            f"`batch_size` must be at least 1. Received: {batch_size}"
        )
    folder = os.path.abspath(newest_version(folder))
    answers = run_clean(
        "answer.py",
        f"ask the SavedModel in {folder}",
        folder=folder,
        texts=list(texts),
        batch_size=batch_size,
    )
    return [tuple(pair) for pair in answers]


def _check_texts(texts):
    if isinstance(texts, (str, bytes)) or not all(
        isinstance(text, str) for text in texts
    ):
        raise TypeError(
            "`texts` must be a list of strings. Received: "
            f"texts={texts!r}. For a single text pass [text]."
        )
    for text in texts:
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise ValueError(
                "`texts` must be valid Unicode. Received half of a surrogate "
                f"pair in {text!r}."
            ) from error
