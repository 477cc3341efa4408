"""Packages that the benchmarks need and the library does not."""

import importlib
from typing import Any

from cosmos_robot.errors import MissingDependencyError

_EXTRAS = {"gym_pusht": "pusht", "ray": "ray", "matplotlib": "bench"}


def needed(module: str) -> Any:
    """Import a module.

    Raises:
        MissingDependencyError: if its package is not installed; the message names the extra.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        extra = _EXTRAS.get(package, "bench")
        raise MissingDependencyError(
            f"this benchmark needs {package}, which is not installed; get it with pip install 'cosmos-robot[{extra}]'."
        ) from error
