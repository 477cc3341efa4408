"""Arrow columns of numbers, or of lists of numbers, as numpy arrays."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray


class RowError(ValueError):
    """A row that has not the numbers of the others.

    Attributes:
        row: its number among the rows that were read.
    """

    def __init__(self, message: str, row: int) -> None:
        super().__init__(message)
        self.row = row


def as_array(values: pa.ChunkedArray) -> NDArray[Any]:
    """Arrow numbers, or lists of them of one length, as an array.

    Returns:
        `[N]` for numbers, `[N, D]` for lists, `[N, A, B]` for lists of lists; the dtype is the column's own.

    Raises:
        RowError: if a value is missing, a list is of another length, or these are no numbers.
    """
    array = values.combine_chunks() if values.num_chunks != 1 else values.chunk(0)
    return np.array(_dense(array))  # a copy: what is cached is not the caller's to change


def is_numeric(kind: pa.DataType) -> bool:
    """Whether `as_array` makes an array of such a column."""
    while pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        kind = kind.value_type
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def _dense(array: pa.Array) -> NDArray[Any]:
    if isinstance(array, pa.ExtensionArray):  # Hugging Face's fixed-shape arrays
        array = array.storage
    if array.null_count:
        row = int(np.argmax(as_numbers(array.is_null())))
        raise RowError("a value is missing", row)
    if pa.types.is_fixed_size_list(array.type):
        return _rows_of(_dense(array.flatten()), len(array), array.type.list_size)
    if pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        lengths = np.diff(as_numbers(array.offsets))
        width = int(lengths[0]) if len(lengths) else 0
        if (lengths != width).any():
            row = int(np.argmax(lengths != width))
            raise RowError(f"it has {lengths[row]} numbers and not {width}", row)
        try:
            inner = _dense(array.flatten())
        except RowError as error:
            raise RowError(str(error), error.row // max(width, 1)) from error
        return _rows_of(inner, len(array), width)
    if not is_numeric(array.type):
        raise RowError(f"it holds {array.type} and no number", 0)
    return as_numbers(array)


def _rows_of(inner: NDArray[Any], rows: int, width: int) -> NDArray[Any]:
    return inner.reshape(rows, width, *inner.shape[1:])


def as_numbers(array: pa.Array | pa.ChunkedArray) -> NDArray[Any]:
    """Arrow numbers without nulls as an array `[N]`, which may be a view that is not to be written to.

    Arrow's own `to_numpy` imports pandas where that is installed, which takes longer than opening a large dataset.
    """
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()  # an Array, of no elements where there was no chunk
    if not len(array):
        return np.empty(0, dtype=array.type.to_pandas_dtype())
    if pa.types.is_boolean(array.type):  # bits, which numpy has not
        return np.from_dlpack(pc.cast(array, pa.uint8())).astype(bool)
    return np.from_dlpack(array)
