"""The settings of a run, kept beside its output and compared on a resume."""

import dataclasses
import glob
import json
import os

from unilmv2_tf.filesystem import write_text


def recorded_settings(args):
    """The fields of a dataclass of arguments that determine the result."""
    return {
        field.name: getattr(args, field.name)
        for field in dataclasses.fields(args)
        if field.name not in args.MAY_CHANGE
    }


def check_same_settings(output, settings):
    """Writes `settings.json`, or compares with those of an interrupted run."""
    path = os.path.join(output, "settings.json")
    # A start that was refused leaves its settings and nothing to resume.
    if not os.path.exists(path) or not _has_state(output):
        write_text(path, json.dumps(settings, indent=2) + "\n")
        return
    changed = changed_settings(path, settings)
    if changed:
        raise ValueError(
            "`output` holds a run with other settings. Received: "
            f"output={output}, started with {', '.join(changed)}. Choose "
            "another folder, or the settings it was started with."
        )


def _has_state(output):
    patterns = ("**/checkpoints/*", "**/preset/*", "**/result.json", "*.lines")
    return any(
        glob.glob(os.path.join(glob.escape(output), pattern), recursive=True)
        for pattern in patterns
    )


def changed_settings(path, settings):
    """Lists the settings that differ from those in a file, as `a=1 (now 2)`."""
    try:
        with open(path, encoding="utf-8") as file:
            earlier = json.load(file)
    except ValueError as error:
        raise ValueError(
            f"{path} is damaged ({error}). Delete it to resume with the "
            "present settings, if they are the same as before."
        ) from None
    # As JSON has them, which knows no tuples.
    settings = json.loads(json.dumps(settings))
    return [
        f"{name}={value!r} (now {settings.get(name)!r})"
        for name, value in earlier.items()
        if settings.get(name) != value
    ]
