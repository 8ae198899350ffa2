"""The extracted corpus on disk: compressed JSON lines, rebuilt at need."""

import contextlib
import gzip
import hashlib
import json
import os
import warnings
import zlib

from unilmv2_tf.datasets.corpus.cleaning import normalize
from unilmv2_tf.datasets.corpus.extraction import extract
from unilmv2_tf.datasets.corpus.packages import package_versions
from unilmv2_tf.filesystem import replacing

# To be raised whenever extraction, cleaning or the layout of the file change.
FORMAT = 1
_KEYS = {"package", "name", "text", "arguments"}
# What reading an absent, cut or altered file may raise.
_DAMAGE = (OSError, EOFError, ValueError, AttributeError, zlib.error)


def cache_folder():
    """Where the corpus is kept: `$UNILMV2_CACHE` or `~/.cache/unilmv2_tf`.

    Returns:
        A path, whether or not the folder exists.

    Example:

    >>> import os
    >>> os.path.isabs(cache_folder())
    True
    """
    folder = os.environ.get("UNILMV2_CACHE")
    folder = folder or os.path.join("~", ".cache", "unilmv2_tf")
    return os.path.abspath(os.path.expanduser(folder))


def cache_path():
    """The file of the corpus of the packages as they are installed now.

    Its name carries a digest of the packages' versions and of the format, so
    that an upgrade leads to a new file and never to a stale one.

    Returns:
        A path, whether or not the file exists.

    Example:

    >>> cache_path().endswith(".jsonl.gz")
    True
    """
    key = json.dumps([FORMAT, package_versions()])
    digest = hashlib.blake2b(key.encode("utf-8"), digest_size=8).hexdigest()
    return os.path.join(cache_folder(), f"docstrings-{digest}.jsonl.gz")


def load_corpus(progress=None):
    """The documents of the corpus, from the cache where there is one.

    Documents whose words are the same are kept once: the first in the order
    of the packages. They come in the order of a digest of their words, which
    mixes the packages and does not change between runs.

    A file that is cut short or altered is noticed by its checksum and built
    again. A folder that cannot be written costs the cache, not the corpus.

    Args:
        progress: callable of two integers: files read, files in all.
            Defaults to `None`.

    Returns:
        A list of dictionaries with the keys `package`, `name`, `text` and
        `arguments` (pairs: name, description).
    """
    path = cache_path()
    with contextlib.suppress(*_DAMAGE):
        return _read(path)
    documents = unique_documents(extract(progress=progress))
    try:
        _write(path, documents)
    except OSError as error:
        warnings.warn(
            f"The embedded corpus could not be cached ({error}), so that every "
            "process has to read it again. Set the environment variable "
            "UNILMV2_CACHE to a folder that can be written.",
            stacklevel=2,
        )
    return documents


def unique_documents(documents):
    """Drops repeated documents and puts the others in a fixed, mixed order.

    Args:
        documents: dictionaries with the keys `package` and `text`.

    Returns:
        A list of the same dictionaries.

    Example:

    >>> first = {"package": "keras", "text": "Adds two numbers."}
    >>> second = {"package": "numpy", "text": "adds `two` numbers"}
    >>> unique_documents([first, second]) == [first]
    True
    """
    kept = {}
    for document in documents:
        kept.setdefault(digest(normalize(document["text"])), document)
    return [kept[key] for key in sorted(kept)]


def digest(text):
    """An integer of 64 bits that depends on a text alone.

    Args:
        text: string.

    Returns:
        An integer, the same in every process and on every machine.

    Example:

    >>> digest("a") == digest("a"), digest("a") == digest("b")
    (True, False)
    """
    data = hashlib.blake2b(text.encode("utf-8"), digest_size=8).digest()
    return int.from_bytes(data, "big")


def _read(path):
    with gzip.open(path, "rt", encoding="utf-8") as file:
        header = json.loads(file.readline())
        documents = [json.loads(line) for line in file]
    if header != {"format": FORMAT, "documents": len(documents)}:
        raise ValueError(f"{path} is incomplete")
    if not all(document.keys() >= _KEYS for document in documents):
        raise ValueError(f"{path} lacks keys")
    return documents


def _write(path, documents):
    with (
        replacing(path) as temporary,
        open(temporary, "wb") as raw,
        # No time stamp and no name: the same corpus is the same file.
        gzip.GzipFile("", "wb", 6, raw, mtime=0) as file,
    ):
        header = {"format": FORMAT, "documents": len(documents)}
        for record in [header, *documents]:
            line = json.dumps(record, ensure_ascii=False) + "\n"
            file.write(line.encode("utf-8"))
