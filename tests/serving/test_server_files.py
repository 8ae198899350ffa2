"""What lies beside the versions works as it stands there."""

import json
import pathlib
import re
import shlex

import pytest
import tensorflow as tf
import yaml

from unilmv2_tf.serving.server_files import write_server_files


@pytest.fixture(scope="module")
def path(exported):
    return pathlib.Path(exported).parent


@pytest.fixture(scope="module")
def readme(path):
    return (path / "README.md").read_text(encoding="utf-8")


def test_every_curl_is_a_request_of_its_signature(readme, exported):
    """As the server's REST interface reads a request in row format."""
    signatures = tf.saved_model.load(exported).signatures
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


def test_every_python_is_a_request_of_its_signature(
    readme, exported, monkeypatch
):
    grpc_module = pytest.importorskip(
        "tensorflow_serving.apis.prediction_service_pb2_grpc",
        reason="tensorflow-serving-api is an extra",
    )
    from tensorflow_serving.apis import predict_pb2

    signatures = tf.saved_model.load(exported).signatures
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


def test_compose_mounts_the_folder(path):
    (service,) = yaml.safe_load((path / "compose.yaml").read_text())[
        "services"
    ].values()
    assert service["image"].startswith("tensorflow/serving:2.20")
    (volume,) = service["volumes"]
    assert volume == "./:/models/toy:ro"
    for argument in service["command"]:
        _, _, file = argument.partition("=/models/toy/")
        assert not file or (path / file).exists(), file


def test_configurations_are_text_protos_in_balance(path):
    for name in ("models", "batching", "monitoring"):
        text = (path / f"{name}.config").read_text()
        plain = re.sub("#.*", "", text)
        assert plain.count("{") == plain.count("}")
    assert 'base_path: "/models/toy"' in (path / "models.config").read_text()


def test_what_somebody_has_changed_stays(path, exported):
    changed = path / "batching.config"
    text = changed.read_text()
    changed.write_text("max_batch_size { value: 8 }\n")
    (path / "README.md").write_text("old")
    write_server_files(str(path), exported)
    assert changed.read_text() == "max_batch_size { value: 8 }\n"
    assert (path / "README.md").read_text().startswith("# toy")
    changed.write_text(text)
