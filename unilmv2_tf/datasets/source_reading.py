"""Reads one source of a data argument, and joins several."""

import itertools
import os
import re

import tensorflow as tf

from unilmv2_tf.datasets import docstrings
from unilmv2_tf.datasets import record_files
from unilmv2_tf.datasets import squad_files
from unilmv2_tf.datasets import text_files
from unilmv2_tf.datasets import tfds_data
from unilmv2_tf.datasets.splits import SPLITS
from unilmv2_tf.datasets.splits import take_split

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(.*)", re.DOTALL)
_DOCUMENTS_AT_ONCE = 64
_TFDS_READERS = {
    "documents": tfds_data.read_documents,
    "pairs": tfds_data.read_pairs,
    "labeled examples": tfds_data.read_labeled,
    "questions": tfds_data.read_questions,
}
# By kind: what follows `docstrings:`.
_DOCSTRINGS = {
    "documents": ("",),
    "pairs": ("arguments", "summaries", "questions"),
    "labeled examples": ("packages",),
    "questions": ("questions",),
}


def _read_file(path, kind, options):
    if kind == "documents":
        return _documents_of_file(path)
    if kind == "questions":
        return squad_files.questions_dataset(
            squad_files.read_squad_file(path, **options)
        )
    if kind == "pairs":
        columns = record_files.read_pairs_file(path, **options)
        return tf.data.Dataset.from_tensor_slices(columns)
    columns = record_files.read_labeled_file(path, **options)
    if "label" in columns:
        labels = columns.pop("label")
        return tf.data.Dataset.from_tensor_slices((columns, labels))
    labels = tf.ragged.constant(columns.pop("labels"), tf.string, ragged_rank=1)
    # Ragged slices become tensors, as load_labeled describes them.
    return tf.data.Dataset.from_tensor_slices((columns, labels)).map(
        lambda record, labels: (record, tf.identity(labels))
    )


def check_documents(path):
    """Checks extension and quotes of a file of documents."""
    if text_files.extension_of(path, "documents") == ".tsv":
        remedy = "Write it as JSON lines, or without quotes"
        record_files.check_quotes(path, remedy, text_files.MAX_TEXT_BYTES)


def _documents_of_file(path):
    check_documents(path)
    # The first pass finds what is wrong, which inside a dataset would be
    # reported late and as an error of TensorFlow.
    count = sum(is_start for _, is_start in text_files.read_texts(path))
    if not count:
        raise ValueError(f"{path} is empty: it has no documents")

    def batches():
        documents = text_files.read_documents(path)
        while batch := list(itertools.islice(documents, _DOCUMENTS_AT_ONCE)):
            yield {"text": batch}

    # A call of Python for each document would take 0.4 ms.
    dataset = tf.data.Dataset.from_generator(
        batches, output_signature={"text": tf.TensorSpec((None,), tf.string)}
    )
    return dataset.unbatch().apply(
        tf.data.experimental.assert_cardinality(count)
    )


def load_one(one, split, kind, finish=None, **options):
    """Loads a source; `finish` is applied to it before it is split."""
    scheme, name = split_scheme(one)
    has_split = split is None
    if scheme == "docstrings":
        check_docstrings(one, name, kind)
        dataset = docstrings.load_examples(name, split or "train")
        has_split = True
    elif scheme == "tfds":
        name, named = tfds_data.split_place(name)
        builder = tfds_data.open_builder(name)
        chosen, has_split = tfds_data.choose_split(name, builder, named, split)
        dataset = _TFDS_READERS[kind](name, builder, chosen)
    else:
        paths = text_files.find_files(name)
        for path in paths:
            text_files.extension_of(path, kind)
        dataset = _join(
            paths, [_read_file(path, kind, options) for path in paths]
        )
    if finish is not None:
        dataset = finish(one, dataset)
    return dataset if has_split else take_split(one, dataset, split)


def split_scheme(source):
    """Splits a source into scheme and name; the scheme of a path is empty."""
    if not isinstance(source, str | os.PathLike):
        raise ValueError(
            "`source` must be a string, a path or a list of them. "
            f"Received: source={source!r} of type {type(source).__name__}"
        )
    source = os.fspath(source)
    scheme = _SCHEME.fullmatch(source)
    if not scheme or os.path.exists(source):
        return "", source
    if scheme[1] not in ("docstrings", "tfds"):
        raise ValueError(
            f"{source!r} begins with the unknown scheme '{scheme[1]}:'. Known: "
            "docstrings: and docstrings:KIND (the embedded corpus), "
            "tfds:NAME/CONFIG:SPLIT, and paths that end in .txt, .jsonl, .tsv "
            "or .json"
        )
    return scheme[1], scheme[2]


def check_docstrings(source, name, kind="documents"):
    """Checks that the embedded corpus has `name` of a kind."""
    if name not in _DOCSTRINGS[kind]:
        known = [f"docstrings:{name}" for name in _DOCSTRINGS[kind]]
        raise ValueError(
            f"{source!r} holds no {kind}. In the embedded corpus these are in "
            f"{', '.join(known)}"
        )


def load_all(source, split, load):
    """Loads each source with a function and joins the datasets."""
    if split is not None and split not in SPLITS:
        raise ValueError(
            "`split` must be 'train', 'validation' or None. "
            f"Received: split={split!r}"
        )
    sources = list_sources(source)
    return _join(sources, [load(one) for one in sources])


def list_sources(source):
    sources = list(source) if isinstance(source, list | tuple) else [source]
    if not sources:
        raise ValueError(
            "`source` must name at least one file or corpus. Received: "
            f"source={source!r}"
        )
    return sources


def _join(names, datasets):
    joined = datasets[0]
    for name, dataset in zip(names[1:], datasets[1:]):
        if dataset.element_spec != joined.element_spec:
            raise ValueError(
                "`source` must name sources of one kind of record. Received: "
                f"{names[0]} with {_columns_of(joined)}, "
                f"{name} with {_columns_of(dataset)}. Labels of files "
                "can be made of one kind with --task classify or regress"
            )
        joined = joined.concatenate(dataset)
    return joined


def _columns_of(dataset):
    spec = dataset.element_spec
    record, *label = spec if isinstance(spec, tuple) else (spec,)
    types = [f"labels of type {spec.dtype.name}" for spec in label]
    return " and ".join([", ".join(record), *types])
