"""SavedModels of every task for TensorFlow Serving."""

import json
import os
import sys

import keras
import keras_hub
import tensorflow as tf
import tensorflow_text

import unilmv2_tf
from unilmv2_tf.filesystem import write_text
from unilmv2_tf.serving.endpoint import Endpoint
from unilmv2_tf.serving.endpoint import endpoints_of
from unilmv2_tf.serving.export_check import check_export
from unilmv2_tf.serving.export_check import write_live_answers
from unilmv2_tf.serving.server_folder import publish_version
from unilmv2_tf.serving.server_folder import write_server_files
from unilmv2_tf.serving.server_folder import write_warm_up


def export_model(
    tasks,
    path: str | os.PathLike,
    version: int | None = None,
    text_signatures: bool = True,
    check: bool = True,
    warm_up: bool | None = None,
    seconds: float = 1.0,
    verbose: bool = False,
) -> str:
    """Exports one task, or several on one backbone, as a SavedModel.

    Tokenizer, model and search are in the graph, for any batch size, with
    nothing that needs XLA. The version appears in the layout of TensorFlow
    Serving when it is complete:

        path/1/saved_model.pb, variables/, fingerprint.pb
        path/1/assets.extra/vocab.txt           the WordPieces, one a line
        path/1/assets.extra/signature.json      lengths, sampler, versions
        path/1/assets.extra/live_answers.npz    what the live model answers
        path/1/assets.extra/report.json         the result of the check
        path/1/assets.extra/tf_serving_warmup_requests
        path/README.md, models.config, ...      how to serve it

    The next export to the same `path` becomes `path/2`. Each endpoint has
    signatures that take strings and a twin that takes integers. The first
    signature is also `serving_default`. Weights that tasks share are stored
    once.

    Signatures that take strings need the operations of TensorFlow Text, which
    TensorFlow Serving has, and a Python process after `import
    tensorflow_text`. TensorFlow loads a SavedModel as a whole: for a server
    without them export with `text_signatures=False`.

    Args:
        tasks: a task with a preprocessor, an `Endpoint` such as
            `Generate(task, max_length=20)`, or a list of them. A task stands
            for its default endpoint. They are not changed.
        path: the folder of the versions, usually named as the model. It is
            created if it does not exist.
        version: int. Defaults to `None`, the next one.
        text_signatures: bool. Whether to write the signatures that take
            strings. Defaults to `True`.
        check: bool. Whether to run every signature in a clean process and
            compare it with the live model, see `check_export`. Defaults to
            `True`.
        warm_up: bool. Whether to write requests that a server runs before it
            takes others. Defaults to `None`: if tensorflow-serving-api is
            installed.
        seconds: float. How long the check times each signature at each batch
            size. Defaults to `1.0`.
        verbose: bool. Whether to print the steps to stderr. Defaults to
            `False`.

    Returns:
        The path of the new version, a string.

    Raises:
        ValueError: if a task cannot be exported, tasks have different
            backbones, or `path` is not a folder of versions.
        ImportError: if `warm_up=True` and tensorflow-serving-api is missing.
        OSError: if `path` is a file, or cannot be written.
        RuntimeError: if the check fails, or Keras does not run on TensorFlow.

    Example:

        task = UniLMv2TextClassifier.from_preset("mnli/preset")
        export_model([Classify(task, pairs=True), Encode(task)], "models/mnli")
    """
    endpoints = _as_endpoints(tasks)
    name = os.path.basename(os.path.abspath(path))

    def report(step):
        if verbose:
            print(step, file=sys.stderr, flush=True)

    def write(folder):
        report("Writing the graph and the weights.")
        functions = _write_graph(folder, endpoints, text_signatures)
        description = write_extra_assets(folder, endpoints, functions)
        write_warm_up(folder, description, name, warm_up)
        report("Running the live model.")
        write_live_answers(folder, endpoints, text_signatures, check)
        if check:
            report("Running the SavedModel in a process of its own.")
            check_export(folder, seconds)

    published = publish_version(path, write, version)
    write_server_files(os.path.dirname(os.path.abspath(published)), published)
    return published


def write_extra_assets(folder, endpoints, functions):
    """Writes `vocab.txt` and `signature.json`; returns the latter."""
    extra = os.path.join(folder, "assets.extra")
    vocabulary = endpoints[0].tokenizer.get_vocabulary()
    description = _description(endpoints, functions)
    for name, text in (
        ("vocab.txt", "".join(f"{token}\n" for token in vocabulary)),
        ("signature.json", json.dumps(description, indent=2) + "\n"),
    ):
        write_text(os.path.join(extra, name), text)
    return description


def add_signature(archive, name, function, inputs, spec):
    """Adds a function of tensors by name to a `keras.export.ExportArchive`."""
    return archive.add_endpoint(
        name,
        lambda *tensors: function(**dict(zip(inputs, tensors))),
        [tf.TensorSpec(spec.shape, spec.dtype, name=x) for x in inputs],
    )


def _as_endpoints(tasks):
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
        if isinstance(task, Endpoint)
        else next(iter(endpoints_of(task).values()))(task)
        for task in tasks
    ]
    names = [endpoint.name for endpoint in endpoints]
    if not names or len(set(names)) < len(names):
        raise ValueError(
            "`tasks` must be at least one, each of another kind. Received: "
            f"{', '.join(names) or 'none'}"
        )
    if len({id(endpoint.task.backbone) for endpoint in endpoints}) > 1:
        raise ValueError(
            "`tasks` must have one backbone: weights are stored once. "
            f"Received: {', '.join(names)} on several. Export each to its own "
            "folder."
        )
    return endpoints


def _write_graph(folder, endpoints, text_signatures):
    # The archive finds the variables by itself. Tracking a task would add its
    # optimizer and all functions that it has compiled so far.
    archive = keras.export.ExportArchive()
    text = tf.TensorSpec([None], tf.string)
    ids = tf.TensorSpec([None, None], tf.int32)
    functions = {}
    for endpoint in endpoints:
        signatures = [(f"{endpoint.name}_ids", endpoint.id_inputs)]
        if text_signatures:
            signatures = [*endpoint.text_signatures.items(), *signatures]
        for name, inputs in signatures:
            is_ids = inputs is endpoint.id_inputs
            functions[name] = add_signature(
                archive,
                name,
                endpoint.from_ids if is_ids else endpoint.from_text,
                inputs,
                ids if is_ids else text,
            )
    # The first one becomes `serving_default`, too.
    archive.write_out(folder, verbose=False)
    return functions


def _description(endpoints, functions):
    backbone, tokenizer = endpoints[0].task.backbone, endpoints[0].tokenizer
    weights = {
        id(weight): weight.value
        for endpoint in endpoints
        for weight in endpoint.task.weights
    }
    names = [*("pad", "unk", "cls", "sep", "mask"), "pseudo"]
    names = [f"{name}_token_id" for name in names]
    special_ids = {name: getattr(tokenizer, name) for name in names}
    return {
        "main": next(iter(functions), None),
        "signatures": {
            name: _signature_description(endpoint, functions[name])
            for endpoint in endpoints
            for name in [*endpoint.text_signatures, f"{endpoint.name}_ids"]
            if name in functions
        },
        "tasks": {
            endpoint.name: {
                "model": type(endpoint.task).__name__,
                **endpoint.describe(),
            }
            for endpoint in endpoints
        },
        "backbone": {**backbone.get_config(), "dtype": endpoints[0].precision},
        "tokenizer": {**tokenizer.get_config(), **special_ids},
        "parameters": sum(int(tf.size(x)) for x in weights.values()),
        "versions": {
            library.__name__: library.__version__
            for library in (unilmv2_tf, tf, tensorflow_text, keras, keras_hub)
        },
    }


def _signature_description(endpoint, function):
    inputs = {spec.name: spec for spec in function.input_signature}
    outputs = function.get_concrete_function().structured_outputs
    described = {
        part: {
            name: {"dtype": spec.dtype.name, "shape": spec.shape.as_list()}
            for name, spec in specs.items()
        }
        for part, specs in (("inputs", inputs), ("outputs", outputs))
    }
    return {**described, "example": endpoint.example(inputs)}
