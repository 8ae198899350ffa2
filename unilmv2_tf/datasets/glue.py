"""The tasks of the GLUE benchmark: columns, labels, splits, scores, files.

Wang et al., "GLUE: A Multi-Task Benchmark and Analysis Platform for Natural
Language Understanding" (2019). A task of your own, such as one of SuperGLUE, is
another entry of `GLUE_TASKS`, with its `dataset`.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class GlueTask:
    """One task of GLUE, with the names of TensorFlow Datasets.

    Args:
        name: The configuration of the dataset.
        text_keys: The features that hold the text, or the two texts of a pair.
        label_names: The classes in the order of their integers; `None` for
            regression.
        metrics: What the benchmark reports, by the names of
            `unilmv2_tf.evaluation.score_labels`.
        primary_metric: The metric that selects a model.
        submission_files: The file of each of `test_splits` in a submission.
        submits_names: Whether a submission holds the names of labels instead
            of their integers. Defaults to `False`.
        train_split: Defaults to `"train"`; `None` where there is none.
        validation_splits: The first is what `load_labeled(..., "validation")`
            reads.
        test_splits: Splits without labels.
        dataset: The dataset of TFDS. Defaults to `"glue"`.

    Reference:
        Bao et al., 2020, section 3.4.
    """

    name: str
    text_keys: tuple[str, ...]
    label_names: tuple[str, ...] | None
    metrics: tuple[str, ...]
    primary_metric: str
    submission_files: tuple[str, ...]
    submits_names: bool = False
    train_split: str | None = "train"
    validation_splits: tuple[str, ...] = ("validation",)
    test_splits: tuple[str, ...] = ("test",)
    dataset: str = "glue"


_SENTENCES = ("sentence1", "sentence2")
_INFERENCE = {
    "text_keys": ("premise", "hypothesis"),
    "label_names": ("entailment", "neutral", "contradiction"),
    "submits_names": True,
}
_TWO_WAY = ("entailment", "not_entailment")
_ACCURACY = {"metrics": ("accuracy",), "primary_metric": "accuracy"}
_PARAPHRASE = {"metrics": ("accuracy", "f1"), "primary_metric": "accuracy"}

# By name, and those of other datasets by dataset and name.
GLUE_TASKS = {
    task.name if task.dataset == "glue" else f"{task.dataset}/{task.name}": task
    for task in (
        GlueTask(
            name="cola",
            text_keys=("sentence",),
            label_names=("unacceptable", "acceptable"),
            metrics=("matthews",),
            primary_metric="matthews",
            submission_files=("CoLA.tsv",),
        ),
        GlueTask(
            name="sst2",
            text_keys=("sentence",),
            label_names=("negative", "positive"),
            submission_files=("SST-2.tsv",),
            **_ACCURACY,
        ),
        GlueTask(
            name="mrpc",
            text_keys=_SENTENCES,
            label_names=("not_equivalent", "equivalent"),
            submission_files=("MRPC.tsv",),
            **_PARAPHRASE,
        ),
        GlueTask(
            name="qqp",
            text_keys=("question1", "question2"),
            label_names=("not_duplicate", "duplicate"),
            submission_files=("QQP.tsv",),
            **_PARAPHRASE,
        ),
        GlueTask(
            name="stsb",
            text_keys=_SENTENCES,
            label_names=None,
            metrics=("pearson", "spearman"),
            primary_metric="pearson",
            submission_files=("STS-B.tsv",),
        ),
        GlueTask(
            name="mnli",
            submission_files=("MNLI-m.tsv", "MNLI-mm.tsv"),
            validation_splits=("validation_matched", "validation_mismatched"),
            test_splits=("test_matched", "test_mismatched"),
            **_INFERENCE,
            **_ACCURACY,
        ),
        GlueTask(
            name="mnli_matched",
            submission_files=("MNLI-m.tsv",),
            train_split=None,
            **_INFERENCE,
            **_ACCURACY,
        ),
        GlueTask(
            name="mnli_mismatched",
            submission_files=("MNLI-mm.tsv",),
            train_split=None,
            **_INFERENCE,
            **_ACCURACY,
        ),
        GlueTask(
            name="qnli",
            text_keys=("question", "sentence"),
            label_names=_TWO_WAY,
            submission_files=("QNLI.tsv",),
            submits_names=True,
            **_ACCURACY,
        ),
        GlueTask(
            name="rte",
            text_keys=_SENTENCES,
            label_names=_TWO_WAY,
            submission_files=("RTE.tsv",),
            submits_names=True,
            **_ACCURACY,
        ),
        GlueTask(
            name="wnli",
            text_keys=_SENTENCES,
            label_names=("not_entailment", "entailment"),
            submission_files=("WNLI.tsv",),
            **_ACCURACY,
        ),
        GlueTask(
            name="ax",
            submission_files=("AX.tsv",),
            metrics=("matthews",),
            primary_metric="matthews",
            train_split=None,
            validation_splits=(),
            **_INFERENCE,
        ),
    )
}


def find_glue_task(source: object) -> GlueTask | None:
    """Finds the task of a source.

    Args:
        source: Such as `"tfds:glue/mnli:test_matched"`, or anything else that
            `load_labeled` takes.

    Returns:
        A `GlueTask`, or `None` if the source is of none.

    Example:

    >>> find_glue_task("tfds:glue/cola").primary_metric
    'matthews'
    >>> find_glue_task("reviews.tsv") is None
    True
    """
    if not isinstance(source, str) or not source.startswith("tfds:"):
        return None
    # A version may follow the configuration: glue/cola/2.0.0.
    name = "/".join(source.split(":")[1].split("/")[:2])
    return GLUE_TASKS.get(name.removeprefix("glue/"))
