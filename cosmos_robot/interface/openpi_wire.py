"""openpi's wire format: msgpack with numpy arrays in it. No torch, no network.

An array travels as a map with the keys `__ndarray__`, `data`, `dtype` and `shape`, a numpy number as one with
`__npgeneric__`, `data` and `dtype`; openpi writes these keys as bytes, other programs as words. Both are read, bytes
are written. openpi's own package wants an older numpy than this library, so its few lines are here.
"""

from types import ModuleType
from typing import Any

import numpy as np

from cosmos_robot.errors import InvalidInputError, MissingDependencyError

_NO_NUMBERS = "OVcT"
"""Kinds of dtype that go in neither direction: openpi refuses objects, structures and complex numbers, and the bytes of
numpy's texts of any length (`StringDType`) are addresses of this process."""


def pack(value: Any) -> bytes:
    """Write plain data with numpy arrays in it.

    Raises:
        InvalidInputError: if something in it cannot be written.
        MissingDependencyError: if msgpack is not installed.
    """
    packed: bytes = require_msgpack().packb(value, default=_write_array)
    return packed


def unpack(data: bytes) -> Any:
    """Read what `pack`, or openpi's own code, wrote. The arrays cannot be written to.

    Raises:
        InvalidInputError: if it is no msgpack, or an array in it has fewer or more bytes than its shape.
        MissingDependencyError: if msgpack is not installed.
    """
    msgpack = require_msgpack()
    try:
        return msgpack.unpackb(data, object_hook=_read_array)
    except (ValueError, TypeError, KeyError, OverflowError) as error:  # what msgpack and numpy raise for other bytes
        raise InvalidInputError(f"the message is no msgpack of openpi's form: {error}.") from error


def require_msgpack() -> ModuleType:
    """Import msgpack.

    Raises:
        MissingDependencyError: if it is not installed.
    """
    try:
        import msgpack
    except ImportError as error:
        raise MissingDependencyError(
            "openpi's protocol needs msgpack, which is not installed; get it with pip install 'cosmos-robot[openpi]'."
        ) from error
    module: ModuleType = msgpack
    return module


def _write_array(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in _NO_NUMBERS:
        raise InvalidInputError(f"an array of {value.dtype} cannot be sent in openpi's protocol.")
    if isinstance(value, np.ndarray):
        return {b"__ndarray__": True, b"data": value.tobytes(), b"dtype": value.dtype.str, b"shape": value.shape}
    if isinstance(value, np.generic):
        return {b"__npgeneric__": True, b"data": value.item(), b"dtype": value.dtype.str}
    raise InvalidInputError(f"a {type(value).__name__} cannot be sent in openpi's protocol.")


def _read_array(found: dict[Any, Any]) -> Any:
    given = {key.decode() if isinstance(key, bytes) else key: value for key, value in found.items()}
    if "__ndarray__" in given:
        shape = tuple(given["shape"])
        if any(side < 0 for side in shape):  # numpy takes these
            raise ValueError(f"an array of shape {shape}")
        return np.frombuffer(given["data"], _dtype(given["dtype"])).reshape(shape)
    if "__npgeneric__" in given:
        return _dtype(given["dtype"]).type(given["data"])
    return found


def _dtype(name: Any) -> np.dtype[Any]:
    dtype: np.dtype[Any] = np.dtype(name.decode() if isinstance(name, bytes) else str(name))
    if dtype.kind in _NO_NUMBERS:
        raise ValueError(f"an array of {dtype} is not taken")
    return dtype
