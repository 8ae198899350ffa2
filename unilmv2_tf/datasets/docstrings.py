"""The embedded corpus: docstrings that every installation already has.

Those of the standard library and of the scientific packages that this one
depends on, read from their source files and never imported: natural, if
technical, English for experiments without a download: `docstrings:` in the
grammar of data arguments. Read once, then cached in `$UNILMV2_CACHE` or
`~/.cache/unilmv2_tf`.

Versions of the packages differ in 2 to 9% of their words, so that scores are
comparable between runs with the same packages only. See
`docstring_examples.py` for the split.
"""

import functools
import gzip
import hashlib
import json
import os
import sys
import warnings
import zlib

import tensorflow as tf

from unilmv2_tf.datasets import docstring_examples
from unilmv2_tf.datasets.corpus.docstring_cleaning import normalize
from unilmv2_tf.datasets.corpus.docstring_extraction import extract
from unilmv2_tf.datasets.corpus.docstring_extraction import package_versions
from unilmv2_tf.datasets.docstring_examples import by_split
from unilmv2_tf.datasets.docstring_examples import digest
from unilmv2_tf.datasets.splits import SPLITS
from unilmv2_tf.datasets.squad_files import questions_dataset
from unilmv2_tf.filesystem import replacing

# To be raised when extraction, cleaning or the cache file change.
_FORMAT = 2


def documents(split="train"):
    """Loads docstrings as plain text, `{"text"}`."""
    texts = _strings(_examples("documents", split))
    return tf.data.Dataset.from_tensor_slices({"text": texts})


def argument_pairs(split="train"):
    """Loads descriptions of arguments with the names of the arguments.

    A task that a small model learns within minutes:
    "Integer, the size of the vocabulary." -> "vocabulary_size".
    """
    return _pairs_dataset("argument_pairs", split)


def summary_pairs(split="train"):
    """Loads bodies of docstrings with their summary lines.

    A hard task: small models trained from scratch for minutes do not beat
    the first words of the body.
    """
    return _pairs_dataset("summary_pairs", split)


def package_texts(split="train"):
    """Loads docstrings with the packages they come from, nine classes.

    The text is at most 64 words before the first section, because sections
    show the style of a package, without the names of packages and their short
    forms (np, tf). Many docstrings of TensorFlow were copied from Keras, so
    that no model gets all right.
    """
    texts, packages = _columns("package_texts", split)
    return tf.data.Dataset.from_tensor_slices(({"text": texts}, packages))


def argument_questions(split="train"):
    """Loads questions about arguments, answered by spans of docstrings.

    "What is the argument axis of sum?" is answered by the description of the
    argument. Looking up the name finds most answers: the task shows that span
    selection works, not that a model understands.
    """
    examples = _examples("argument_questions", split)
    return questions_dataset(
        [docstring_examples.question_record(*example) for example in examples]
    )


def cache_path():
    """Returns the cache file for the packages as they are installed now.

    Its name has a digest of their versions: an upgrade makes a new file.
    """
    folder = os.environ.get("UNILMV2_CACHE")
    folder = folder or os.path.join("~", ".cache", "unilmv2_tf")
    key = json.dumps([_FORMAT, package_versions()])
    name = hashlib.blake2b(key.encode("utf-8"), digest_size=8).hexdigest()
    return os.path.join(
        os.path.abspath(os.path.expanduser(folder)),
        f"docstrings-{name}.json.gz",
    )


_EXAMPLES_OF = {
    "argument_pairs": docstring_examples.argument_pairs_of,
    "summary_pairs": docstring_examples.summary_pairs_of,
    "package_texts": docstring_examples.package_texts_of,
    "argument_questions": docstring_examples.argument_questions_of,
}


def _examples(kind, split):
    if split not in SPLITS:
        raise ValueError(
            "`split` must be 'train' or 'validation': the embedded corpus has "
            f"no other. Received: split={split!r}"
        )
    return _examples_by_split(cache_path(), kind)[split]


@functools.lru_cache(maxsize=len(_EXAMPLES_OF) + 1)
def _examples_by_split(path, kind):
    corpus = _corpus(path)
    if kind != "documents":
        return by_split(corpus, _EXAMPLES_OF[kind])
    texts = {split: [] for split in SPLITS}
    for document in corpus:
        texts[docstring_examples.split_of(document)].append(document["text"])
    return texts


# By path, which changes with the packages and with `$UNILMV2_CACHE`.
@functools.lru_cache(maxsize=1)
def _corpus(path):
    """Returns the documents of the corpus, from the cache if possible."""
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            return json.load(file)
    # Absent, or damaged: gzip has a checksum.
    except (OSError, EOFError, ValueError, zlib.error):
        pass
    print("Reading docstrings of installed packages, once", file=sys.stderr)
    corpus = unique_documents(extract())
    try:
        with (
            replacing(path) as temporary,
            gzip.open(temporary, "wt", encoding="utf-8") as file,
        ):
            json.dump(corpus, file, ensure_ascii=False)
    except OSError as error:
        warnings.warn(
            f"The embedded corpus could not be cached ({error}), so that every "
            "process has to read it again. Set the environment variable "
            "UNILMV2_CACHE to a folder that can be written.",
            stacklevel=2,
        )
    return corpus


def unique_documents(corpus):
    """Keeps the first document with the same words, in a mixed, fixed order."""
    kept = {}
    for document in corpus:
        kept.setdefault(digest(normalize(document["text"])), document)
    return [kept[key] for key in sorted(kept)]


def _pairs_dataset(kind, split):
    sources, targets = _columns(kind, split)
    return tf.data.Dataset.from_tensor_slices(
        {"encoder_text": sources, "decoder_text": targets}
    )


def _columns(kind, split):
    examples = _examples(kind, split)
    return [_strings([example[i] for example in examples]) for i in range(2)]


def _strings(texts):
    # With the type, which TensorFlow cannot tell from an empty list.
    return tf.constant(texts, tf.string)
