"""Versions appear complete, and the files beside them work."""

import errno
import importlib.util
import json
import os
import pathlib
import re
import shlex
import stat
import sys

import numpy as np
import pytest
import tensorflow as tf
import yaml

from unilmv2_tf.serving.server_folder import WARM_UP
from unilmv2_tf.serving.server_folder import list_versions
from unilmv2_tf.serving.server_folder import newest_version
from unilmv2_tf.serving.server_folder import publish_version
from unilmv2_tf.serving.server_folder import write_server_files
from unilmv2_tf.serving.server_folder import write_warm_up

needs_serving_api = pytest.mark.skipif(
    importlib.util.find_spec("tensorflow_serving") is None,
    reason="tensorflow-serving-api is an extra",
)


def fill(folder):
    with open(os.path.join(folder, "saved_model.pb"), "w") as file:
        file.write("graph")


def test_numbers_go_on_above_the_highest(tmp_path):
    path = tmp_path / "models" / "toy"
    assert publish_version(path, fill) == str(path / "1")
    for name in ("9", "10", "notes", "\u0663", "-1", "12.bak"):
        (path / name).mkdir()
    assert list_versions(path) == [1, 9, 10]
    assert publish_version(path, fill) == str(path / "11")
    assert newest_version(path) == str(path / "11")
    assert newest_version(path / "1") == str(path / "1")


def test_a_number_that_is_taken_meanwhile(tmp_path):
    path = tmp_path / "toy"

    def fill_while_another_exports(folder):
        fill(folder)
        publish_version(path, fill)

    assert publish_version(path, fill_while_another_exports) == str(path / "2")
    assert sorted(os.listdir(path)) == ["1", "2"]


def test_a_number_that_is_taken_at_the_last_moment(tmp_path, monkeypatch):
    rename, calls = os.rename, []

    def late(source, target):
        calls.append(target)
        if len(calls) == 1:
            os.mkdir(target)
            fill(target)
        rename(source, target)

    monkeypatch.setattr(os, "rename", late)
    assert publish_version(tmp_path, fill) == str(tmp_path / "2")
    assert [os.path.basename(target) for target in calls] == ["1", "2"]


def test_a_failure_leaves_nothing(tmp_path):
    def fail(folder):
        fill(folder)
        raise RuntimeError("disk on fire")

    with pytest.raises(RuntimeError, match="disk on fire"):
        publish_version(tmp_path / "toy", fail)
    assert os.listdir(tmp_path) == []


def test_others_may_read_a_version(tmp_path):
    """A server usually runs as another user."""
    umask = os.umask(0o022)
    try:
        folder = publish_version(tmp_path, fill)
    finally:
        os.umask(umask)
    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o755


def test_a_path_that_is_no_folder(tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.write_text("")
    for path in (file, file / "toy"):
        with pytest.raises(OSError, match="`path` must be a folder"):
            publish_version(path, fill)
    with pytest.raises(ValueError, match="local folder"):
        publish_version("gs://bucket/toy", fill)
    version = publish_version(tmp_path / "toy", fill)
    with pytest.raises(ValueError, match="above the versions"):
        publish_version(version, fill)

    def read_only(path, mode=0o777):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)

    monkeypatch.setattr(os, "mkdir", read_only)
    with pytest.raises(OSError, match="can be written"):
        publish_version(tmp_path, fill)


def test_no_saved_model_to_be_found(tmp_path):
    (tmp_path / "1").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no saved_model\.pb"):
        newest_version(tmp_path)


def test_a_number_of_ones_own(tmp_path):
    path = tmp_path / "toy"
    assert publish_version(path, fill, version=20) == str(path / "20")
    assert publish_version(path, fill, version=3) == str(path / "3")
    assert publish_version(path, fill) == str(path / "21")
    with pytest.raises(ValueError, match="must be a new one"):
        publish_version(path, fill, version=3)

    def fill_while_another_takes_it(folder):
        fill(folder)
        publish_version(path, fill, version=30)

    with pytest.raises(ValueError, match="version=30"):
        publish_version(path, fill_while_another_takes_it, version=30)
    assert list_versions(path) == [3, 20, 21, 30]
    assert len(os.listdir(path)) == 4


# === Files beside the versions ===


@pytest.fixture(scope="module")
def path(exported):
    return pathlib.Path(exported).parent


@pytest.fixture(scope="module")
def readme(path):
    return (path / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_every_curl_is_a_request_of_its_signature(readme, signatures):
    """As the server's REST interface reads a request in row format."""
    asked = set()
    for line in re.findall(r"^curl .* -d .*$", readme, flags=re.MULTILINE):
        _, address, _, body = shlex.split(line)
        assert address == "http://localhost:8501/v1/models/toy:predict"
        body = json.loads(body)
        signature = signatures[body["signature_name"]]
        specs = signature.structured_input_signature[1]
        inputs = {
            name: tf.constant([row[name] for row in body["instances"]],
                              spec.dtype)
            for name, spec in specs.items()
        }  # fmt: skip
        assert set(body["instances"][0]) == set(specs)
        outputs = signature(**inputs)
        # A row of the answer for each instance.
        assert {len(values) for values in outputs.values()} == {1}
        asked.add(body["signature_name"])
    assert asked == set(signatures) - {"serving_default"}


@pytest.mark.slow
def test_every_python_is_a_request_of_its_signature(
    readme, signatures, monkeypatch
):
    grpc_module = pytest.importorskip(
        "tensorflow_serving.apis.prediction_service_pb2_grpc",
        reason="tensorflow-serving-api is an extra",
    )
    from tensorflow_serving.apis import predict_pb2

    asked = []

    class Server:
        """Runs a request as a server would, without a socket."""

        def __init__(self, channel):
            channel.close()

        def Predict(self, request, timeout):
            asked.append(request.model_spec.signature_name)
            outputs = signatures[asked[-1]](
                **{
                    name: tf.constant(tf.make_ndarray(proto))
                    for name, proto in request.inputs.items()
                }
            )
            response = predict_pb2.PredictResponse()
            for name, values in outputs.items():
                proto = tf.make_tensor_proto(values.numpy())
                response.outputs[name].CopyFrom(proto)
            return response

    monkeypatch.setattr(grpc_module, "PredictionServiceStub", Server)
    for code in re.findall(r"```python\n(.*?)```", readme, flags=re.DOTALL):
        exec(compile(code, "README.md", "exec"), {})
    assert set(asked) == set(signatures) - {"serving_default"}


@pytest.mark.slow
def test_compose_mounts_the_folder(path):
    (service,) = yaml.safe_load((path / "compose.yaml").read_text())[
        "services"
    ].values()
    assert service["image"].startswith(
        "tensorflow/serving:" + tf.__version__.rpartition(".")[0]
    )
    (volume,) = service["volumes"]
    assert volume == "./:/models/toy:ro"
    for argument in service["command"]:
        _, _, file = argument.partition("=/models/toy/")
        assert not file or (path / file).exists(), file


@pytest.mark.slow
def test_configurations_are_text_protos_in_balance(path):
    for name in ("models", "batching", "monitoring"):
        text = (path / f"{name}.config").read_text()
        plain = re.sub("#.*", "", text)
        assert plain.count("{") == plain.count("}")
    assert 'base_path: "/models/toy"' in (path / "models.config").read_text()


@pytest.mark.slow
def test_what_somebody_has_changed_stays(path, exported):
    changed = path / "batching.config"
    text = changed.read_text()
    changed.write_text("max_batch_size { value: 8 }\n")
    (path / "README.md").write_text("old")
    write_server_files(str(path), exported)
    assert changed.read_text() == "max_batch_size { value: 8 }\n"
    assert (path / "README.md").read_text().startswith("# toy")
    changed.write_text(text)


# === Requests that warm a server up ===


def requests(folder):
    from tensorflow_serving.apis import prediction_log_pb2

    records = tf.data.TFRecordDataset(os.path.join(folder, WARM_UP))
    for record in records.as_numpy_iterator():
        log = prediction_log_pb2.PredictionLog.FromString(record)
        assert log.WhichOneof("log_type") == "predict_log"
        yield log.predict_log.request


@needs_serving_api
@pytest.mark.slow
def test_every_warm_up_request_runs(exported, signatures, tasks):
    sizes, texts = {}, []
    for request in requests(exported):
        assert request.model_spec.name == "toy"
        name = request.model_spec.signature_name
        inputs = {
            key: tf.constant(tf.make_ndarray(proto))
            for key, proto in request.inputs.items()
        }
        size = {len(values) for values in inputs.values()}
        assert len(size) == 1
        outputs = signatures[name](**inputs)
        assert {len(values) for values in outputs.values()} == size
        sizes.setdefault(name, set()).update(size)
        if name == "generate":
            texts.append(inputs["text"][0].numpy().decode())
    assert set(sizes) == {
        *("generate", "classify", "classify_pair", "answer", "fill", "encode")
    }
    assert all(found == {1, 8, 32} for found in sizes.values())
    # Every bucket of `generate` is used.
    tokenizer = tasks["generate"].preprocessor.tokenizer
    widths = [min(len(tokenizer(text)) + 2, 24) for text in texts]
    assert {16 if width <= 16 else 24 for width in widths} == {16, 24}


@needs_serving_api
@pytest.mark.slow
def test_warm_up_by_integers_where_there_are_no_strings(exported, tmp_path):
    with open(os.path.join(exported, "assets.extra", "signature.json")) as file:
        description = json.load(file)
    name = "classify_ids"
    description["signatures"] = {name: description["signatures"][name]}
    (tmp_path / "assets.extra").mkdir()
    write_warm_up(str(tmp_path), description, "toy", warm_up=True)
    for request in requests(tmp_path):
        assert request.model_spec.signature_name == name
        row = tf.make_ndarray(request.inputs["token_ids"])[0]
        assert (row[0], row[-1]) == (2, 3)
        assert np.all(tf.make_ndarray(request.inputs["padding_mask"]))


def test_without_the_serving_package(tmp_path, monkeypatch):
    monkeypatch.setitem(
        sys.modules, "tensorflow_serving.apis.predict_pb2", None
    )
    write_warm_up(str(tmp_path), {}, "toy")
    write_warm_up(str(tmp_path), {}, "toy", warm_up=False)
    assert os.listdir(tmp_path) == []
    with pytest.raises(ImportError, match=r"unilmv2_tf\[serving\]"):
        write_warm_up(str(tmp_path), {}, "toy", warm_up=True)
