"""Requests that a server runs before it takes others."""

import json
import os

WARM_UP = os.path.join("assets.extra", "tf_serving_warmup_requests")
_BATCH_SIZES = (1, 8, 32)
_WORDS = "the quick brown fox jumps over the lazy dog ".split()


def write_warm_up(folder, description, model_name, warm_up=None):
    """Writes `assets.extra/tf_serving_warmup_requests`.

    TensorFlow Serving runs every request in it when it loads a version, so
    that memory is allocated and graphs are optimized before the first user
    comes. There is a request for each signature of strings (of integers, where
    there are no others), at batch sizes 1, 8 and 32, and one for each bucket
    of lengths.

    Args:
        folder: string. A SavedModel with `assets.extra`.
        description: dict. What `signature.json` holds.
        model_name: string. What the server will call the model.
        warm_up: bool. Defaults to `None`: if tensorflow-serving-api is there.

    Returns:
        How many requests were written, an int.

    Raises:
        ImportError: if `warm_up=True` and tensorflow-serving-api is missing.
    """
    if warm_up is False:
        return 0
    try:
        from tensorflow_serving.apis import predict_pb2
        from tensorflow_serving.apis import prediction_log_pb2
    except ImportError as error:
        if warm_up is None:
            return 0
        raise ImportError(
            "Requests to warm up a server need tensorflow-serving-api: pip "
            "install 'unilmv2_tf[serving]'. Or export without them."
        ) from error
    import tensorflow as tf

    count = 0
    with tf.io.TFRecordWriter(os.path.join(folder, WARM_UP)) as writer:
        for name, inputs in _requests(description):
            request = predict_pb2.PredictRequest()
            request.model_spec.name = model_name
            request.model_spec.signature_name = name
            for key, value in inputs.items():
                request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
            log = prediction_log_pb2.PredictionLog(
                predict_log=prediction_log_pb2.PredictLog(request=request)
            )
            writer.write(log.SerializeToString())
            count += 1
    return count


def read_description(folder):
    """What `assets.extra/signature.json` of a SavedModel says.

    Args:
        folder: string. A SavedModel that `export_model` wrote.

    Returns:
        A dict.
    """
    path = os.path.join(folder, "assets.extra", "signature.json")
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def _requests(description):
    """Pairs of a signature and its inputs: the main one's come last."""
    signatures = {
        name: list(signature["inputs"].items())
        for name, signature in description["signatures"].items()
    }
    of_strings = {
        name: inputs
        for name, inputs in signatures.items()
        if inputs[0][1]["dtype"] == "string"
    }
    for name, inputs in reversed((of_strings or signatures).items()):
        buckets = _buckets(description, name)
        for batch_size, width in [
            *((1, width) for width in buckets),
            *((size, buckets[0]) for size in _BATCH_SIZES[1:]),
        ]:
            yield (
                name,
                {
                    key: _value(key, spec, batch_size, width, description)
                    for key, spec in inputs
                },
            )


def _buckets(description, name):
    task = description["tasks"][name.split("_")[0]]
    length = task.get("encoder_sequence_length") or task["sequence_length"]
    return tuple(task["buckets"] or (length,))


def _value(key, spec, batch_size, width, description):
    import numpy as np

    if spec["dtype"] == "string":
        # Words may be several tokens: then the row is cut at its length.
        words = [_WORDS[i % len(_WORDS)] for i in range(max(1, width - 2))]
        if key == "question":
            words = ["what", "jumps", "?"]
        elif key in ("text_a", "text_b"):
            words = words[: max(1, len(words) // 2)]
        text = " ".join(words)
        return np.array([text.encode()] * batch_size, object)
    tokenizer = description["tokenizer"]
    if "segment" in key:
        return np.zeros([batch_size, width], "int32")
    if "mask" in key:
        return np.ones([batch_size, width], "int32")
    row = np.full([batch_size, width], tokenizer["unk_token_id"], "int32")
    row[:, 0] = tokenizer["cls_token_id"]
    row[:, -1] = tokenizer["sep_token_id"]
    return row
