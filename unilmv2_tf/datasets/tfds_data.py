"""Datasets of TensorFlow Datasets: `tfds:NAME/CONFIG:SPLIT`.

Data must be prepared with `tfds build NAME`; nothing is downloaded here.
`tensorflow_datasets` takes seconds to import, so functions import it.
"""

import tensorflow as tf

from unilmv2_tf.datasets.glue import find_glue_task
from unilmv2_tf.datasets.record_files import TEXT_KEYS

_QUESTION_FEATURES = ("id", "question", "context", "answers")
_ANSWER_FEATURES = ("text", "answer_start")
_ID_FEATURE = "idx"


def open_builder(name, data_dir=None):
    """Returns the builder of `NAME` or `NAME/CONFIG`."""
    import tensorflow_datasets as tfds

    try:
        return tfds.builder(name, data_dir=data_dir)
    # Not registered, no such configuration, unreadable version.
    except (ValueError, ImportError, AssertionError, KeyError) as error:
        reason = str(error).strip().split("\n")[0]
        raise ValueError(
            f"tfds:{name} is not a dataset that TensorFlow Datasets knows, nor "
            f"one prepared under {data_dir or 'its folder'}: {reason}"
        ) from None


def _absent_data(name, builder):
    return FileNotFoundError(
        f"The data of tfds:{name} are not in {builder.data_dir_root}. Get "
        f"them with: tfds build {name} (a download), or name the folder that "
        "has them in TFDS_DATA_DIR (or with --data_dir, where there is one)"
    )


def split_place(place):
    """Splits `NAME/CONFIG:SPLIT` into name and split."""
    name, _, split = place.partition(":")
    return name, split


def choose_split(name, builder, named, split):
    """Chooses which of its own splits of a dataset to read for a split."""
    if named:
        return named, split is None
    task = find_glue_task(f"tfds:{name}")
    # Before a dataset is prepared its splits are unknown.
    splits = list(builder.info.splits) or ["train", "validation"]
    if task:
        train = [task.train_split] if task.train_split else []
        splits = [*train, *task.validation_splits, *task.test_splits]
    train = "train" if "train" in splits else None
    validation = next(
        (other for other in splits if other.startswith("validation")), None
    )
    if split is None:
        return train or splits[0], True
    if split == "validation" and validation:
        return validation, True
    if not train:
        raise ValueError(
            f"tfds:{name} has no split for {split}: it has {', '.join(splits)}."
            f" Name one of them, as in tfds:{name}:{splits[0]}"
        )
    return train, validation is not None


def _read_instructions(name, split, splits):
    import tensorflow_datasets as tfds

    try:
        return tfds.core.ReadInstruction.from_spec(split).to_absolute(splits)
    except (ValueError, KeyError, AssertionError, NotImplementedError):
        raise ValueError(
            f"tfds:{name} has no split {split!r}. It has "
            f"{', '.join(splits)}; slices are such as train[:10%]"
        ) from None


def read_examples(name, builder, split, keys):
    """Reads some features of a split (or slice, or sum) in file order."""
    import tensorflow_datasets as tfds

    if builder.info.splits:
        _read_instructions(name, split, builder.info.splits)
    try:
        return builder.as_dataset(
            split=split,
            shuffle_files=False,
            decoders=tfds.decode.PartialDecoding(dict.fromkeys(keys, True)),
            read_config=tfds.ReadConfig(
                interleave_cycle_length=1, try_autocache=False
            ),
        )
    # TFDS raises this where there is no folder of the dataset.
    except AssertionError:
        raise _absent_data(name, builder) from None


def find_ranges(place, data_dir=None, text_key="text"):
    """Returns the ranges of examples that `NAME:SPLIT` stands for."""
    name, split = split_place(place)
    builder = open_builder(name, data_dir)
    splits = builder.info.splits
    if not splits or not splits.total_num_examples:
        raise _absent_data(name, builder)
    _check_text_feature(name, builder, text_key)
    ranges = []
    for part in _read_instructions(name, split or "train", splits):
        whole = splits[part.splitname]
        start = part.from_ or 0
        end = whole.num_examples if part.to is None else part.to
        num_bytes = whole.num_bytes * (end - start) // whole.num_examples
        ranges.append((part.splitname, start, end, num_bytes))
    return ranges


def _check_text_feature(name, builder, key):
    import tensorflow_datasets as tfds

    features = builder.info.features
    if not isinstance(dict(features.items()).get(key), tfds.features.Text):
        raise ValueError(
            f"`text_key` must name a text feature of tfds:{name}, which has "
            f"{', '.join(sorted(features))}. Received: text_key={key!r}"
        )


def read_documents(name, builder, split, text_key="text"):
    """Reads `{"text"}`; texts of wiki40b lose its markers."""
    _check_text_feature(name, builder, text_key)
    is_wiki40b = name.partition("/")[0] == "wiki40b"

    def to_record(example):
        text = example[text_key]
        return {"text": clean_wiki40b(text) if is_wiki40b else text}

    return read_examples(name, builder, split, [text_key]).map(to_record)


def clean_wiki40b(texts):
    """Removes the structure markers of wiki40b."""
    texts = tf.strings.regex_replace(
        texts, r"\s*_START_(ARTICLE|SECTION|PARAGRAPH)_\s*", "\n"
    )
    return tf.strings.strip(tf.strings.regex_replace(texts, "_NEWLINE_", "\n"))


def read_pairs(name, builder, split):
    """Reads `{"encoder_text", "decoder_text"}`: the two supervised keys."""
    import tensorflow_datasets as tfds

    features = dict(builder.info.features.items())
    keys = builder.info.supervised_keys or ()
    texts = [
        key for key in keys if isinstance(features.get(key), tfds.features.Text)
    ]
    if len(texts) != 2 or len(keys) != 2:
        raise ValueError(
            f"tfds:{name} is no dataset of pairs of texts: its supervised keys "
            f"must be two texts, as those of xsum are. It has {keys or None}; "
            "write what you want of it to a .tsv or .jsonl file"
        )
    return read_examples(name, builder, split, texts).map(
        lambda example: {
            "encoder_text": example[texts[0]],
            "decoder_text": example[texts[1]],
        }
    )


def find_labeled_columns(name, builder):
    """Finds the texts and the label of a dataset's examples."""
    import tensorflow_datasets as tfds

    task = find_glue_task(f"tfds:{name}")
    if task:
        names = task.label_names
        return list(task.text_keys), "label", names and list(names)
    features = dict(builder.info.features.items())

    def of_type(feature_type):
        return [
            key
            for key, feature in features.items()
            if isinstance(feature, feature_type)
        ]

    labels = of_type(tfds.features.ClassLabel)
    texts = of_type(tfds.features.Text)
    supervised = builder.info.supervised_keys
    if supervised and supervised[0] in texts and supervised[1] in labels:
        texts, labels = [supervised[0]], [supervised[1]]
    if len(labels) != 1 or len(texts) not in TEXT_KEYS:
        raise ValueError(
            f"tfds:{name} is no dataset of labeled texts: it must have one "
            f"class label, and one text or two. It has {len(labels)} "
            f"class labels ({', '.join(labels) or 'none'}) and {len(texts)} "
            f"texts ({', '.join(texts) or 'none'}). Write what you want of it "
            "to a .tsv or .jsonl file"
        )
    return texts, labels[0], list(features[labels[0]].names)


def read_labeled(name, builder, split):
    """Reads pairs of a record and its label, as `load_labeled` returns them."""
    texts, label_key, names = find_labeled_columns(name, builder)
    has_id = _ID_FEATURE in builder.info.features
    keys = [*texts, label_key, *([_ID_FEATURE] if has_id else [])]

    def to_record(example):
        record = {
            key: example[original]
            for key, original in zip(TEXT_KEYS[len(texts)], texts)
        }
        if has_id:
            record["id"] = tf.cast(example[_ID_FEATURE], tf.int64)
        label = example[label_key]
        # Test splits have -1 where the benchmark keeps the label.
        is_known = label >= 0
        if names is None:
            return record, tf.where(
                is_known, tf.cast(label, tf.float32), float("nan")
            )
        label = tf.where(is_known, label, tf.cast(len(names), label.dtype))
        return record, tf.gather(tf.constant([*names, ""]), label)

    return read_examples(name, builder, split, keys).map(to_record)


def missing_question_features(builder):
    """Returns which features of SQuAD a dataset lacks."""
    features = builder.info.features
    missing = [key for key in _QUESTION_FEATURES if key not in features]
    if missing:
        return missing
    answers = features["answers"]
    inner = getattr(answers, "feature", answers)
    return [f"answers/{key}" for key in _ANSWER_FEATURES if key not in inner]


def read_questions(name, builder, split):
    """Reads questions, as `load_questions` returns them."""
    missing = missing_question_features(builder)
    if missing:
        raise ValueError(
            f"tfds:{name} is no dataset of questions like SQuAD: it lacks "
            f"{', '.join(missing)}. It has {', '.join(builder.info.features)}"
        )
    return read_examples(name, builder, split, _QUESTION_FEATURES).map(
        lambda example: {
            "id": example["id"],
            "question": example["question"],
            "context": example["context"],
            "answer_texts": example["answers"]["text"],
            "answer_starts": tf.cast(
                example["answers"]["answer_start"], tf.int32
            ),
        }
    )
