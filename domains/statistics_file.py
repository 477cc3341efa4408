"""A normaliser whose figures stand in a file of their own, as `cosmos-robot stats` and cosmos-framework write them.

[normaliser]
method = "quantile"
file = "my_statistics.json"    # beside the domain file; json or toml
block = "global_raw"           # where the file has several, as the framework's LIBERO statistics have
"""

import json
import tomllib
from pathlib import Path
from typing import Any

from cosmos_robot.errors import InvalidInputError

FIGURES = {
    "quantile": ("q01", "q99"),
    "quantile_rot": ("q01", "q99"),
    "asinh_rot": ("q01", "q99"),
    "piecewise_asinh_rot": ("q01", "q99"),
    "quantile_rot_scale_floor": ("q01", "q99", "min", "max"),
    "minmax": ("min", "max"),
    "meanstd": ("mean", "std"),
}
"""Which figures each method takes."""


def with_statistics(table: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Put the figures of a statistics file in the place of the `file` that a domain's normaliser names.

    Args:
        table: a domain file.
        folder: what the name is relative to.

    Returns:
        The table, with the figures that the normaliser's method takes; as it is where no file is named.

    Raises:
        InvalidInputError: if the file cannot be read, or has not those figures as lists of numbers.
    """
    normaliser = table.get("normaliser")
    if not isinstance(normaliser, dict) or "file" not in normaliser:
        return table
    rest = {key: value for key, value in normaliser.items() if key not in ("file", "block")}
    path = folder / str(normaliser["file"])
    statistics = _read(path)
    if "block" in normaliser:
        statistics = _figures_of(statistics, str(normaliser["block"]), path)
    wanted = FIGURES.get(str(rest.get("method")), ())
    missing = [name for name in wanted if name not in statistics]
    if missing:
        raise InvalidInputError(
            f"normaliser: {path} has no {missing[0]}; it has {', '.join(statistics) or 'nothing'}. "
            f"Statistics in several blocks are chosen by block = ..."
        )
    figures = {name: _numbers(statistics[name], name, path) for name in wanted}
    return {**table, "normaliser": {"source": str(normaliser["file"]), **rest, **figures}}


def _numbers(figures: Any, name: str, path: Path) -> list[float]:
    if not isinstance(figures, list) or any(type(figure) not in (int, float) for figure in figures):
        raise InvalidInputError(f"normaliser: {name} in {path} must be a list of numbers, one for each channel")
    return figures


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        content = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except OSError as error:
        raise InvalidInputError(f"normaliser: cannot read {path} ({error.strerror or error})") from error
    except (tomllib.TOMLDecodeError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"normaliser: {path} is neither json nor toml ({error})") from error
    if not isinstance(content, dict):
        raise InvalidInputError(f"normaliser: {path} holds no table of statistics")
    return content


def _figures_of(statistics: dict[str, Any], block: str, path: Path) -> dict[str, Any]:
    found = statistics.get(block)
    if not isinstance(found, dict):
        blocks = [name for name, value in statistics.items() if isinstance(value, dict)]
        raise InvalidInputError(f"normaliser: {path} has no block {block!r}; it has {', '.join(blocks) or 'none'}")
    return found
