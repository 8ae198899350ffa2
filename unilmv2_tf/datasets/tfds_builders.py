"""Datasets of TensorFlow Datasets: found, and read with errors that teach."""

from unilmv2_tf.datasets.glue import find_glue_task


def open_builder(name, data_dir=None):
    """The builder of a dataset.

    Args:
        name: string. `NAME` or `NAME/CONFIG`.
        data_dir: string. Where TFDS keeps its data. Defaults to `None`: the
            environment variable `TFDS_DATA_DIR`, or `~/tensorflow_datasets`.

    Returns:
        A `tfds.core.DatasetBuilder`.

    Raises:
        ValueError: if there is no such dataset.

    Example:

    >>> open_builder("glue/rte").info.features["label"].names
    ['entailment', 'not_entailment']
    """
    import tensorflow_datasets as tfds

    try:
        return tfds.builder(name, data_dir=data_dir)
    # A BaseException's worth of kinds: not registered, no such configuration,
    # unreadable version.
    except (ValueError, ImportError, AssertionError, KeyError) as error:
        reason = str(error).strip().split("\n")[0]
        raise ValueError(
            f"tfds:{name} is not a dataset that TensorFlow Datasets knows, nor "
            f"one prepared under {data_dir or 'its folder'}: {reason}"
        ) from None


def absent_data(name, builder):
    """The error for a dataset that is not prepared.

    Args:
        name: string. The dataset, as `tfds.load` takes it.
        builder: its builder.

    Returns:
        A FileNotFoundError.
    """
    return FileNotFoundError(
        f"The data of tfds:{name} are not in {builder.data_dir_root}. Get "
        f"them with: tfds build {name} (a download), or name the folder that "
        "has them in TFDS_DATA_DIR (or with --data_dir, where there is one)"
    )


def find_instructions(name, split, splits):
    """What is to be read of a dataset's splits.

    Args:
        name: string. The dataset, for the error.
        split: string. A split, a slice or a sum: `train[:10%]+test`.
        splits: the `tfds.core.SplitDict` of the dataset.

    Returns:
        A list of absolute read instructions.

    Raises:
        ValueError: if there is no such split.
    """
    import tensorflow_datasets as tfds

    try:
        return tfds.core.ReadInstruction.from_spec(split).to_absolute(splits)
    except (ValueError, KeyError, AssertionError, NotImplementedError):
        raise ValueError(
            f"tfds:{name} has no split {split!r}. It has "
            f"{', '.join(splits)}; slices are such as train[:10%]"
        ) from None


def read_examples(name, builder, split, keys):
    """Some features of the examples of a split, in the order of its files.

    Args:
        name: string. The dataset, for the error.
        builder: its builder.
        split: string. A split, a slice or a sum.
        keys: strings. The features that are read.

    Returns:
        A `tf.data.Dataset` of dictionaries.

    Raises:
        FileNotFoundError: if the dataset is not prepared.
        ValueError: if there is no such split.

    Example:

    >>> builder = open_builder("glue/rte", data_dir="/nowhere")
    >>> read_examples("glue/rte", builder, "train", ["label"])
    Traceback (most recent call last):
        ...
    FileNotFoundError: The data of tfds:glue/rte are not in /nowhere. ...
    """
    import tensorflow_datasets as tfds

    if builder.info.splits:
        find_instructions(name, split, builder.info.splits)
    try:
        return builder.as_dataset(
            split=split,
            shuffle_files=False,
            decoders=tfds.decode.PartialDecoding(dict.fromkeys(keys, True)),
            read_config=tfds.ReadConfig(
                interleave_cycle_length=1, try_autocache=False
            ),
        )
    # What TFDS raises where there is no folder of the dataset.
    except AssertionError:
        raise absent_data(name, builder) from None


def split_place(place):
    """Takes a place apart.

    Args:
        place: string. `NAME/CONFIG` or `NAME/CONFIG:SPLIT`.

    Returns:
        Two strings: the dataset's name, the split or `""`.

    Example:

    >>> split_place("glue/mnli:test_matched"), split_place("glue/mnli")
    (('glue/mnli', 'test_matched'), ('glue/mnli', ''))
    """
    name, _, split = place.partition(":")
    return name, split


def choose_split(name, builder, named, split):
    """The split of a dataset that is to be read.

    Args:
        name: string. The dataset, for the error.
        builder: its builder.
        named: string. The split that the user named, or `""`.
        split: `"train"`, `"validation"` or `None`.

    Returns:
        A string, and whether that is all there is to it: else the part
        `split` has to be taken out of it.

    Raises:
        ValueError: if there is nothing to train on or to validate with.

    Example:

    >>> builder = open_builder("glue/mnli")
    >>> choose_split("glue/mnli", builder, "", "validation")
    ('validation_matched', True)
    >>> choose_split("glue/mnli", builder, "train[:1%]", "validation")
    ('train[:1%]', False)
    """
    if named:
        return named, split is None
    splits = _split_names(name, builder)
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


def _split_names(name, builder):
    task = find_glue_task(f"tfds:{name}")
    if task:
        train = [task.train_split] if task.train_split else []
        return [*train, *task.validation_splits, *task.test_splits]
    # Not known before a dataset is prepared.
    return list(builder.info.splits) or ["train", "validation"]
