"""What a recorder writes at each time step: cameras and columns, as LeRobot's feature table names them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cosmos_robot.errors import InvalidInputError
from cosmos_robot.types import Frames, require_frame

type CameraStorage = Literal["video", "image"]

SUCCESS = "next.success"
"""LeRobot's own name for it (`lerobot/pusht`): true on the last row of an episode that reached its goal."""
GENERATED = ("timestamp", "frame_index", "episode_index", "index", "task_index")
"""Columns that LeRobot writes itself in every dataset."""
PREDICTED = "predicted."
"""Before the name of a column or camera: what a model said about it. LeRobot's policies do not look there."""
_DTYPES = ("float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool")


@dataclass(frozen=True)
class Column:
    """A numeric column.

    Attributes:
        shape: of one row; `(1,)` for a single number.
        dtype: name of a numpy dtype.
        names: of the row's numbers, where it is a vector and they are known.
    """

    shape: tuple[int, ...]
    dtype: str = "float32"
    names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.dtype not in _DTYPES:
            raise InvalidInputError(
                f"a column cannot be of dtype {self.dtype!r}; expected one of {', '.join(_DTYPES)}."
            )
        if not self.shape or min(self.shape) < 1 or len(self.shape) > 5:
            raise InvalidInputError(
                f"a column's shape has 1 to 5 positive sizes, (1,) for a single number; got {self.shape}."
            )
        if self.names is not None and (len(self.shape) != 1 or len(self.names) != self.shape[0]):
            raise InvalidInputError(f"{len(self.names)} names do not fit a column of shape {self.shape}.")


@dataclass(frozen=True)
class RecordedFeatures:
    """All that is recorded at a time step.

    Attributes:
        cameras: height and width of each camera's frames, by feature name (`observation.images.top`).
        columns: the numeric columns, by feature name (`action`, `observation.state`).
        storage: whether frames become mp4 files or PNG images in the table.
        success: whether episodes say if they reached their goal.
    """

    cameras: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    columns: Mapping[str, Column] = field(default_factory=dict)
    storage: CameraStorage = "video"
    success: bool = False

    def __post_init__(self) -> None:
        if not self.cameras and not self.columns:
            raise InvalidInputError("nothing to record: give at least one camera or column.")
        taken = {*GENERATED, "task", *((SUCCESS,) if self.success else ())}
        for name in (*self.cameras, *self.columns):
            if not name or "/" in name or name in taken:
                raise InvalidInputError(
                    f"a feature cannot be called {name!r}: names have no slash, and LeRobot writes "
                    f"{', '.join(sorted(taken))} itself."
                )
        doubled = sorted(set(self.cameras) & set(self.columns))
        if doubled:
            raise InvalidInputError(f"{', '.join(doubled)} cannot be a camera and a column at once.")
        for name, (height, width) in self.cameras.items():
            if self.storage == "video" and (height % 2 or width % 2):
                raise InvalidInputError(
                    f"camera {name!r} is {height}x{width} (HxW); video has even sides only. Record images instead."
                )

    def as_lerobot(self) -> dict[str, dict[str, Any]]:
        """The features as the lerobot library takes them."""
        features: dict[str, dict[str, Any]] = {
            name: {"dtype": self.storage, "shape": (*size, 3), "names": ["height", "width", "channels"]}
            for name, size in self.cameras.items()
        }
        for name, column in self.columns.items():
            names = None if column.names is None else list(column.names)
            features[name] = {"dtype": column.dtype, "shape": column.shape, "names": names}
        if self.success:
            features[SUCCESS] = {"dtype": "bool", "shape": (1,), "names": None}
        return features

    def row(
        self, frames: Mapping[str, Frames], values: Mapping[str, ArrayLike], number: int
    ) -> dict[str, NDArray[Any]]:
        """Check one time step and put it together.

        Args:
            frames: one frame of each camera, uint8 `[H, W, 3]`.
            values: one row of each column.
            number: of the time step, for errors.

        Raises:
            InvalidInputError: if something is missing, unknown, of another shape, not finite, or beyond the column's
                dtype.
            MediaError: if a frame is not a uint8 RGB image.
        """
        _require_names("cameras", frames, self.cameras)
        _require_names("columns", values, self.columns)
        row: dict[str, NDArray[Any]] = {}
        for name, size in self.cameras.items():
            frame = require_frame(frames[name])
            if frame.shape[:2] != tuple(size):
                raise InvalidInputError(
                    f"frame {number} of camera {name!r} is {frame.shape[0]}x{frame.shape[1]} (HxW); "
                    f"this dataset's are {size[0]}x{size[1]}."
                )
            row[name] = frame.copy()  # cameras and simulators reuse their buffers
        for name, column in self.columns.items():
            row[name] = _value(name, column, values[name], number)
        return row

    def require_same(self, stored: Mapping[str, Mapping[str, Any]], where: str) -> None:
        """Check that a dataset has just these features.

        Raises:
            InvalidInputError: if it has others; they are named.
        """
        here = {name: _comparable(feature) for name, feature in self.as_lerobot().items()}
        there = {name: _comparable(feature) for name, feature in stored.items() if name not in GENERATED}
        differing = [
            f"{name} is {there.get(name, 'absent')} there and {here.get(name, 'absent')} here"
            for name in sorted({*here, *there})
            if here.get(name) != there.get(name)
        ]
        if differing:
            raise InvalidInputError(
                f"{where} holds a dataset of other features ({'; '.join(differing)}). Choose another folder."
            )


def _value(name: str, column: Column, given: ArrayLike, number: int) -> NDArray[Any]:
    value = np.asarray(given)
    if value.shape == () and column.shape == (1,):
        value = value[None]
    if value.shape != column.shape:
        raise InvalidInputError(
            f"row {number} of column {name!r} has shape {value.shape}; this dataset's rows have {column.shape}."
        )
    if value.dtype.kind not in "biuf":
        raise InvalidInputError(f"row {number} of column {name!r} holds {value.dtype}; a column holds numbers.")
    if not np.isfinite(value).all():
        raise InvalidInputError(f"row {number} of column {name!r} holds NaN or infinity.")
    with np.errstate(over="ignore", invalid="ignore"):  # what becomes of it is looked at
        cast = value.astype(column.dtype)
    exact = np.dtype(column.dtype).kind in "biu"
    if not np.isfinite(cast).all() or (exact and not np.array_equal(cast, value)):
        raise InvalidInputError(f"row {number} of column {name!r} does not fit {column.dtype}: {value.tolist()}.")
    return cast


def _require_names(what: str, given: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    if set(given) != set(wanted):
        raise InvalidInputError(
            f"a time step has exactly the {what} {', '.join(wanted) or 'none'}; got {', '.join(given) or 'none'}."
        )


def _comparable(feature: Mapping[str, Any]) -> str:
    names = feature.get("names")
    named = "" if names is None else f" ({', '.join(map(str, names))})"
    return f"{feature['dtype']} {list(feature['shape'])}{named}"
