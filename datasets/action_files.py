"""Action sequences in files: json, npy, npz and csv in, json, npy and csv out."""

import json
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cosmos_robot.datasets.atomic_file import replaced_when_complete
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.types import FloatArray

ACTION_SUFFIXES = (".json", ".npy", ".npz", ".csv")
WRITABLE_SUFFIXES = (".json", ".npy", ".csv")

_JSON_KEYS = ("actions", "action", "data")


def read_actions(path: str | Path) -> FloatArray:
    """Read a sequence of actions, in whatever units the file holds.

    Args:
        path: a json file (a list of rows, or an object with such a list under `actions`, `action` or `data`),
            an npy file, an npz file with a single array or one called `actions`, or a csv file of rows, whose first
            line may name the columns.

    Returns:
        float32 `[T, D]`, finite: each number of the file rounded to the nearest float32 once.

    Raises:
        InvalidInputError: if the file is missing, is of another format, or does not hold a finite `[T, D]`
            array of numbers.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in ACTION_SUFFIXES:
        raise InvalidInputError(
            f"actions come from {', '.join(ACTION_SUFFIXES)} files; got {path}. Save them as one of these."
        )
    if not path.is_file():
        raise InvalidInputError(f"there is no action file {path}; check the path.")
    readers = {".json": _read_json, ".csv": _read_csv}
    values = readers.get(suffix, _read_numpy)(path)
    if values.ndim != 2 or 0 in values.shape:
        raise InvalidInputError(
            f"the action file {path} must hold at least one row, as an array of shape [T, D]; got shape {values.shape}."
        )
    with np.errstate(over="ignore"):  # becomes infinity and is reported as such
        actions = values.astype(np.float32)
    if not np.isfinite(actions).all():
        row, channel = (int(i) for i in np.argwhere(~np.isfinite(actions))[0])
        raise InvalidInputError(
            f"the action file {path} must hold finite float32 numbers; row {row}, channel {channel} is "
            f"{values[row, channel]}."
        )
    return actions


def write_actions_json(path: str | Path, actions: FloatArray) -> None:
    """Write actions as a json list of rows, one row a line, so that reading gives the same float32 bits.

    Args:
        path: the file to write, which appears only when it is complete; its folder must exist.
        actions: float32 `[T, D]`.

    Raises:
        InvalidInputError: if the actions hold NaN or infinity, which json has not, or the file cannot be
            written.
    """
    if not np.isfinite(actions).all():
        raise InvalidInputError(f"json has no NaN and no infinity; the actions for {path} hold one.")
    # `tolist` widens to float64, which repr gives exactly; the field's own files are written so, too.
    rows = ",\n".join(json.dumps(row) for row in np.asarray(actions, dtype=np.float32).tolist())
    with replaced_when_complete(Path(path)) as temporary:
        temporary.write_text(f"[\n{rows}\n]\n", encoding="utf-8")


def write_actions(path: str | Path, actions: FloatArray) -> None:
    """Write actions as json, npy or csv, by the file's name, so that reading gives the same float32 bits.

    Args:
        path: the file to write, which appears only when it is complete; its folder must exist.
        actions: float32 `[T, D]`.

    Raises:
        InvalidInputError: if the name ends otherwise, the actions hold NaN or infinity, or the file cannot be written.
    """
    path = require_writable_suffix(path)
    values = np.asarray(actions, dtype=np.float32)
    if path.suffix.lower() == ".json":
        write_actions_json(path, values)
        return
    if not np.isfinite(values).all():
        raise InvalidInputError(f"actions must be finite; those for {path} hold NaN or infinity.")
    with replaced_when_complete(path) as temporary, temporary.open("wb") as file:
        if path.suffix.lower() == ".npy":
            np.save(file, values)
        else:
            np.savetxt(file, values, fmt="%.9g", delimiter=",")  # nine digits tell any two float32 apart


def require_writable_suffix(path: str | Path) -> Path:
    """Check that actions can be written to a file of this name.

    Raises:
        InvalidInputError: if its ending is of another format.
    """
    path = Path(path)
    if path.suffix.lower() not in WRITABLE_SUFFIXES:
        raise InvalidInputError(f"actions are written to {', '.join(WRITABLE_SUFFIXES)} files; got {path}.")
    return path


def _read_csv(path: Path) -> NDArray[np.float64]:
    try:
        lines = [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"the action file {path} is not text: {error}.") from error
    rows = [line.split(",") for line in lines]
    if rows and not any(map(_is_number, rows[0])):
        rows = rows[1:]  # the names of the columns
    for index, row in enumerate(rows):
        if len(row) != len(rows[0]) or not all(map(_is_number, row)):
            raise InvalidInputError(
                f"the action file {path} must hold rows of {len(rows[0])} numbers with commas between them; "
                f"row {index} is {','.join(row)!r}."
            )
    return np.array(rows, dtype=np.float64).reshape(len(rows), -1 if rows else 0)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _read_json(path: Path) -> NDArray[np.float64]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"the action file {path} is not valid json: {error}.") from error
    if isinstance(content, dict):
        found = [key for key in _JSON_KEYS if key in content]
        if len(found) != 1:
            raise InvalidInputError(
                f"the action file {path} is a json object and must have one of the keys "
                f"{', '.join(_JSON_KEYS)}; it has {', '.join(content) or 'none'}."
            )
        content = content[found[0]]
    return _from_rows(content, path)


def _from_rows(rows: object, path: Path) -> NDArray[np.float64]:
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise InvalidInputError(
            f"the action file {path} must hold a list of rows, [[...], [...]]; a single action is [[...]]."
        )
    for index, row in enumerate(rows):
        if len(row) != len(rows[0]):
            raise InvalidInputError(
                f"the rows of the action file {path} must be of one width; row 0 has {len(rows[0])} "
                f"numbers, row {index} has {len(row)}."
            )
        for value in row:
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise InvalidInputError(f"the action file {path} must hold numbers; row {index} holds {value!r}.")
    return np.array(rows, dtype=np.float64)


def _read_numpy(path: Path) -> NDArray[np.generic]:
    try:
        loaded = np.load(path, allow_pickle=False)
        # numpy goes by the first bytes and not by the name, and reads an archive's members only now
        arrays = dict(loaded) if isinstance(loaded, np.lib.npyio.NpzFile) else {"actions": loaded}
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InvalidInputError(f"the action file {path} is not a plain numpy file: {error}.") from error
    if "actions" not in arrays and len(arrays) != 1:
        raise InvalidInputError(
            f"the action file {path} must hold one array, or one called 'actions'; "
            f"it holds {', '.join(arrays) or 'none'}."
        )
    return _numeric(arrays["actions"] if "actions" in arrays else next(iter(arrays.values())), path)


def _numeric(array: NDArray[np.generic], path: Path) -> NDArray[np.generic]:
    if not np.issubdtype(array.dtype, np.floating) and not np.issubdtype(array.dtype, np.integer):
        raise InvalidInputError(f"the action file {path} must hold numbers; its dtype is {array.dtype}.")
    return array
