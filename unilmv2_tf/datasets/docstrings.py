"""The embedded corpus: text that every installation already has.

The docstrings of the standard library and of the scientific packages that
this one depends on, read from their source files and never imported. A corpus
of natural, if technical, English for experiments without a download.

What the split protects against. Documents with the same words exist once.
Documents are assigned to a split by the words of their summary line: docstrings
that share it, as the copies of a function in another package or with another
signature do, are all in one split. Validation pairs come from validation
documents, and those whose source text (a description, a body) has the same
words as a source of training are dropped.

What it does not protect against. Two texts that differ in a word count as
different: descriptions that were copied and then edited, and functions that
were documented after the same pattern, stand on both sides. Scores on the
validation split say how well a model knows this family of texts, not how well
it knows English. Versions of the packages differ in 2 to 9% of their words, so
that scores are comparable between runs with the same packages only.
"""

import functools
import os
import sys

import rich.console
import rich.progress
import tensorflow as tf

from unilmv2_tf.datasets.corpus import cache
from unilmv2_tf.datasets.corpus.packages import PACKAGES
from unilmv2_tf.datasets.docstring_labels import package_texts_of
from unilmv2_tf.datasets.docstring_labels import topic_texts_of
from unilmv2_tf.datasets.docstring_pairs import SPLITS
from unilmv2_tf.datasets.docstring_pairs import argument_pairs_of
from unilmv2_tf.datasets.docstring_pairs import check_split
from unilmv2_tf.datasets.docstring_pairs import split_of
from unilmv2_tf.datasets.docstring_pairs import summary_pairs_of
from unilmv2_tf.datasets.docstring_questions import argument_questions_of
from unilmv2_tf.datasets.question_records import questions_dataset


def documents(split="train", max_words=None):
    """Docstrings as plain text, for pre-training and vocabularies.

    Args:
        split: string. `"train"` or `"validation"`. Defaults to `"train"`.
        max_words: int. Long documents are cut between paragraphs (and within
            longer ones) into passages of at most so many words. Defaults to
            `None`: whole documents.

    Returns:
        A `tf.data.Dataset` of `{"text": scalar string}`, of known length.

    Raises:
        ValueError: if there is no such split, or `max_words` is not positive.

    Example:

    >>> dataset = documents("validation")
    >>> dataset.element_spec["text"].shape, dataset.element_spec["text"].dtype
    (TensorShape([]), tf.string)
    >>> len(dataset) > 100
    True
    """
    check_split(split)
    if max_words is not None and max_words < 1:
        raise ValueError(
            "`max_words` must be a positive integer, or None for whole "
            f"documents. Received: max_words={max_words}"
        )
    texts = [document["text"] for document in _documents_by_split()[split]]
    if max_words is not None:
        texts = [part for text in texts for part in _passages(text, max_words)]
    return _dataset(text=texts)


def argument_pairs(split="train"):
    """Descriptions of arguments and the arguments' names.

    A task of sequence-to-sequence learning that a small model makes progress
    on within minutes: "Integer, the size of the vocabulary." ->
    "vocabulary_size".

    Args:
        split: string. `"train"` or `"validation"`. Defaults to `"train"`.

    Returns:
        A `tf.data.Dataset` of `{"encoder_text": description,
        "decoder_text": name}`, scalar strings, of known length.

    Raises:
        ValueError: if there is no such split.

    Example:

    >>> sorted(argument_pairs("validation").element_spec)
    ['decoder_text', 'encoder_text']
    """
    check_split(split)
    return _pairs_dataset(_derived("arguments")[split])


def summary_pairs(split="train"):
    """Bodies of docstrings and their summary lines.

    A hard task: small models trained from scratch for minutes do not beat
    the first words of the body, let alone its nearest neighbour.

    Args:
        split: string. `"train"` or `"validation"`. Defaults to `"train"`.

    Returns:
        A `tf.data.Dataset` of `{"encoder_text": body, "decoder_text":
        summary}`, scalar strings, of known length.

    Raises:
        ValueError: if there is no such split.

    Example:

    >>> sorted(summary_pairs("validation").element_spec)
    ['decoder_text', 'encoder_text']
    """
    check_split(split)
    return _pairs_dataset(_derived("summaries")[split])


def package_texts(split="train"):
    """What docstrings say and the packages they are from: nine classes.

    The text is what stands before the first section, at most 64 words, because
    sections show the style of a package. The names of all packages, with the
    short forms that code uses (np, tf), are taken out. Still a model can tell
    much from single words: see `unilmv2_tf.datasets.docstring_labels`.

    Args:
        split: string. `"train"` or `"validation"`. Defaults to `"train"`.

    Returns:
        A `tf.data.Dataset` of pairs: `{"text": scalar string}`, scalar string;
        of known length.

    Raises:
        ValueError: if there is no such split.

    Example:

    >>> record, label = package_texts("validation").element_spec
    >>> list(record), label.dtype
    (['text'], tf.string)
    """
    check_split(split)
    return _labelled_dataset(_derived("packages")[split])


def topic_texts(split="train"):
    """What the standard library's docstrings say and their topics: eight.

    The text is what stands before the first section, at most 64 words; the
    topic is that of the module: see `unilmv2_tf.datasets.docstring_labels`.

    Args:
        split: string. `"train"` or `"validation"`. Defaults to `"train"`.

    Returns:
        A `tf.data.Dataset` of pairs: `{"text": scalar string}`, scalar string;
        of known length.

    Raises:
        ValueError: if there is no such split.

    Example:

    >>> record, label = topic_texts("validation").element_spec
    >>> list(record), label.dtype
    (['text'], tf.string)
    """
    check_split(split)
    return _labelled_dataset(_derived("topics")[split])


def argument_questions(split="train"):
    """Questions for arguments, answered by spans of the documentation.

    "What is the argument axis of sum?" is answered by the description of the
    argument in the documentation of the function. A lookup of the name finds
    most answers: it shows that span selection works, not that a model
    understands.

    Args:
        split: string. `"train"` or `"validation"`. Defaults to `"train"`.

    Returns:
        A `tf.data.Dataset` as `load_questions` returns it, of known length;
        all questions have one answer.

    Raises:
        ValueError: if there is no such split.

    Example:

    >>> sorted(argument_questions("validation").element_spec)
    ['answer_starts', 'answer_texts', 'context', 'id', 'question']
    """
    check_split(split)
    return questions_dataset(_derived("questions")[split])


def statistics():
    """Counts over the corpus as it is on this machine.

    Returns:
        A dictionary: `documents`, `words`, `bytes`, `argument_pairs` and
        `summary_pairs`, each a dictionary from split to integer;
        `packages`, from package to its number of documents in both splits
        (0 where the package is absent); `cache_path` and `cache_bytes`
        (0 where the cache could not be written).

    Example:

    >>> sorted(statistics()["documents"])
    ['train', 'validation']
    """
    by_split = _documents_by_split()
    texts = {
        split: [document["text"] for document in by_split[split]]
        for split in SPLITS
    }
    packages = dict.fromkeys(PACKAGES, 0)
    for document in _corpus():
        packages[document["package"]] += 1
    path = cache.cache_path()
    return {
        "documents": {split: len(texts[split]) for split in SPLITS},
        "words": {
            split: sum(len(text.split()) for text in texts[split])
            for split in SPLITS
        },
        "bytes": {
            split: sum(len(text.encode("utf-8")) for text in texts[split])
            for split in SPLITS
        },
        "argument_pairs": {
            split: len(_derived("arguments")[split]) for split in SPLITS
        },
        "summary_pairs": {
            split: len(_derived("summaries")[split]) for split in SPLITS
        },
        "packages": packages,
        "cache_path": path,
        "cache_bytes": os.path.getsize(path) if os.path.exists(path) else 0,
    }


def describe():
    """The corpus in one paragraph, for people.

    Returns:
        A string.

    Example:

    >>> describe().startswith("The embedded corpus holds")
    True
    """
    counts = statistics()
    present = [
        f"{name} ({number:,})"
        for name, number in counts["packages"].items()
        if number
    ]
    absent = [name for name, number in counts["packages"].items() if not number]
    train, validation = ({k: counts[k][s] for k in _COUNTED} for s in SPLITS)
    return (
        f"The embedded corpus holds {train['documents']:,} docstrings for "
        f"training ({train['words']:,} words, {train['bytes'] / 1e6:.1f} MB) "
        f"and {validation['documents']:,} for validation "
        f"({validation['words']:,} words), read from the sources of "
        f"{', '.join(present)}"
        f"{'; absent here: ' + ', '.join(absent) if absent else ''}. "
        f"They give {train['argument_pairs']:,} + "
        f"{validation['argument_pairs']:,} pairs of an argument's description "
        f"and its name, and {train['summary_pairs']:,} + "
        f"{validation['summary_pairs']:,} pairs of a body and its summary. "
        f"Cached in {counts['cache_path']} "
        f"({counts['cache_bytes'] / 1e6:.1f} MB)."
    )


_COUNTED = ("documents", "words", "bytes", "argument_pairs", "summary_pairs")


def _corpus():
    return _load(cache.cache_path())


@functools.lru_cache(maxsize=1)
def _load(path):
    # The path changes with the packages and with `$UNILMV2_CACHE`.
    del path
    bar = rich.progress.Progress(
        console=rich.console.Console(stderr=True),
        disable=not sys.stderr.isatty(),
        transient=True,
    )
    with bar:
        task = bar.add_task("Reading docstrings", total=None, visible=False)

        def show(done, total):
            bar.update(task, completed=done, total=total, visible=True)

        return cache.load_corpus(show)


def _documents_by_split():
    return _split(cache.cache_path())


@functools.lru_cache(maxsize=1)
def _split(path):
    by_split = {split: [] for split in SPLITS}
    for document in _load(path):
        by_split[split_of(document)].append(document)
    return by_split


def _derived(kind):
    return _derive(cache.cache_path(), kind)


_DERIVATIONS = {
    "arguments": argument_pairs_of,
    "summaries": summary_pairs_of,
    "packages": package_texts_of,
    "topics": topic_texts_of,
    "questions": argument_questions_of,
}


@functools.lru_cache(maxsize=len(_DERIVATIONS))
def _derive(path, kind):
    return _DERIVATIONS[kind](_load(path))


def _pairs_dataset(pairs):
    return _dataset(
        encoder_text=[source for source, _ in pairs],
        decoder_text=[target for _, target in pairs],
    )


def _labelled_dataset(examples):
    texts = _dataset(text=[text for text, _ in examples])
    labels = tf.constant([label for _, label in examples], tf.string)
    return tf.data.Dataset.zip(
        texts, tf.data.Dataset.from_tensor_slices(labels)
    )


def _dataset(**columns):
    return tf.data.Dataset.from_tensor_slices(
        {key: tf.constant(texts, tf.string) for key, texts in columns.items()}
    )


def _passages(text, max_words):
    passage, count = [], 0
    for paragraph in text.split("\n\n"):
        words = len(paragraph.split())
        if passage and count + words > max_words:
            yield "\n\n".join(passage)
            passage, count = [], 0
        if words <= max_words:
            passage.append(paragraph)
            count += words
        else:
            pieces = paragraph.split()
            for start in range(0, words, max_words):
                yield " ".join(pieces[start : start + max_words])
    if passage:
        yield "\n\n".join(passage)
