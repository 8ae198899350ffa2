"""The SavedModel answers through the ways that servers load it, too.

`check_export` goes through `tf.saved_model.load`; here are sessions, of
`saved_model_cli run` and of a C program. All are compared with what the live
model answered.
"""

import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from unilmv2_tf.serving import arrays
from unilmv2_tf.serving import comparison
from unilmv2_tf.serving import isolation
from unilmv2_tf.serving.clean_check import LIVE_ANSWERS

HERE = pathlib.Path(__file__).parent
# Bytes that are no UTF-8, and a megabyte, do not fit a command line.
_CLI_ROWS = 8

CLI = """
import json, os, sys
sys.path.append(sys.argv[1])
import isolation
sys.meta_path.insert(0, isolation.ForbiddenModules())
import tensorflow as tf
isolation.import_text_ops()
from tensorflow.python.tools import saved_model_cli
for arguments in json.load(sys.stdin):
    sys.argv = ["saved_model_cli", *arguments]
    try:
        saved_model_cli.main()
    except SystemExit as stop:
        if stop.code:
            raise
"""


@pytest.fixture(scope="module")
def live(exported):
    """By signature: inputs and outputs of the live model."""
    stored, _ = arrays.load(os.path.join(exported, LIVE_ANSWERS))
    parts = {}
    for key, values in stored.items():
        name, part, tensor = key.split("/")
        parts.setdefault(name, {"in": {}, "out": {}})[part][tensor] = values
    return parts


@pytest.mark.slow
def test_saved_model_cli(exported, live, tmp_path):
    calls = []
    for name, parts in live.items():
        inputs = []
        for tensor, values in parts["in"].items():
            np.save(tmp_path / f"{name}.{tensor}.npy", values[:_CLI_ROWS])
            value = f"={tmp_path}/{name}.{tensor}.npy"
            inputs.append(["--inputs", tensor + value])
            if values.dtype == object:
                value = f"={values[:_CLI_ROWS].tolist()!r}"
                inputs[-1] = ["--input_exprs", tensor + value]
        # A flag that is left out keeps its value of the call before.
        flags = []
        for flag in ("--inputs", "--input_exprs"):
            flags += [flag, ";".join(x for its, x in inputs if its == flag)]
        calls.append(
            ["run", "--dir", exported, "--tag_set", "serve",
             "--signature_def", name, *flags,
             "--outdir", str(tmp_path / name)]
        )  # fmt: skip
    folder = os.path.dirname(os.path.abspath(isolation.__file__))
    result = subprocess.run(
        [sys.executable, "-I", "-c", CLI, folder],
        input=json.dumps(calls),
        text=True,
        capture_output=True,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    for name, parts in live.items():
        actual = {
            path.stem: np.load(path, allow_pickle=True)
            for path in (tmp_path / name).glob("*.npy")
        }
        expected = {k: v[:_CLI_ROWS] for k, v in parts["out"].items()}
        assert comparison.differences(actual, expected)[0] == set(), name


@pytest.fixture(scope="module")
def loader(tmp_path_factory):
    """The C program, built with the library of TensorFlow's wheel."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    program = tmp_path_factory.mktemp("loader") / "loader"
    library = pathlib.Path(tf.sysconfig.get_lib())
    subprocess.run(
        [compiler, "-O1", f"-I{tf.sysconfig.get_include()}",
         str(HERE / "loader.c"), "-o", str(program),
         f"-L{library}", "-l:libtensorflow_cc.so.2",
         "-l:libtensorflow_framework.so.2", f"-Wl,-rpath,{library}"],
        check=True,
    )  # fmt: skip
    return program


def text_libraries():
    """The files of TensorFlow Text's operations; nothing of it is imported."""
    folder = pathlib.Path(tf.sysconfig.get_lib()).parent / "tensorflow_text"
    return [
        str(folder / "python" / "ops" / f"{name}.so")
        for name in ("_normalize_ops", "_regex_split_ops",
                     "_fast_wordpiece_tokenizer")
    ]  # fmt: skip


def packed_name(name):
    data = name if isinstance(name, bytes) else name.encode()
    return struct.pack("=i", len(data)) + data


def packed_port(info):
    name, _, index = info.name.partition(":")
    return packed_name(name) + struct.pack("=i", int(index))


def packed_tensor(values):
    dtype = tf.string if values.dtype == object else tf.as_dtype(values.dtype)
    head = struct.pack(
        f"=ii{values.ndim}q",
        dtype.as_datatype_enum, values.ndim, *values.shape,
    )  # fmt: skip
    if dtype == tf.string:
        return head + b"".join(map(packed_name, values.reshape(-1)))
    return head + np.ascontiguousarray(values).tobytes()


def unpacked_tensor(stream):
    def read(form):
        return struct.unpack(form, stream.read(struct.calcsize(form)))

    number, rank = read("=ii")
    shape = read(f"={rank}q")
    dtype = tf.as_dtype(number)
    count = int(np.prod(shape))
    if dtype == tf.string:
        values = np.empty(count, object)
        for i in range(count):
            values[i] = stream.read(*read("=i"))
        return values.reshape(shape)
    data = stream.read(count * dtype.size)
    return np.frombuffer(data, dtype.as_numpy_dtype).reshape(shape)


@pytest.mark.slow
def test_a_c_program(exported, live, loader, tmp_path):
    with open(os.path.join(exported, "saved_model.pb"), "rb") as file:
        saved = saved_model_pb2.SavedModel.FromString(file.read())
    signatures = saved.meta_graphs[0].signature_def
    requests = []
    for name, parts in live.items():
        inputs, outputs = signatures[name].inputs, signatures[name].outputs
        requests.append(
            struct.pack("=i", len(inputs))
            + b"".join(
                packed_port(info) + packed_tensor(parts["in"][key])
                for key, info in inputs.items()
            )
            + struct.pack("=i", len(outputs))
            + b"".join(map(packed_port, outputs.values()))
        )
    # Texts are hostile ones, too: one process takes them all, and lives.
    with open(tmp_path / "answers", "w+b") as answers:
        process = subprocess.run(
            [loader, exported, *text_libraries()],
            input=b"".join(requests),
            stdout=answers,
            stderr=subprocess.PIPE,
            env={"TF_CPP_MIN_LOG_LEVEL": "2", "PATH": os.environ["PATH"]},
        )
        assert process.returncode == 0, process.stderr.decode()[-2000:]
        answers.seek(0)
        for name, parts in live.items():
            actual = {
                key: unpacked_tensor(answers)
                for key in signatures[name].outputs
            }
            assert comparison.differences(actual, parts["out"])[0] == set(), (
                name
            )
        assert not answers.read()
