"""The SavedModel works in a session of TensorFlow's C API, as in servers.

`check_export` goes through `tf.saved_model.load`. Both are compared with what
the live model answered.
"""

import os
import pathlib
import shutil
import struct
import subprocess

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from unilmv2_tf.serving.clean_process import LIVE_ANSWERS
from unilmv2_tf.serving.clean_process import differences
from unilmv2_tf.serving.clean_process import load_answers

HERE = pathlib.Path(__file__).parent


@pytest.fixture(scope="module")
def live(exported):
    """By signature: inputs and outputs of the live model."""
    return load_answers(os.path.join(exported, LIVE_ANSWERS))


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
                packed_port(info) + packed_tensor(parts["inputs"][key])
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
            assert differences(actual, parts["outputs"])[0] == set(), name
        assert not answers.read()
