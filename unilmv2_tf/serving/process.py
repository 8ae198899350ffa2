"""Runs the scripts that have none of our code."""

import json
import os
import subprocess
import sys

_FOLDER = os.path.dirname(os.path.abspath(__file__))
_SHOWN_LINES = 15


def run_clean(script, what, **question):
    """Runs a script of this folder in a clean process.

    Args:
        script: string. The name of its file.
        what: string. For the error: what the process was to do.
        **question: what the script is asked, for JSON.

    Returns:
        What it answered, from JSON.

    Raises:
        RuntimeError: if the process fails; the message holds the last lines
            that it wrote.

    Example:

    >>> run_clean("no_script.py", "ask")
    Traceback (most recent call last):
    ...
    RuntimeError: The process that was to ask ended with status 2. ...
    """
    process = subprocess.run(
        # Isolated: no PYTHON variables, no folder of this script on the path.
        [sys.executable, "-I", os.path.join(_FOLDER, script)],
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
