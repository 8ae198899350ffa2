"""Checks and queries SavedModels in a process without this package."""

import json
import os
import subprocess
import sys

from unilmv2_tf.filesystem import write_text
from unilmv2_tf.serving import clean_process
from unilmv2_tf.serving.clean_process import LIVE_ANSWERS
from unilmv2_tf.serving.clean_process import save_answers
from unilmv2_tf.serving.server_folder import fill_template
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
    with what the live model answered when it was exported: integers and strings
    exactly, floats to 1e-5. So no text may change the answer to another one.
    In lower precision than float32, differences of 0.1 and in a quarter of the
    inputs are allowed. Signatures that take integers also get rows as a server
    pads them. A graph that asks for XLA fails.

    Args:
        folder: a SavedModel, or the folder above its versions, of which the
            newest is checked.
        seconds: float. How long each signature is timed at each batch size, at
            least 3 calls, at most 100. Defaults to `1.0`.
        output: a folder for `report.json` and `report.md`. Defaults to `None`,
            `assets.extra` of the SavedModel.

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
    report = _run_clean(
        f"check the SavedModel in {folder}",
        function="check",
        folder=folder,
        batch_sizes=BATCH_SIZES,
        seconds=seconds,
    )
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
    os.makedirs(output, exist_ok=True)
    write_text(
        os.path.join(output, "report.json"), json.dumps(report, indent=2) + "\n"
    )
    write_text(os.path.join(output, "report.md"), _report_text(report))
    if report["failures"]:
        raise RuntimeError(
            f"The check of the SavedModel in {folder} fails: "
            + "; ".join(report["failures"])
        )
    return report


def ask_saved_model(
    folder: str | os.PathLike, texts: list[str], batch_size: int = 32
) -> list[tuple[str, float]]:
    """Generates texts with an export, in a process without this package.

    The process can import TensorFlow and TensorFlow Text, but not `unilmv2_tf`,
    `keras` and `keras_hub`: so it proves that the SavedModel is complete. It
    loads the model at each call, which takes seconds: to answer many requests
    run a server.

    Args:
        folder: what `export_model` returned, or the folder above the versions,
            of which the newest is used.
        texts: list of strings.
        batch_size: int. The number of texts in a call. Defaults to `32`.

    Returns:
        A list of tuples, one for each text: `(generated_text, score)`.

    Raises:
        TypeError: if `texts` is not a list of strings.
        ValueError: if `batch_size` is below 1, or a text is not valid Unicode.
        FileNotFoundError: if there is no SavedModel in `folder`.
        RuntimeError: if the process fails; the message holds the last lines
            that it wrote.

    Example:

    >>> ask_saved_model("no/such/folder", ["The quick brown fox."])
    Traceback (most recent call last):
    ...
    FileNotFoundError: `folder` must be a SavedModel or the folder above its...
    """
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
                "`texts` must be valid Unicode. Received: half of a surrogate "
                f"pair in {text!r}."
            ) from error
    if batch_size < 1:
        raise ValueError(
            "`batch_size` must be at least 1. Received: "
            f"batch_size={batch_size}"
        )
    folder = os.path.abspath(newest_version(folder))
    answers = _run_clean(
        f"run the SavedModel in {folder}",
        function="ask",
        folder=folder,
        texts=list(texts),
        batch_size=batch_size,
    )
    return [tuple(pair) for pair in answers]


def write_live_answers(folder, endpoints, text_signatures, with_answers):
    """Stores the inputs of the check and what the live model answers.

    Signatures that take strings get hostile texts as well, decoded for the live
    model as Python decodes invalid UTF-8. Those that take integers get the rows
    of the ordinary texts.
    """
    plain = [text.encode() for text in PLAIN]
    hostile = list(HOSTILE.values())
    labels = [f"text {row + 1}" for row in range(len(PLAIN))] + list(HOSTILE)
    signatures = {}
    for endpoint in endpoints:
        is_compared = with_answers and endpoint.is_deterministic
        is_exact = endpoint.precision == "float32"
        notes = {"num_plain": len(plain), **(_EXACT if is_exact else _ROUNDED)}
        probes = {
            name: endpoint.probes(inputs, plain, hostile)
            for name, inputs in endpoint.text_signatures.items()
        }
        for name, texts in probes.items() if text_signatures else ():
            decoded = _decoded(texts)
            outputs = endpoint.live_text(**decoded) if is_compared else {}
            signatures[name] = (texts, outputs, {**notes, "labels": labels})
        decoded = _decoded(next(iter(probes.values())), len(plain))
        rows = endpoint.live_rows(**decoded)
        outputs = endpoint.live_ids(**decoded) if is_compared else {}
        signatures[f"{endpoint.name}_ids"] = (rows, outputs, notes)
    save_answers(os.path.join(folder, LIVE_ANSWERS), signatures)


def _decoded(texts, size=None):
    return {
        name: [text.decode(errors="replace") for text in values[:size]]
        for name, values in texts.items()
    }


def _run_clean(what, **question):
    process = subprocess.run(
        # Isolated: no PYTHON variables, no folder of this script on the path.
        [sys.executable, "-I", clean_process.__file__],
        input=json.dumps(question),
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        env={"TF_CPP_MIN_LOG_LEVEL": "2", **os.environ},
    )
    if process.returncode != 0:
        lines = process.stderr.strip().splitlines()[-_SHOWN_LINES:]
        raise RuntimeError(
            f"The process that was to {what} ended with status "
            f"{process.returncode}. The last lines that it wrote:\n"
            + "\n".join(f"    {line}" for line in lines)
        )
    return json.loads(process.stdout)


def _report_text(report):
    rows = []
    for name, found in report["signatures"].items():
        cells = [f"`{name}`", str(found["num_inputs"])]
        if found["is_compared"]:
            cells.append(str(found["num_different"]))
            cells.append(f"{found['largest_difference']:.1e}")
        else:
            cells += ["not compared"] * 2
        times = found["milliseconds"].values()
        cells.append(
            ", ".join(f"{x['p50']:.1f} / {x['p95']:.1f}" for x in times)
        )
        rows.append(f"| {' | '.join(cells)} |")
    failures = [f"- {text}" for text in report["failures"]]
    return fill_template(
        "report.md",
        verdict="\n".join(["**It fails:**", "", *failures])
        if failures
        else "No differences.",
        megabytes=f"{report['bytes'] / 1e6:.1f}",
        seconds=f"{report['load_seconds']:.1f}",
        tensorflow=report["tensorflow"],
        sizes=f"ms at batch {', '.join(map(str, BATCH_SIZES))}",
        signatures="\n".join(rows),
        xla="" if report["xla_marks"] else "Nothing asks for XLA.",
        operations=", ".join(
            f"**`{x}`**" if x in report["from_tensorflow_text"] else f"`{x}`"
            for x in report["operations"]
        ),
    )
