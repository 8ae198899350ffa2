"""The tasks of the GLUE benchmark: columns, labels, splits, scores, files.

Wang et al., "GLUE: A Multi-Task Benchmark and Analysis Platform for Natural
Language Understanding" (2019). A task of your own, such as one of SuperGLUE, is
another entry of the table, with its `dataset`.
"""

import dataclasses

_SENTENCES = ("sentence1", "sentence2")
_INFERENCE = {
    "text_keys": ("premise", "hypothesis"),
    "label_names": ("entailment", "neutral", "contradiction"),
    "submits_names": True,
}
_TWO_WAY = ("entailment", "not_entailment")


@dataclasses.dataclass(frozen=True)
class GlueTask:
    """One task, with the names of TensorFlow Datasets."""

    name: str
    # The file of each of `test_splits` in a submission.
    submission_files: tuple[str, ...]
    # The features that hold the text, or the two texts of a pair.
    text_keys: tuple[str, ...] = _SENTENCES
    # In the order of their integers; `None` for regression.
    label_names: tuple[str, ...] | None = _TWO_WAY
    # By the names of `unilmv2_tf.evaluation.score_labels`.
    metrics: tuple[str, ...] = ("accuracy",)
    # Whether a submission holds names of labels instead of their integers.
    submits_names: bool = False
    train_split: str | None = "train"
    # The first is what `load_labeled(..., "validation")` reads.
    validation_splits: tuple[str, ...] = ("validation",)
    # Without labels.
    test_splits: tuple[str, ...] = ("test",)
    dataset: str = "glue"

    @property
    def primary_metric(self):
        """The metric that selects a model."""
        return self.metrics[0]


_TASKS = (
    GlueTask(
        "cola",
        ("CoLA.tsv",),
        text_keys=("sentence",),
        label_names=("unacceptable", "acceptable"),
        metrics=("matthews",),
    ),
    GlueTask(
        "sst2",
        ("SST-2.tsv",),
        text_keys=("sentence",),
        label_names=("negative", "positive"),
    ),
    GlueTask(
        "mrpc",
        ("MRPC.tsv",),
        label_names=("not_equivalent", "equivalent"),
        metrics=("accuracy", "f1"),
    ),
    GlueTask(
        "qqp",
        ("QQP.tsv",),
        text_keys=("question1", "question2"),
        label_names=("not_duplicate", "duplicate"),
        metrics=("accuracy", "f1"),
    ),
    GlueTask(
        "stsb",
        ("STS-B.tsv",),
        label_names=None,
        metrics=("pearson", "spearman"),
    ),
    GlueTask(
        "mnli",
        ("MNLI-m.tsv", "MNLI-mm.tsv"),
        validation_splits=("validation_matched", "validation_mismatched"),
        test_splits=("test_matched", "test_mismatched"),
        **_INFERENCE,
    ),
    GlueTask("mnli_matched", ("MNLI-m.tsv",), train_split=None, **_INFERENCE),
    GlueTask(
        "mnli_mismatched", ("MNLI-mm.tsv",), train_split=None, **_INFERENCE
    ),
    GlueTask(
        "qnli",
        ("QNLI.tsv",),
        text_keys=("question", "sentence"),
        submits_names=True,
    ),
    GlueTask("rte", ("RTE.tsv",), submits_names=True),
    GlueTask(
        "wnli", ("WNLI.tsv",), label_names=("not_entailment", "entailment")
    ),
    GlueTask(
        "ax",
        ("AX.tsv",),
        metrics=("matthews",),
        train_split=None,
        validation_splits=(),
        **_INFERENCE,
    ),
)
# By dataset and name.
GLUE_TASKS = {f"{task.dataset}/{task.name}": task for task in _TASKS}


def find_glue_task(source):
    """Returns the `GlueTask` of a source, or `None` if it is of none."""
    if not isinstance(source, str) or not source.startswith("tfds:"):
        return None
    # A version may follow the configuration: glue/cola/2.0.0.
    return GLUE_TASKS.get("/".join(source.split(":")[1].split("/")[:2]))
