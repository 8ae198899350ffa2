"""What all pictures share: Matplotlib, colors and atomic files."""

import os
import warnings

from unilmv2_tf.filesystem import replacing
from unilmv2_tf.optional_imports import optional_import

TEXT_COLOR = "#2b2f36"
QUIET_COLOR = "#7b828d"


def new_figure(**options):
    """Creates a figure that belongs to no window, with any backend."""
    return optional_import("matplotlib.figure", "plots").Figure(
        dpi=150, **options
    )


def save_figure(figure, path):
    """Writes a figure atomically, as PNG unless the path ends otherwise."""
    if path is None:
        return
    # The temporary file has another extension.
    extension = os.path.splitext(os.fspath(path))[1].lstrip(".")
    with replacing(path) as temporary:
        figure.savefig(temporary, format=extension.lower() or "png")


def try_plot(plot, *args, **kwargs):
    """Calls a plotting function; a job goes on without the picture, warned."""
    try:
        plot(*args, **kwargs)
    except (ImportError, OSError) as error:
        # Python shows the same warning once.
        warnings.warn(f"No picture was written: {error}", stacklevel=2)
