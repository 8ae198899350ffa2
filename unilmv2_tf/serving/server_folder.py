"""The folder that TensorFlow Serving mounts: versions and files beside them."""

import contextlib
import errno
import importlib.resources
import json
import os
import re
import shutil
import string
import uuid

from unilmv2_tf.filesystem import write_text
from unilmv2_tf.optional_imports import optional_import

WARM_UP = os.path.join("assets.extra", "tf_serving_warmup_requests")
_BATCH_SIZES = (1, 8, 32)
_WORDS = "the quick brown fox jumps over the lazy dog".split()


# === Versions: NAME/1, NAME/2, ... ===


def list_versions(path):
    """The version numbers in a folder, increasing; none if it is missing."""
    try:
        names = os.listdir(path)
    except FileNotFoundError:
        return []
    # Python takes more characters for digits than a server does.
    return sorted(int(n) for n in names if n.isascii() and n.isdigit())


def newest_version(path):
    """The SavedModel at a path, or the one that a server would load from it."""
    path = os.fspath(path)
    candidates = [path]
    if os.path.isdir(path):
        versions = list_versions(path)
        candidates += [os.path.join(path, str(v)) for v in versions[-1:]]
    for candidate in candidates:
        if os.path.isfile(os.path.join(candidate, "saved_model.pb")):
            return candidate
    raise FileNotFoundError(
        "`folder` must be a SavedModel or the folder above its versions. "
        f"Received: folder={path}, where there is no saved_model.pb. Write one "
        "with `export_model(task, folder)`."
    )


def publish_version(path, write, version=None):
    """Writes a version of a model completely or not at all; returns its path.

    `write(folder)` fills an empty folder whose name is not a number, which
    servers ignore; then the folder is renamed.
    """
    path = os.fspath(path)
    if "://" in path:
        raise ValueError(
            "`path` must be a local folder: elsewhere a version cannot appear "
            f"in one step. Received: path={path}. Export to a local folder and "
            "copy the version from there."
        )
    if os.path.isfile(os.path.join(path, "saved_model.pb")):
        raise ValueError(
            "`path` must be the folder above the versions, but it holds a "
            f"SavedModel itself. Received: path={path}. Pass "
            f"{os.path.dirname(os.path.abspath(path))!r} for the next version, "
            "or a new folder."
        )
    _check_version(path, version)
    is_new = not os.path.isdir(path)
    temporary = os.path.join(path, f"unfinished-{uuid.uuid4().hex}")
    try:
        _make_folder(path, temporary)
        write(temporary)
        return _rename(path, temporary, version)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        if is_new:
            with contextlib.suppress(OSError):
                os.rmdir(path)
        raise


def _make_folder(path, temporary):
    try:
        os.makedirs(temporary)
    except OSError as error:
        error.strerror = (
            f"`path` must be a folder that can be written, or not exist. "
            f"Received: path={path} ({error.strerror})"
        )
        raise


def _check_version(path, version):
    if version is None:
        return
    if version < 1:
        raise ValueError(
            f"`version` must be at least 1. Received: version={version}"
        )
    if version in list_versions(path):
        raise ValueError(
            "`version` must be a new one: a server may have loaded the others. "
            f"Received: version={version}, and {path} has "
            f"{', '.join(map(str, list_versions(path)))}. Leave it out for the "
            "next one."
        )


def _rename(path, temporary, version):
    while True:
        number = version or max(list_versions(path), default=0) + 1
        try:
            os.rename(temporary, os.path.join(path, str(number)))
            return os.path.join(path, str(number))
        except OSError as error:
            # Another export may just have taken the number.
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
            _check_version(path, version)


# === Files beside the versions ===


def fill_template(file, **values):
    """Fills a file of the folder `templates`."""
    folder = importlib.resources.files("unilmv2_tf.serving") / "templates"
    text = (folder / file).read_text(encoding="utf-8")
    return string.Template(text).substitute(values)


def write_server_files(path, version):
    """Writes sample configurations and a README above a new version."""
    name = os.path.basename(path)
    with open(
        os.path.join(version, "assets.extra", "signature.json"),
        encoding="utf-8",
    ) as file:
        description = json.load(file)
    number = int(os.path.basename(version))
    tensorflow = description["versions"]["tensorflow"]
    for file in (
        "models.config",
        "batching.config",
        "monitoring.config",
        "compose.yaml",
    ):
        # Somebody may have edited the file of an earlier version.
        if not os.path.exists(os.path.join(path, file)):
            text = fill_template(
                file,
                name=name,
                service=re.sub("[^a-z0-9]", "-", name.lower()),
                version=number,
                next_version=number + 1,
                tensorflow=tensorflow.rpartition(".")[0],
            )
            write_text(os.path.join(path, file), text)
    is_warm = os.path.exists(os.path.join(version, WARM_UP))
    readme = fill_template(
        "README.md",
        name=name,
        version=number,
        tasks=", ".join(
            f"{task['model']} (`{key}`)"
            for key, task in description["tasks"].items()
        ),
        parameters=f"{description['parameters']:,}",
        dtype=description["backbone"]["dtype"],
        warm_up="Each version warms up before it gets requests." * is_warm,
        signatures="".join(
            _signature_section(name, key, signature, description["main"])
            for key, signature in description["signatures"].items()
        ),
    )
    write_text(os.path.join(path, "README.md"), readme)


def _signature_section(name, key, signature, main):
    example = signature["example"]
    tensors = []
    for part in ("inputs", "outputs"):
        for tensor, spec in signature[part].items():
            shape = str(spec["shape"])[1:-1].replace("None", "?")
            tensors.append(
                f"| {part[:-1]} | `{tensor}` | {spec['dtype']} ({shape}) |"
            )
    return fill_template(
        "signature.md",
        name=name,
        key=key,
        default="This is `serving_default`." if key == main else "",
        tensors="\n".join(tensors),
        body=json.dumps({"signature_name": key, "instances": [example]}),
        inputs="\n".join(
            f'request.inputs["{tensor}"].CopyFrom('
            f"tf.make_tensor_proto([{json.dumps(value)}]))"
            for tensor, value in example.items()
        ),
    )


# === Requests that warm a server up ===


def write_warm_up(folder, description, model_name, warm_up=None):
    """Writes the requests that TensorFlow Serving runs when it loads a version.

    `None` writes them if tensorflow-serving-api is installed.
    """
    if warm_up is False:
        return
    try:
        apis = "tensorflow_serving.apis"
        predict_pb2 = optional_import(f"{apis}.predict_pb2", "serving")
        log_pb2 = optional_import(f"{apis}.prediction_log_pb2", "serving")
    except ImportError:
        if warm_up is None:
            return
        raise
    import tensorflow as tf

    with tf.io.TFRecordWriter(os.path.join(folder, WARM_UP)) as writer:
        for name, inputs in _warm_up_requests(description):
            request = predict_pb2.PredictRequest()
            request.model_spec.name = model_name
            request.model_spec.signature_name = name
            for key, value in inputs.items():
                request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
            log = log_pb2.PredictionLog(
                predict_log=log_pb2.PredictLog(request=request)
            )
            writer.write(log.SerializeToString())


def _warm_up_requests(description):
    """Pairs of a signature and its inputs, the main signature last.

    Each signature of strings (of integers, if there are no others) allocates
    its memory and optimizes its graphs for each batch size and each bucket.
    """
    signatures = description["signatures"]
    of_strings = {k: x for k, x in signatures.items() if "_ids" not in k}
    for name, signature in reversed((of_strings or signatures).items()):
        task = description["tasks"][name.split("_")[0]]
        buckets = task["buckets"] or [task["sequence_length"]]
        for size, width in [
            *((1, width) for width in buckets),
            *((size, buckets[0]) for size in _BATCH_SIZES[1:]),
        ]:
            yield name, _warm_up_inputs(signature["example"], size, width)


def _warm_up_inputs(example, batch_size, width):
    """Rows of about `width` tokens, made from an example of a request."""
    inputs = {}
    for name, value in example.items():
        if isinstance(value, str):
            # The last text fills the row beside three words of each other.
            is_last = name == [*example][-1]
            others = len(example) - 1
            size = max(1, width - 2 - 4 * others) if is_last else 3
            row = " ".join((_WORDS * size)[:size]).encode()
        else:
            first, middle, last = value
            row = [first, *[middle] * (width - 2), last]
        inputs[name] = [row] * batch_size
    return inputs
