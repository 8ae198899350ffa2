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
from unilmv2_tf.datasets.docstring_cleaning import normalize
from unilmv2_tf.datasets.docstring_examples import by_split
from unilmv2_tf.datasets.docstring_examples import digest
from unilmv2_tf.datasets.docstring_extraction import extract
from unilmv2_tf.datasets.docstring_extraction import package_versions
from unilmv2_tf.datasets.splits import SPLITS
from unilmv2_tf.datasets.squad_files import questions_dataset
from unilmv2_tf.filesystem import replacing

# To be raised when extraction, cleaning or the cache file change.
_FORMAT = 2


# By what follows `docstrings:`; documents themselves need no function.
_EXAMPLES_OF = {
    "": None,
    # A small model learns it within minutes.
    "arguments": docstring_examples.argument_pairs_of,
    # Small models do not beat the first words of the body.
    "summaries": docstring_examples.summary_pairs_of,
    # Many docstrings of TensorFlow were copied from Keras: no model gets all.
    "packages": docstring_examples.package_texts_of,
    # Looking up the name finds most answers.
    "questions": docstring_examples.argument_questions_of,
}


def load_examples(name="", split="train"):
    """Loads the examples that `docstrings:NAME` stands for."""
    if split not in SPLITS:
        raise ValueError(
            "`split` must be 'train' or 'validation': the embedded corpus has "
            f"no other. Received: split={split!r}"
        )
    examples = _examples_by_split(cache_path(), name)[split]
    if name == "questions":
        return questions_dataset(
            [docstring_examples.question_record(*x) for x in examples]
        )
    # With the type, which TensorFlow cannot tell from an empty list.
    if not name:
        columns = {"text": tf.constant(examples, tf.string)}
        return tf.data.Dataset.from_tensor_slices(columns)
    sources, targets = (
        tf.constant([example[i] for example in examples], tf.string)
        for i in range(2)
    )
    if name == "packages":
        columns = {"text": sources}, targets
    else:
        columns = {"encoder_text": sources, "decoder_text": targets}
    return tf.data.Dataset.from_tensor_slices(columns)


def cache_path():
    """Returns the cache file for the packages as they are installed now."""
    folder = os.environ.get("UNILMV2_CACHE")
    folder = folder or os.path.join("~", ".cache", "unilmv2_tf")
    key = json.dumps([_FORMAT, package_versions()])
    name = hashlib.blake2b(key.encode("utf-8"), digest_size=8).hexdigest()
    return os.path.join(
        os.path.abspath(os.path.expanduser(folder)),
        f"docstrings-{name}.json.gz",
    )


@functools.lru_cache(maxsize=len(_EXAMPLES_OF))
def _examples_by_split(path, name):
    corpus = _corpus(path)
    if name:
        return by_split(corpus, _EXAMPLES_OF[name])
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
