"""Pickles that want to run code: refused by name, and nothing runs."""

import pathlib
import pickle
import struct
import subprocess
import sys

import pytest

from unilmv2_tf.checkpoints.readers import read_tensors
from unilmv2_tf.checkpoints.weights_pickle import UnreadableCheckpoint
from unilmv2_tf.checkpoints.weights_pickle import read_weights_pickle


class Reduced:
    """Pickles as a call of any function."""

    def __init__(self, function, *arguments):
        self._call = function, arguments

    def __reduce__(self):
        return self._call


def payload(sentinel):
    return f"open({str(sentinel)!r}, 'w').close()"


def shell(sentinel):
    import os

    return Reduced(os.system, f"touch {sentinel}")


def evaluated(sentinel):
    return Reduced(eval, payload(sentinel))


def executed(sentinel):
    return Reduced(exec, payload(sentinel))


def spawned(sentinel):
    return Reduced(subprocess.call, [sys.executable, "-c", payload(sentinel)])


def touched(sentinel):
    return Reduced(pathlib.Path.touch, pathlib.Path(sentinel))


def nested(sentinel):
    return {"a": {"b": [(1, evaluated(sentinel))]}}


def in_state(sentinel):
    """`OrderedDict` is allowed, its state holds the call."""
    import collections

    class Mapping(collections.OrderedDict):
        pass

    mapping = collections.OrderedDict(weight=1)
    mapping._metadata = evaluated(sentinel)
    return mapping


CALLS = {
    shell: "system",
    evaluated: "eval",
    executed: "exec",
    spawned: "call",
    touched: "getattr",
    nested: "eval",
    in_state: "eval",
}


def assert_refused(writer, tmp_path, data, reason):
    sentinel = tmp_path / "sentinel"
    path = writer.write(tmp_path / "evil.bin", data)
    with pytest.raises(ValueError, match=reason):
        read_tensors(path)
    with pytest.raises(UnreadableCheckpoint, match=reason):
        read_weights_pickle(data)
    assert not sentinel.exists()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("make", [shell, evaluated, in_state])
def test_the_payloads_do_run_in_plain_pickle(make, protocol, tmp_path):
    sentinel = tmp_path / "sentinel"
    pickle.loads(pickle.dumps(make(sentinel), protocol=protocol))
    assert sentinel.exists()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("make", CALLS)
def test_calls_are_refused_by_name(make, protocol, writer, tmp_path):
    data = pickle.dumps(make(tmp_path / "sentinel"), protocol=protocol)
    reason = CALLS[make]
    if make is touched and protocol >= 2:
        # Since protocol 2 a path is rebuilt first, by its class.
        reason = "pathlib|getattr"
    assert_refused(writer, tmp_path, data, reason)


def test_call_hidden_in_a_persistent_id(writer, tmp_path):
    call = (
        writer.name("os", "system")
        + b"("
        + writer.plain(f"touch {tmp_path / 'sentinel'}")
        + b"tR"
    )
    storage = writer.storage("0", "float32", 1, kind=call)
    data = writer.dictionary({"weight": writer.tensor(storage, (1,), (1,))})
    assert_refused(writer, tmp_path, data, r"`os\.system`")


def test_function_as_type_of_a_storage(writer, tmp_path):
    storage = writer.storage(
        "0", "float32", 1, kind=writer.name("builtins", "exec")
    )
    data = writer.dictionary({"weight": writer.tensor(storage, (1,), (1,))})
    assert_refused(writer, tmp_path, data, r"`builtins\.exec`")


def test_name_that_is_built_on_the_stack(writer, tmp_path):
    """STACK_GLOBAL: the name is no argument of the operation."""
    call = (
        writer.plain("posix")
        + writer.plain("system")
        + b"\x93("
        + writer.plain(f"touch {tmp_path / 'sentinel'}")
        + b"tR"
    )
    data = b"\x80\x04" + call + b"."
    assert_refused(writer, tmp_path, data, r"`posix\.system`")


@pytest.mark.parametrize(
    "module, name",
    [
        ("torch._utils", "_rebuild_tensor_v2.__globals__"),
        ("torch", "load"),
        ("torch", "_rebuild_tensor_v2"),
        ("collections", "OrderedDict.__init__.__globals__"),
        ("collections", "namedtuple"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("unilmv2_tf.checkpoints.readers", "read_tensors"),
        ("torch._utils", "_rebuild_parameter"),
    ],
)
def test_names_near_the_allowed_ones(module, name, writer, tmp_path):
    data = b"\x80\x02" + writer.name(module, name) + b"."
    assert_refused(writer, tmp_path, data, name.replace(".", r"\."))


@pytest.mark.parametrize(
    "data, reason",
    [
        (b"\x80\x02\x82\x01.", "operation EXT1"),
        (b"(ios\nsystem\n.", r"os\.system"),
        (b"\x80\x02ccollections\nOrderedDict\n)\x81.", "operation NEWOBJ"),
        (b"P0\n.", "operation PERSID"),
        (b"\x80\x02}r\xff\xff\xff\x7f.", "memo entry 2147483647"),
        (b"\x80\x02]K\x01Q.", "storage must be described"),
        (b"\x80\x02" + b"(" * 40, "damaged"),
        (b"", "damaged"),
        (b"\x80\x02X\xff\xff\xff\x7fab.", "damaged"),
        (b"\x80\x02K\x01R.", "damaged"),
        (b"\x80\x02K\x01)R.", "damaged"),
        (b"\x80\x02}]K\x01s.", "damaged"),
    ],
)
def test_operations_of_no_use_to_weights(data, reason, writer, tmp_path):
    assert_refused(writer, tmp_path, data, reason)


@pytest.mark.parametrize(
    "name",
    [
        ("torch._utils", "_rebuild_tensor_v2"),
        ("collections", "OrderedDict"),
        ("torch", "FloatStorage"),
    ],
)
@pytest.mark.parametrize("slots", [False, True])
def test_build_cannot_write_into_a_stand_in(name, slots, writer, tmp_path):
    """BUILD sets attributes of whatever object lies below the state."""
    state = b"}" + writer.plain("dtype") + writer.plain("forged") + b"s"
    if slots:
        state = b"N" + state + b"\x86"
    data = b"\x80\x02" + writer.name(*name) + state + b"b."
    assert_refused(writer, tmp_path, data, "damaged")
    good = writer.tensor(writer.storage("0", "float32", 2), (2,), (1,))
    records = read_weights_pickle(writer.dictionary({"weight": good}))
    assert records["weight"].storage.dtype == "float32"


@pytest.mark.parametrize(
    "content, reason",
    [
        ([1, 2], "Received: list"),
        ({1: 2}, "strings. Received: 1"),
        ({"epoch": 3}, "Received int under 'epoch'"),
        ({"model": {}, "optimizer": {}}, "Received dict under 'model'"),
        ({"lr": 0.5}, "Received float under 'lr'"),
    ],
)
def test_content_other_than_named_tensors(content, reason):
    with pytest.raises(ValueError, match=reason):
        read_weights_pickle(pickle.dumps(content, protocol=2))


def test_huge_pickle_is_not_read():
    data = b"\x80\x02" + b"N0" * (3 * 2**20) + b"."
    with pytest.raises(ValueError, match="at most"):
        read_weights_pickle(data)


def test_a_refused_module_is_not_even_imported(writer):
    assert "antigravity" not in sys.modules
    with pytest.raises(ValueError, match="antigravity"):
        read_weights_pickle(
            b"\x80\x02" + writer.name("antigravity", "fly") + b"."
        )
    assert "antigravity" not in sys.modules


def test_framed_protocol_4(writer):
    """`torch.save(..., pickle_protocol=4)` frames its operations."""
    tensor = writer.tensor(writer.storage("0", "float32", 2), (2,), (1,))
    body = writer.dictionary({"weight": tensor})[2:]
    data = b"\x80\x04\x95" + struct.pack("<Q", len(body)) + body
    assert read_weights_pickle(data)["weight"].shape == (2,)
