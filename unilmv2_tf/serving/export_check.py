"""Checks SavedModels in a process without this package."""

import json
import os
import subprocess
import sys

from unilmv2_tf.filesystem import write_text
from unilmv2_tf.serving import clean_process
from unilmv2_tf.serving.clean_process import LIVE_ANSWERS
from unilmv2_tf.serving.clean_process import save_answers
from unilmv2_tf.serving.server_folder import newest_version

BATCH_SIZES = (1, 3, 32)
_SHOWN_LINES = 15

# In lower precision than float32, rows of another width round differently, and
# a choice between nearly equal logits may change.
_EXACT = {"tolerance": 1e-5, "rows_that_may_differ": 0.0}
_ROUNDED = {"tolerance": 0.1, "rows_that_may_differ": 0.25}

PLAIN = (
    "The quick brown fox jumps over the lazy dog.",
    "Returns a new array with the same shape and type as a given array.",
    "A path.",
    "It was the best of times, it was the worst of times, it was the age of "
    "wisdom, it was the age of foolishness.",
    "Why?",
    "The number of elements, or None if it is unknown.",
    "Caf\u00e9 na\u00efve \u65e5\u672c\u8a9e 3.14 e-mail@example.org",
    "a b c d e f g h i j k l m n o p q r s t u v w x y z",
)
HOSTILE = {
    "empty": b"",
    "10,000 spaces": b" " * 10_000,
    "1 MB of words": b"fox " * 250_000,
    "1 MB, one word": b"x" * 1_000_000,
    "NUL bytes": b"\x00a\x00 the\x00fox \x00",
    "invalid UTF-8": b"\xff\xfe the caf\xe9 \xc3( \xed\xa0\x80 \xf8 fox",
    "unknown characters": "\ua66e \u16a0\u16a2 \ue000 \U0001fae0".encode(),
    "right to left": "\u05e9\u05dc\u05d5\u05dd \u202e fox \u0645".encode(),
    "emoji": "\U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f98a".encode(),
    "special tokens": b"[CLS] the [SEP] [PAD] [MASK] [UNK] fox [MASK]",
}


def check_export(
    folder: str | os.PathLike,
    seconds: float = 1.0,
    output: str | os.PathLike | None = None,
) -> dict:
    """Checks an export in a process that has TensorFlow and nothing of ours.

    Every signature is run on ordinary and hostile texts (empty, a megabyte,
    invalid UTF-8, ...), one by one, in threes and all together, and compared
    with what the live model answered to all together when it was exported:
    integers and strings exactly, floats to 1e-5. So no text may change the
    answer to another one. Smaller batches have rows of another width, which
    round differently: there the choice between equal scores is free. In lower
    precision than float32, differences of 0.1 and in a quarter of the inputs
    are allowed. Signatures that take integers also get rows as a server pads
    them. A graph that asks for XLA fails.

    Args:
        folder: a SavedModel, or the folder above its versions; the newest
            version is checked.
        seconds: float. How long each signature is timed at each batch size, at
            least 3 calls, at most 100. Defaults to `1.0`.
        output: a folder for `report.json`. Defaults to `None`, `assets.extra`
            of the SavedModel.

    Returns:
        What was found, a dict, as in `report.json`.

    Raises:
        FileNotFoundError: if there is no SavedModel in `folder`, or it was not
            written by `export_model`.
        RuntimeError: if the check fails. The report is written all the same.

    Example:

    >>> check_export("no/such/folder")
    Traceback (most recent call last):
    ...
    FileNotFoundError: `folder` must be a SavedModel or the folder above its...
    """
    folder = os.path.abspath(newest_version(folder))
    if not os.path.exists(os.path.join(folder, LIVE_ANSWERS)):
        raise FileNotFoundError(
            f"`folder` must hold the inputs of the check, {LIVE_ANSWERS}. "
            f"Received: folder={folder}. Export the model with `export_model`."
        )
    question = {"folder": folder, "batch_sizes": BATCH_SIZES}
    process = subprocess.run(
        # Isolated: no PYTHON variables, no folder of this script on the path.
        [sys.executable, "-I", clean_process.__file__],
        input=json.dumps({**question, "seconds": seconds}),
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        env={"TF_CPP_MIN_LOG_LEVEL": "2", **os.environ},
    )
    if process.returncode != 0:
        lines = process.stderr.strip().splitlines()[-_SHOWN_LINES:]
        raise RuntimeError(
            f"The process that was to check the SavedModel in {folder} ended "
            f"with status {process.returncode}. The last lines that it wrote:"
            + "".join(f"\n    {line}" for line in lines)
        )
    report = json.loads(process.stdout)
    report["bytes"] = sum(
        os.path.getsize(os.path.join(parent, name))
        for parent, _, names in os.walk(folder)
        for name in names
    )
    report["failures"] = [
        f"`{name}` {failure}"
        for name, found in report["signatures"].items()
        for failure in found["failures"]
    ]
    if report["xla_marks"]:
        marks = ", ".join(report["xla_marks"])
        report["failures"].append(f"XLA is asked for: {marks}")
    output = os.path.join(folder, "assets.extra") if output is None else output
    path = os.path.join(output, "report.json")
    write_text(path, json.dumps(report, indent=2) + "\n")
    if report["failures"]:
        raise RuntimeError(
            f"The check of the SavedModel in {folder} fails: "
            + "; ".join(report["failures"])
        )
    return report


def write_live_answers(folder, endpoints, text_signatures, with_answers):
    """Stores the inputs of the check and what the live model answers."""
    plain = [text.encode() for text in PLAIN]
    hostile = list(HOSTILE.values())
    labels = [f"text {row + 1}" for row in range(len(PLAIN))] + list(HOSTILE)
    signatures = {}

    def store(endpoint, name, inputs, live):
        num_rows = len(next(iter(inputs.values())))
        outputs = {}
        if with_answers and endpoint.is_deterministic:
            # As the largest batch of the check, so that both round alike.
            rows = [row % num_rows for row in range(BATCH_SIZES[-1])]
            outputs = live(
                **{k: [x[row] for row in rows] for k, x in inputs.items()}
            )
        signatures[name] = {
            "inputs": inputs,
            "outputs": {key: x[:num_rows] for key, x in outputs.items()},
            "notes": {
                "labels": labels
                if num_rows == len(labels)
                else [f"row {row + 1}" for row in range(num_rows)],
                "num_plain": min(num_rows, len(plain)),
                **(_EXACT if endpoint.precision == "float32" else _ROUNDED),
            },
        }

    for endpoint in endpoints:
        probes = {
            name: endpoint.probes(inputs, plain, hostile)
            for name, inputs in endpoint.text_signatures.items()
        }
        for name, texts in probes.items() if text_signatures else ():
            store(endpoint, name, texts, endpoint.live_text)
        # Integers: the rows of the ordinary texts.
        texts = next(iter(probes.values()))
        rows = endpoint.live_rows(
            **{key: values[: len(plain)] for key, values in texts.items()}
        )
        store(endpoint, f"{endpoint.name}_ids", rows, endpoint.live_ids)
    save_answers(os.path.join(folder, LIVE_ANSWERS), signatures)
