"""Whether a SavedModel does what the model does that it was made of."""

import json
import os

from unilmv2_tf.filesystem import write_text
from unilmv2_tf.serving.process import run_clean
from unilmv2_tf.serving.report import report_text
from unilmv2_tf.serving.versions import newest_version

BATCH_SIZES = (1, 3, 32)


def check_export(folder, seconds=1.0, output=None):
    """Tries a SavedModel in a process that has TensorFlow and nothing of ours.

    Every signature is run on ordinary texts and on hostile ones (none at all,
    a megabyte, bytes that are no UTF-8, ...), one by one, by threes and all
    together, and compared with what the live model answered when it was
    exported: integers and strings exactly, floats to 1e-5. So a hostile text
    must not change its neighbours' answers either. In lower precision than
    float32, 0.1 and a quarter of the inputs are allowed to differ. Signatures
    of integers are given rows as a server pads them. It is an error, too, if
    something in the graph asks for XLA.

    Args:
        folder: str or path. A SavedModel, or the folder above its versions, of
            which the newest is checked.
        seconds: number. How long each signature is timed at each batch size;
            3 calls at least, 100 at most. Defaults to `1.0`.
        output: str or path. A folder for `report.json` and `report.md`.
            Defaults to `None`: `assets.extra` of the SavedModel.

    Returns:
        What was found, a dict, as `report.json` holds it.

    Raises:
        FileNotFoundError: if there is no SavedModel in `folder`.
        RuntimeError: if it does not do what it should. The report is written
            nevertheless.

    Example:

    >>> check_export("no/such/folder")
    Traceback (most recent call last):
    ...
    FileNotFoundError: `folder` must be a SavedModel or the folder above its...
    """
    folder = os.path.abspath(newest_version(folder))
    report = run_clean(
        "clean_check.py",
        f"check the SavedModel in {folder}",
        folder=folder,
        batch_sizes=BATCH_SIZES,
        seconds=seconds,
    )
    report["bytes"] = _size(folder)
    failures = [
        f"`{name}` {failure}"
        for name, found in report["signatures"].items()
        for failure in found["failures"]
    ]
    if report["xla_marks"]:
        failures.append(f"XLA is asked for: {', '.join(report['xla_marks'])}")
    report["failures"] = failures
    output = os.path.join(folder, "assets.extra") if output is None else output
    os.makedirs(output, exist_ok=True)
    write_text(
        os.path.join(output, "report.json"), json.dumps(report, indent=2) + "\n"
    )
    write_text(os.path.join(output, "report.md"), report_text(report))
    if failures:
        raise RuntimeError(
            f"The SavedModel in {folder} does not do what it should: "
            + "; ".join(failures)
        )
    return report


def _size(folder):
    return sum(
        os.path.getsize(os.path.join(parent, name))
        for parent, _, names in os.walk(folder)
        for name in names
    )
