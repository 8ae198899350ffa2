"""SavedModels of every task, for TensorFlow Serving."""

import os
import sys

import keras
import tensorflow as tf

from unilmv2_tf.serving.checking import check_export
from unilmv2_tf.serving.endpoints import as_endpoints
from unilmv2_tf.serving.live_answers import write_live_answers
from unilmv2_tf.serving.server_files import write_server_files
from unilmv2_tf.serving.signature_file import write_extra_assets
from unilmv2_tf.serving.versions import publish_version
from unilmv2_tf.serving.warm_up import write_warm_up


def export_model(
    tasks,
    path,
    version=None,
    text_signatures=True,
    check=True,
    warm_up=None,
    seconds=1.0,
    verbose=False,
):
    """Writes one task, or several on one backbone, as a SavedModel.

    Tokenizer, model and search are in the graph, for any batch size, with
    nothing that needs XLA. It has the layout of TensorFlow Serving, and
    appears there at once, when it is complete:

        path/1/saved_model.pb, variables/, fingerprint.pb
        path/1/assets.extra/vocab.txt           the WordPieces, one a line
        path/1/assets.extra/signature.json      lengths, sampler, versions
        path/1/assets.extra/live_answers.npz    what the task itself answers
        path/1/assets.extra/report.json, .md    what the check found
        path/1/assets.extra/tf_serving_warmup_requests
        path/README.md, models.config, ...      how to serve it

    The next export into the same `path` becomes `path/2`. Each task has its
    signatures of strings and a twin that takes and gives integers; they are
    described at `Generate`, `Classify`, `Answer`, `Encode` and `Fill`. The
    first signature is `serving_default`, too. Weights are stored once, however
    many tasks use them.

    Signatures of strings need the operations of TensorFlow Text, which
    TensorFlow Serving has, and a Python process after `import
    tensorflow_text`. Python and the C API load a SavedModel as a whole: where
    they are missing export with `text_signatures=False`.

    Args:
        tasks: a task with a preprocessor, an endpoint such as `Generate(task,
            max_length=20)`, or a list of them: a task stands for its main
            endpoint. They are not changed.
        path: str or path. The folder of the versions, usually the name of the
            model. It is made if it does not exist.
        version: int. Defaults to `None`, the next one.
        text_signatures: bool. Whether to write the signatures of strings.
            Defaults to `True`.
        check: bool. Whether to try everything in a clean process and compare
            it with the live model, see `check_export`. Without it, the live
            model's answers are not kept either. Defaults to `True`.
        warm_up: bool. Whether to write requests that a server runs before it
            takes others. Defaults to `None`: if tensorflow-serving-api is
            there.
        seconds: number. How long the check times each signature at each batch
            size. Defaults to `1.0`.
        verbose: bool. Whether to tell on stderr what is being done. Defaults
            to `False`.

    Returns:
        The path of the version that was written, a string.

    Raises:
        ValueError: if a task cannot be exported, tasks have different
            backbones, or `path` is no folder of versions.
        ImportError: if `warm_up=True` and tensorflow-serving-api is missing.
        NotADirectoryError: if `path` is a file or below a file.
        PermissionError: if `path` cannot be written.
        RuntimeError: if the check fails, or Keras does not run on TensorFlow.

    Example:

    >>> import os, tempfile
    >>> from unilmv2_tf.models import UniLMv2Backbone, UniLMv2Seq2SeqLM
    >>> from unilmv2_tf.preprocessing import UniLMv2Seq2SeqLMPreprocessor
    >>> from unilmv2_tf.preprocessing import UniLMv2Tokenizer
    >>> tokenizer = UniLMv2Tokenizer(
    ...     ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "fox"])
    >>> task = UniLMv2Seq2SeqLM(
    ...     UniLMv2Backbone(7, 1, 1, 8, 8, max_sequence_length=16),
    ...     UniLMv2Seq2SeqLMPreprocessor(
    ...         tokenizer, encoder_sequence_length=8,
    ...         decoder_sequence_length=4))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     version = export_model(
    ...         task, os.path.join(folder, "fox"), check=False)
    ...     os.path.relpath(version, folder), sorted(os.listdir(version))
    ('fox/1', ['assets', 'assets.extra', 'fingerprint.pb', 'saved_model.pb',
     'variables'])
    """
    endpoints = as_endpoints(tasks)

    def say(text):
        if verbose:
            print(text, file=sys.stderr, flush=True)

    def write(folder):
        say("Writing the graph and the weights.")
        functions = _write_graph(folder, endpoints, text_signatures)
        description = write_extra_assets(folder, endpoints, functions)
        write_warm_up(folder, description, name, warm_up)
        if check:
            say("Asking the live model.")
            write_live_answers(folder, endpoints, text_signatures)
            say("Asking the SavedModel, in a process of its own.")
            check_export(folder, seconds)

    name = os.path.basename(os.path.abspath(path))
    published = publish_version(path, write, version)
    write_server_files(os.path.dirname(os.path.abspath(published)), published)
    return published


def _write_graph(folder, endpoints, text_signatures):
    # The archive finds the variables by itself. Tracking a task would add its
    # optimizer, and whatever functions it has compiled so far.
    archive = keras.export.ExportArchive()
    functions = {}
    for endpoint in endpoints:
        if text_signatures:
            for name, (function, inputs) in endpoint.text_signatures.items():
                functions[name] = archive.add_endpoint(
                    name,
                    function,
                    [tf.TensorSpec([None], tf.string, name=i) for i in inputs],
                )
        for name, (function, inputs) in endpoint.id_signatures.items():
            functions[name] = archive.add_endpoint(
                name,
                function,
                [tf.TensorSpec([None, None], tf.int32, name=i) for i in inputs],
            )
    # The first is `serving_default`, too.
    archive.write_out(folder, verbose=False)
    return functions
