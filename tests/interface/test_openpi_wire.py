"""openpi's wire format: there and back, and beside openpi's own code where that is installed."""

import msgpack
import numpy as np
import pytest

from cosmos_robot.errors import InvalidInputError
from cosmos_robot.interface.openpi_wire import pack, unpack

SENT = {"a": np.arange(6, dtype=np.int16).reshape(2, 3), "b": np.float32(1.5), "c": ["x", {"d": np.zeros((0, 2))}]}


def same(got):
    np.testing.assert_array_equal(got["a"], SENT["a"])
    assert got["a"].dtype == np.int16
    assert (got["b"], type(got["b"])) == (np.float32(1.5), np.float32)
    assert (got["c"][0], got["c"][1]["d"].shape) == ("x", (0, 2))


def test_arrays_survive_the_wire():
    same(unpack(pack(SENT)))
    others = pack({"__ndarray__": True, "data": b"\x01\x00", "dtype": "<i2", "shape": [1]})  # words as keys
    np.testing.assert_array_equal(unpack(others), np.array([1], np.int16))


def test_openpis_own_code_reads_and_writes_the_same():
    theirs = pytest.importorskip("openpi_client.msgpack_numpy")
    assert theirs.packb(SENT) == pack(SENT)
    same(theirs.unpackb(pack(SENT)))
    same(unpack(theirs.packb(SENT)))


@pytest.mark.parametrize(
    "value",
    [
        np.array([object()]),
        np.zeros(1, complex),
        np.zeros(1, "i4,f4"),
        np.array(["a text"], np.dtypes.StringDType()),
        object(),
    ],
)
def test_what_cannot_be_sent(value):
    with pytest.raises(InvalidInputError, match="cannot be sent"):
        pack({"a": value})


def array(**changes):
    return msgpack.packb({"__ndarray__": True, "data": b"12345678", "dtype": "<f8", "shape": [1], **changes})


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        pack({"a": 1})[:-1],
        pack(1) + b"x",
        array(dtype="O"),
        array(dtype="<i4,<f4"),
        array(dtype="nonsense"),
        array(dtype="T", data=bytes(16)),
        array(shape=[2]),
        array(shape=[-1]),
        array(shape="x"),
        array(data=7),
        array(data=None),
        array(data=None, shape=[10**12]),
        array(data=b"12345678" * 2),
        array(data=b"123456789"),
        array(data=b"", dtype="S0", shape=[10**12]),
        msgpack.packb({"__npgeneric__": True, "data": 300, "dtype": "|i1"}),
        msgpack.packb({"__ndarray__": True}),
        b"\x81" * 5000,
    ],
)
def test_what_cannot_be_read_is_one_sentence(data):
    with pytest.raises(InvalidInputError, match="openpi's form"):
        unpack(data)
