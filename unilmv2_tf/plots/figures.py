"""What the pictures have in common."""

import os

from unilmv2_tf.filesystem import replacing

TEXT_COLOR = "#2b2f36"
QUIET_COLOR = "#7b828d"


def save_figure(figure, path):
    """Writes a figure, whole or not at all.

    Args:
        figure: a `matplotlib.figure.Figure`.
        path: str or path; PNG unless its name ends otherwise. `None` writes
            nothing.

    Example:

    >>> save_figure(figure=None, path=None)
    """
    if path is None:
        return
    # The temporary name does not tell the format.
    extension = os.path.splitext(os.fspath(path))[1].lstrip(".")
    with replacing(path) as temporary:
        figure.savefig(temporary, format=extension.lower() or "png")
