"""Where answers go: to stdout, or to a file that survives being killed."""

import json
import os
import sys

from unilmv2_tf.filesystem import write_text
from unilmv2_tf.inference.sources import source_text
from unilmv2_tf.plots import format_ranked
from unilmv2_tf.run_settings import changed_settings

# What answers are written in, by the extension of the file.
EXTENSIONS = (".txt", ".jsonl")


def text_line(record, answers):
    """The best answer to a source.

    Args:
        record: dict with `src`.
        answers: list of pairs of text and score, best first.

    Returns:
        A string, a line with its end.

    Example:

    >>> text_line({"src": "a fox jumped"}, [("a fox", -0.5)])
    'a fox\\n'
    """
    return answers[0][0] + "\n"


def ranked_lines(record, answers):
    """All answers to a source, for people.

    Args:
        record: dict with `src`.
        answers: list of pairs of text and score, best first.

    Returns:
        A string of several lines, the last of them empty.

    Example:

    >>> print(ranked_lines({"src": "a fox jumped"}, [("a fox", -0.5)]))
    a fox jumped
      -0.500  a fox
    <BLANKLINE>
    """
    texts, scores = zip(*answers)
    return format_ranked(source_text(record), texts, scores) + "\n\n"


def json_line(record, answers):
    """A source and its answers as JSON.

    Args:
        record: dict with `src`, and whatever else.
        answers: list of pairs of text and score, best first.

    Returns:
        A string, a line with its end.

    Example:

    >>> print(json_line({"id": 7, "src": "a fox jumped"}, [("a fox", None)]))
    {"id": 7, "src": "a fox jumped", "prediction": "a fox"}
    <BLANKLINE>
    """
    record = {**record, "prediction": answers[0][0]}
    if len(answers) > 1:
        record["predictions"] = [
            {"text": text, "score": round(score, 6)} for text, score in answers
        ]
    line = json.dumps(record, ensure_ascii=False) + "\n"
    try:
        line.encode("utf-8")
    except UnicodeEncodeError:
        # Half of a surrogate pair under another key.
        line = json.dumps(record) + "\n"
    return line


class StreamAnswers:
    """Writes answers to stdout as they come, until nobody reads any more.

    Args:
        format_answers: `text_line` or `ranked_lines`.
    """

    num_done = 0
    how_to_go_on = ""

    def __init__(self, format_answers):
        self.format_answers = format_answers
        # Progress bars put something else in its place.
        self._file = sys.stdout

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if error[0] is not BrokenPipeError:
            return False
        # Python would try to write the rest when it ends.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._file.fileno())
        os.close(nowhere)
        return True

    def write(self, records, answers):
        """Writes the answers to some sources, at once.

        Args:
            records: list of dicts with `src`.
            answers: list of as many lists of pairs of text and score.
        """
        self._file.write("".join(map(self.format_answers, records, answers)))
        self._file.flush()


class FileAnswers:
    """Writes answers to a file that appears when all are there.

    Until then they are in `PATH.part`, beside it `PATH.part.json`, which says
    what they were made with. If they are there already, they go on.

    Args:
        path: string. It ends in one of `EXTENSIONS`.
        settings: dict. What determines the answers.
        num_sources: int. How many there will be, or `None` for those of a
            stream, which cannot go on.
        chunk_size: int. Answers are kept in multiples of it, so that those that
            are computed together are the same in any case.
        overwrite: bool. Whether to begin anew. Defaults to `False`.

    Raises:
        ValueError: if what was begun there can't go on with these settings.
    """

    def __init__(
        self, path, settings, num_sources, chunk_size, overwrite=False
    ):
        self.path = path
        self.format_answers = (
            text_line if path.lower().endswith(".txt") else json_line
        )
        self._part, self._settings = f"{path}.part", f"{path}.part.json"
        self.how_to_go_on = (
            "; they are kept, and the same command goes on after them"
        )
        self.num_done = 0
        is_begun = not overwrite and os.path.exists(self._part)
        if is_begun:
            self._check_goes_on(settings, num_sources)
            self.num_done = self._keep_whole_chunks(num_sources, chunk_size)
        else:
            folder = os.path.dirname(os.path.abspath(path))
            os.makedirs(folder, exist_ok=True)
            write_text(self._settings, json.dumps(settings, indent=2) + "\n")
        mode = "a" if is_begun else "w"
        self._file = open(self._part, mode, encoding="utf-8", newline="\n")

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._file.close()
        if error[0] is None:
            os.replace(self._part, self.path)
            os.remove(self._settings)

    def write(self, records, answers):
        """Writes the answers to some sources, so that they survive a kill.

        Args:
            records: list of dicts with `src`.
            answers: list of as many lists of pairs of text and score.
        """
        self._file.write("".join(map(self.format_answers, records, answers)))
        self._file.flush()

    def _check_goes_on(self, settings, num_sources):
        remedy = (
            "Delete them, choose another `output`, or begin anew with "
            "--overwrite true."
        )
        received = f"Received: output={self.path}"
        if num_sources is None:
            raise ValueError(
                f"{self._part} holds answers of an earlier run, and a stream "
                f"cannot be gone on with. {received}. {remedy}"
            )
        if not os.path.exists(self._settings):
            raise ValueError(
                f"{self._part} holds answers, but nothing says what they were "
                f"made with. {received}. {remedy}"
            )
        changed = changed_settings(self._settings, settings)
        if changed:
            raise ValueError(
                f"{self._part} holds answers that were made with other "
                f"settings. {received}, begun with {', '.join(changed)}. Take "
                f"these again to go on. {remedy}"
            )

    def _keep_whole_chunks(self, num_sources, chunk_size):
        ends = [0]
        with open(self._part, "rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    ends.append(ends[-1] + len(line))
        num_done = len(ends) - 1
        if num_done < num_sources:
            num_done -= num_done % chunk_size
        os.truncate(self._part, ends[num_done])
        return num_done


def check_output(path, overwrite):
    """Checks that answers can be written to a file.

    Args:
        path: string.
        overwrite: bool. Whether a file that is there may be replaced.

    Raises:
        ValueError: if the file exists, or has another extension.
        IsADirectoryError: if it is a folder.

    Example:

    >>> check_output("answers.jsonl", overwrite=False)
    """
    if os.path.isdir(path):
        raise IsADirectoryError(f"`output` must be a file. Received: {path}")
    if os.path.splitext(path)[1].lower() not in EXTENSIONS:
        raise ValueError(
            f"`output` must end in {' or '.join(EXTENSIONS)}, or be - for "
            f"stdout. Received: output={path}"
        )
    if os.path.exists(path) and not overwrite:
        raise ValueError(
            f"`output` exists. Received: output={path}. Choose another, or "
            "replace it with --overwrite true."
        )
