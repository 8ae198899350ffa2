"""Which endpoints there are, and which task has which."""

import keras

from unilmv2_tf.models import UniLMv2PseudoMaskedLM
from unilmv2_tf.models import UniLMv2QuestionAnswerer
from unilmv2_tf.models import UniLMv2Seq2SeqLM
from unilmv2_tf.models import UniLMv2TextClassifier
from unilmv2_tf.serving.answering import Answer
from unilmv2_tf.serving.classifying import Classify
from unilmv2_tf.serving.encoding import Encode
from unilmv2_tf.serving.filling import Fill
from unilmv2_tf.serving.generating import Generate

# The first is a task's main one. Others would need weights that it has not.
ENDPOINTS_OF = {
    UniLMv2Seq2SeqLM: (Generate, Encode, Fill),
    UniLMv2TextClassifier: (Classify, Encode),
    UniLMv2QuestionAnswerer: (Answer, Encode),
    UniLMv2PseudoMaskedLM: (Fill, Encode),
}


def as_endpoints(tasks):
    """The endpoints of tasks.

    Args:
        tasks: see `export_model`.

    Returns:
        A list of endpoints with different names, on one backbone.

    Raises:
        ValueError: if they cannot be exported together.
        RuntimeError: if Keras does not run on TensorFlow.

    Example:

    >>> as_endpoints("summarizer")
    Traceback (most recent call last):
    ...
    ValueError: `tasks` must be UniLMv2 tasks or endpoints of them. ...
    """
    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(
            "A SavedModel is written by the TensorFlow backend of Keras. "
            f"Received: backend {keras.backend.backend()!r}. Save the task "
            "with `save_to_preset()`, and export it in a process with "
            "KERAS_BACKEND=tensorflow."
        )
    tasks = tasks if isinstance(tasks, (list, tuple)) else [tasks]
    endpoints = [
        task
        if isinstance(task, (Generate, Classify, Answer, Encode, Fill))
        else next(iter(endpoints_of(task).values()))(task)
        for task in tasks
    ]
    names = [endpoint.name for endpoint in endpoints]
    if not names or len(set(names)) < len(names):
        raise ValueError(
            "`tasks` must be at least one, each of another kind. Received: "
            f"{', '.join(names) or 'none'}"
        )
    if any(
        endpoint.task.backbone is not endpoints[0].task.backbone
        for endpoint in endpoints
    ):
        raise ValueError(
            "`tasks` must have one backbone: weights are stored once. "
            f"Received: {', '.join(names)} on several. Export them to a folder "
            "each."
        )
    return endpoints


def endpoints_of(task):
    """The endpoints that a task can have.

    Args:
        task: a UniLMv2 task.

    Returns:
        A dict from names to classes, the main one first.

    Raises:
        ValueError: if it is no such task, or has no preprocessor.

    Example:

    >>> from unilmv2_tf import UniLMv2Backbone
    >>> endpoints_of(UniLMv2Backbone(7, 1, 1, 8, 8))
    Traceback (most recent call last):
    ...
    ValueError: `tasks` must be UniLMv2 tasks or endpoints of them. ...
    """
    for cls, endpoints in ENDPOINTS_OF.items():
        if isinstance(task, cls):
            _check_preprocessor(task)
            return {endpoint.name: endpoint for endpoint in endpoints}
    raise ValueError(
        "`tasks` must be UniLMv2 tasks or endpoints of them. Received: "
        f"{type(task).__name__}"
    )


def _check_preprocessor(task):
    if task.preprocessor is None:
        raise ValueError(
            "The task must have a preprocessor, since the SavedModel takes and "
            "gives strings. Received: preprocessor=None. Build the task with "
            f"`{type(task).__name__}(backbone, "
            f"preprocessor={type(task).preprocessor_cls.__name__}(tokenizer, "
            "...))`."
        )
