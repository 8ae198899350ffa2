"""Arrays of numbers and strings in one .npz file, without pickles.

This file is imported in processes without this package, too.
"""

import json

import numpy as np


def save(path, arrays, notes):
    """Writes a file.

    Args:
        path: string. It ends in `.npz`.
        arrays: dict of arrays of numbers, and of nested lists, or arrays of
            objects, of strings or bytes.
        notes: what else is to be known, for JSON.

    Example:

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "a.npz")
    >>> save(path, {"x": [["a", "b\\0"]]}, {"n": 1})
    >>> arrays, notes = load(path)
    >>> arrays["x"].tolist(), notes
    ([[b'a', b'b\\x00']], {'n': 1})
    """
    stored = {"notes": _as_bytes(json.dumps(notes).encode())}
    for name, values in arrays.items():
        # Not as NumPy's own strings, which lose NULs at their ends.
        is_text = not isinstance(values, np.ndarray) or values.dtype == object
        if is_text:
            values = np.asarray(values, object)
            strings = [
                text.encode() if isinstance(text, str) else text
                for text in values.reshape(-1)
            ]
            stored[f"{name}#bytes"] = _as_bytes(b"".join(strings))
            lengths = np.array([len(text) for text in strings], "int64")
            stored[f"{name}#lengths"] = lengths
            stored[f"{name}#shape"] = np.array(values.shape, "int64")
        else:
            stored[name] = values
    np.savez_compressed(path, **stored)


def load(path):
    """Reads what `save` wrote.

    Args:
        path: string.

    Returns:
        A tuple of the arrays, strings as object arrays of bytes, and the
        notes.
    """
    arrays = {}
    with np.load(path, allow_pickle=False) as file:
        notes = json.loads(file["notes"].tobytes())
        for name in file.files:
            base, _, part = name.partition("#")
            if part == "bytes":
                arrays[base] = _strings(
                    file[name].tobytes(),
                    file[f"{base}#lengths"],
                    file[f"{base}#shape"],
                )
            elif not part and name != "notes":
                arrays[name] = file[name]
    return arrays, notes


def _as_bytes(data):
    return np.frombuffer(data, "uint8")


def _strings(data, lengths, shape):
    strings = np.empty(len(lengths), object)
    ends = np.cumsum(lengths)
    for index, (length, end) in enumerate(zip(lengths, ends)):
        strings[index] = data[end - length : end]
    return strings.reshape(shape)
