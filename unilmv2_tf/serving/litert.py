"""Classifiers and encoders for devices, in the format of LiteRT."""

import os
import tempfile
import warnings

import keras
import tensorflow as tf

from unilmv2_tf.serving.clean_process import differences
from unilmv2_tf.serving.export_check import PLAIN
from unilmv2_tf.serving.saved_model import add_signature
from unilmv2_tf.serving.saved_model import write_extra_assets
from unilmv2_tf.serving.server_folder import publish_version

_TOLERANCE = {None: 1e-4, "float16": 0.02, "int8": 0.5}


def export_litert(endpoints, path, version=None, quantize=None):
    """Writes and checks `path/1/model.tflite`; returns the folder."""
    # Its signatures take integers: LiteRT lacks TensorFlow Text's operations.
    if quantize not in _TOLERANCE:
        raise ValueError(
            "`quantize` must be one of float16, int8. Received: quantize="
            f"{quantize!r}"
        )
    for endpoint in endpoints:
        if not endpoint.runs_on_litert:
            raise ValueError(
                "LiteRT has classify and encode. Received: "
                f"{endpoint.name}, which needs operations that LiteRT lacks. "
                "Export a SavedModel."
            )

    def write(folder):
        file = os.path.join(folder, "model.tflite")
        functions = _convert(endpoints, file, quantize)
        write_extra_assets(folder, endpoints, functions)
        for endpoint in endpoints:
            _check(endpoint, file, _TOLERANCE[quantize])

    return publish_version(path, write, version)


def run_litert(path, signature, inputs):
    """Runs a signature of a `.tflite` file on a dict of int32 arrays."""
    with warnings.catch_warnings():
        # TensorFlow announces that its interpreter will move.
        warnings.simplefilter("ignore")
        interpreter = tf.lite.Interpreter(model_path=path)
    return interpreter.get_signature_runner(signature)(**inputs)


def _convert(endpoints, path, quantize):
    archive = keras.export.ExportArchive()
    functions = {}
    for endpoint in endpoints:
        name = f"{endpoint.name}_ids"
        functions[name] = add_signature(
            archive,
            name,
            # Nobody pads the requests of a device.
            lambda endpoint=endpoint, **rows: endpoint.compute(rows),
            endpoint.id_inputs,
            tf.TensorSpec([None, None], tf.int32),
        )
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


def _check(endpoint, path, tolerance):
    """Compares with the live model, one short text and all texts together."""
    name = f"{endpoint.name}_ids"
    texts = list(PLAIN)
    rows = endpoint.live_rows(text=texts)
    expected = endpoint.live_ids(**rows)
    width = int(rows["padding_mask"][0].sum())
    one = {key: values[:1, :width] for key, values in rows.items()}
    # Rounding may change the best of two nearly equal classes.
    expected.pop("label_id", None)
    for inputs, size in ((one, 1), (rows, len(texts))):
        actual = run_litert(path, name, inputs)
        different, gap = differences(
            {key: actual[key] for key in expected},
            {key: values[:size] for key, values in expected.items()},
            tolerance,
        )
        if different:
            raise RuntimeError(
                f"`{name}` answers {len(different)} of {size} texts "
                f"differently than the live model, by {gap:.2g} at most."
            )
