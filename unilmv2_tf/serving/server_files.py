"""How to serve a model: samples of configurations, and its README."""

import json
import os

from unilmv2_tf.filesystem import write_text
from unilmv2_tf.serving.warm_up import WARM_UP
from unilmv2_tf.serving.warm_up import read_description

_MODELS_CONFIG = """\
# tensorflow_model_server --model_config_file=/models/{name}/models.config
model_config_list {{
  config {{
    name: "{name}"
    base_path: "/models/{name}"
    model_platform: "tensorflow"
    # The two newest stay loaded, so that one can go back at once.
    model_version_policy {{ latest {{ num_versions: 2 }} }}
    # Labels for a canary: name versions that are loaded, then ask
    # /v1/models/{name}/labels/canary:predict
    # version_labels {{ key: "stable" value: {version} }}
    # version_labels {{ key: "canary" value: {next_version} }}
  }}
}}
"""

_BATCHING_CONFIG = """\
# tensorflow_model_server --enable_batching
#   --batching_parameters_file=/models/{name}/batching.config
max_batch_size {{ value: 32 }}
# How long a request waits for others.
batch_timeout_micros {{ value: 5000 }}
max_enqueued_batches {{ value: 100 }}
num_batch_threads {{ value: 2 }}
# Requests of integers have rows of different widths. The server repeats the
# first element of each tensor; the signatures know that.
pad_variable_length_inputs: true
"""

_MONITORING_CONFIG = """\
# tensorflow_model_server --rest_api_port=8501
#   --monitoring_config_file=/models/{name}/monitoring.config
prometheus_config {{
  enable: true
  path: "/monitoring/prometheus/metrics"
}}
"""

_COMPOSE = """\
# docker compose -f {name}/compose.yaml up
services:
  {service}:
    image: tensorflow/serving:{tensorflow}.0
    # 8500 is gRPC, 8501 REST.
    ports: ["8500:8500", "8501:8501"]
    volumes: ["./:/models/{name}:ro"]
    command:
      - --model_config_file=/models/{name}/models.config
      - --enable_batching
      - --batching_parameters_file=/models/{name}/batching.config
      - --monitoring_config_file=/models/{name}/monitoring.config
      # Labels may be given to versions that are not loaded yet.
      - --allow_version_labels_for_unavailable_models
"""

_EXAMPLES = {
    "text": "The quick brown fox jumps over the lazy dog.",
    "text_a": "A fox jumps.",
    "text_b": "An animal moves.",
    "question": "What jumps?",
    "context": "The quick brown fox jumps over the lazy dog.",
}
_GAP_EXAMPLE = "The quick brown [MASK] jumps over the lazy dog."


def write_server_files(path, version):
    """Writes configurations and a README beside the versions.

    The README is written anew for each version. Configurations that are there
    stay as they are: somebody may have changed them.

    Args:
        path: string. The folder above the versions.
        version: string. The path of the version that was written last.
    """
    name = os.path.basename(path)
    description = read_description(version)
    number = int(os.path.basename(version))
    values = {
        "name": name,
        "service": "".join(c if c.isalnum() else "-" for c in name.lower()),
        "version": number,
        "next_version": number + 1,
        "tensorflow": ".".join(
            description["versions"]["tensorflow"].split(".")[:2]
        ),
    }
    for file, text in (
        ("models.config", _MODELS_CONFIG),
        ("batching.config", _BATCHING_CONFIG),
        ("monitoring.config", _MONITORING_CONFIG),
        ("compose.yaml", _COMPOSE),
    ):
        if not os.path.exists(os.path.join(path, file)):
            write_text(os.path.join(path, file), text.format(**values))
    is_warm = os.path.exists(os.path.join(version, WARM_UP))
    write_text(
        os.path.join(path, "README.md"),
        readme(name, number, description, is_warm),
    )


def readme(name, version, description, is_warm=True):
    """The README of a model, made from its signatures.

    Args:
        name: string. What the model is called.
        version: int.
        description: dict. What `signature.json` holds.
        is_warm: bool. Whether there are requests to warm up with. Defaults to
            `True`.

    Returns:
        A string in Markdown.
    """
    parts = [
        f"# {name}",
        "",
        f"Version {version}: "
        + ", ".join(
            f"{task['model']} (`{key}`)"
            for key, task in description["tasks"].items()
        )
        + f". {description['parameters']:,} weights, "
        f"{description['backbone']['dtype']}.",
        "",
        "```shell",
        "docker compose up    # in this folder",
        "curl http://localhost:8501/v1/models/" + name,
        "```",
        "",
        "The server takes the highest numbers for the newest versions, and "
        "loads new ones by itself."
        + (" Each warms up before it is asked." if is_warm else ""),
        f"What the check found is in {version}/assets.extra/report.md.",
    ]
    for key, signature in description["signatures"].items():
        parts += [
            "",
            f"## `{key}`",
            *_signature(name, key, signature, description["tokenizer"]),
        ]
        if key == description["main"]:
            parts += ["", "It is `serving_default`, too."]
    return "\n".join(parts) + "\n"


def rest_request(key, signature, tokenizer=None):
    """The body of a REST request for a signature.

    Args:
        key: string. The name of the signature.
        signature: dict of its `inputs` and `outputs`.
        tokenizer: dict, as in `signature.json`; for inputs of integers.
            Defaults to `None`.

    Returns:
        A dict for JSON: one instance, a row.

    Example:

    >>> inputs = {"text": {"dtype": "string", "shape": [None]}}
    >>> rest_request("encode", {"inputs": inputs})["instances"]
    [{'text': 'The quick brown fox jumps over the lazy dog.'}]
    """
    instance = {
        name: _example(key, name, spec, tokenizer)
        for name, spec in signature["inputs"].items()
    }
    return {"signature_name": key, "instances": [instance]}


def _example(key, name, spec, tokenizer):
    if spec["dtype"] == "string":
        return _GAP_EXAMPLE if key == "fill" else _EXAMPLES[name]
    if "segment" in name:
        return [0, 0, 0]
    if "mask" in name:
        return [1, 1, 1]
    middle = "mask" if key == "fill_ids" else "unk"
    return [tokenizer[f"{part}_token_id"] for part in ("cls", middle, "sep")]


def _signature(name, key, signature, tokenizer):
    lines = ["", "| | | |", "|---|---|---|"]
    for part in ("inputs", "outputs"):
        for tensor, spec in signature[part].items():
            shape = ", ".join(
                "?" if size is None else str(size) for size in spec["shape"]
            )
            lines.append(
                f"| {part[:-1]} | `{tensor}` | {spec['dtype']} ({shape}) |"
            )
    body = rest_request(key, signature, tokenizer)
    return [
        *lines,
        "",
        "```shell",
        f"curl http://localhost:8501/v1/models/{name}:predict -d '"
        + json.dumps(body)
        + "'",
        "```",
        "",
        "```python",
        *_grpc(name, key, body["instances"][0]),
        "```",
    ]


def _grpc(name, key, instance):
    """Lines of Python that ask by gRPC."""
    return [
        "import grpc",
        "import tensorflow as tf",
        "from tensorflow_serving.apis import predict_pb2",
        "from tensorflow_serving.apis import prediction_service_pb2_grpc",
        "",
        'channel = grpc.insecure_channel("localhost:8500")',
        "stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)",
        "request = predict_pb2.PredictRequest()",
        f"request.model_spec.name = {json.dumps(name)}",
        f"request.model_spec.signature_name = {json.dumps(key)}",
        *(
            f"request.inputs[{json.dumps(tensor)}].CopyFrom("
            f"tf.make_tensor_proto([{json.dumps(value)}]))"
            for tensor, value in instance.items()
        ),
        "response = stub.Predict(request, timeout=30)",
        "for output, tensor in response.outputs.items():",
        "    print(output, tf.make_ndarray(tensor))",
    ]
