"""Models for devices, in the format of LiteRT (once TensorFlow Lite)."""

import os
import tempfile
import warnings

import keras
import numpy as np
import tensorflow as tf

from unilmv2_tf.serving import comparison
from unilmv2_tf.serving import probe_texts
from unilmv2_tf.serving.signature_file import write_extra_assets
from unilmv2_tf.serving.versions import publish_version

FILE = "model.tflite"
LITE_ENDPOINTS = ("classify", "encode")
_TOLERANCE = {None: 1e-4, "float16": 0.02, "int8": 0.5}


def export_lite(endpoints, path, version=None, quantize=None):
    """Writes classifiers and encoders for LiteRT.

    TensorFlow Text's operations are not part of LiteRT, so its signatures take
    integers: `classify_ids` and `encode_ids`, see `Classify` and `Encode`. The
    vocabulary lies beside the file. It is compared with the live model before
    it appears, whole or not at all:

        path/1/model.tflite
        path/1/assets.extra/vocab.txt, signature.json

    Args:
        endpoints: list of `Classify` and `Encode`.
        path: str or path. The folder of the versions.
        version: int. Defaults to `None`, the next one.
        quantize: `"float16"` or `"int8"`: what weights are stored in; with
            int8 it is computed in integers where LiteRT can. Defaults to
            `None`, float32.

    Returns:
        The path of the version that was written, a string.

    Raises:
        ValueError: if another endpoint is given, or weights are not float32.
        RuntimeError: if the model answers differently.

    Example:

    >>> export_lite([], "models/classifier", quantize="int4")
    Traceback (most recent call last):
    ...
    ValueError: `quantize` must be one of float16, int8. Received: ...
    """
    if quantize not in _TOLERANCE:
        raise ValueError(
            "`quantize` must be one of float16, int8. Received: quantize="
            f"{quantize!r}"
        )
    for endpoint in endpoints:
        if endpoint.name not in LITE_ENDPOINTS:
            raise ValueError(
                f"LiteRT has {' and '.join(LITE_ENDPOINTS)}. Received: "
                f"{endpoint.name}, which takes operations that LiteRT has not. "
                "Export a SavedModel."
            )

    def write(folder):
        functions = _convert(endpoints, os.path.join(folder, FILE), quantize)
        write_extra_assets(folder, endpoints, functions)
        _check(endpoints, os.path.join(folder, FILE), _TOLERANCE[quantize])

    return publish_version(path, write, version)


def run_lite(path, signature, inputs):
    """Runs a model for LiteRT.

    Args:
        path: string. A `.tflite` file.
        signature: string. The name of a signature.
        inputs: dict of int32 arrays of shape `(batch, n)`.

    Returns:
        A dict of arrays.
    """
    with warnings.catch_warnings():
        # TensorFlow's interpreter will be a package of its own one day.
        warnings.simplefilter("ignore")
        interpreter = tf.lite.Interpreter(model_path=path)
    runner = interpreter.get_signature_runner(signature)
    return runner(**inputs)


def _convert(endpoints, path, quantize):
    archive = keras.export.ExportArchive()
    functions = {
        f"{endpoint.name}_ids": archive.add_endpoint(
            f"{endpoint.name}_ids",
            endpoint.lite,
            [
                tf.TensorSpec([None, None], tf.int32, name=name)
                for name in endpoint.id_inputs
            ],
        )
        for endpoint in endpoints
    }
    with tempfile.TemporaryDirectory() as folder:
        archive.write_out(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(
            folder, signature_keys=list(functions)
        )
        if quantize is not None:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if quantize == "float16":
            converter.target_spec.supported_types = [tf.float16]
        model = converter.convert()
    with open(path, "wb") as file:
        file.write(model)
    return functions


def _check(endpoints, path, tolerance):
    """Compares with the live model, one text at a time, and all together."""
    texts = list(probe_texts.PLAIN)
    for endpoint in endpoints:
        name = f"{endpoint.name}_ids"
        expected = endpoint.live_from_ids(text=texts)
        rows = endpoint.rows_of(text=texts)
        one = {key: values[:1] for key, values in rows.items()}
        width = int(one["padding_mask"].sum())
        one = {key: values[:, :width] for key, values in one.items()}
        for inputs, size in ((one, 1), (rows, len(texts))):
            different, gap = comparison.differences(
                {
                    key: np.asarray(values)
                    for key, values in run_lite(path, name, inputs).items()
                    if key != "label_id"
                },
                {
                    key: values[:size]
                    for key, values in expected.items()
                    if key != "label_id"
                },
                tolerance,
            )
            if different:
                raise RuntimeError(
                    f"`{name}` answers {len(different)} of {size} texts "
                    f"differently than the live model, by {gap:.2g} at most."
                )
