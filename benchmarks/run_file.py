"""A TOML file that names benchmark runs, as `bench_embedded.toml` does."""

import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

from cosmos_robot.benchmarks.run_config import WINDOW_SUITES, RunConfig
from cosmos_robot.benchmarks.suites import SUITE_OF
from cosmos_robot.domains.nearest_names import did_you_mean
from cosmos_robot.errors import InvalidInputError

_PATHS = ("checkpoint", "episodes", "domain", "fvd_weights", "clip_weights")


def read_run_file(path: Path) -> list[RunConfig]:
    """Read a TOML file that names runs: `[defaults]` for all, and a `[[run]]` with a `name` for each.

    Of the defaults a run takes those that its suite knows. Relative paths of checkpoints, episodes and domain files are
    relative to the file where there is such a file.

    Raises:
        InvalidInputError: if it cannot be read, or a key is unknown or missing.
    """
    try:
        with path.open("rb") as file:
            found = tomllib.load(file)
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise InvalidInputError(f"cannot read {path} as TOML: {error}.") from error
    defaults, tables = found.pop("defaults", {}), found.pop("run", [])
    if found or not isinstance(tables, list) or not tables:
        raise InvalidInputError(f"{path} must have at least one [[run]], and beside them [defaults] alone.")
    runs = [_run(defaults, table, path) for table in tables]
    names = [run.name for run in runs]
    if "" in names or len(set(names)) < len(names):
        raise InvalidInputError(f"{path}: each [[run]] needs a name of its own, which becomes its folder.")
    return runs


def _run(defaults: dict[str, Any], table: dict[str, Any], path: Path) -> RunConfig:
    for key in ("suite", "domain"):
        if key not in table and key not in defaults:
            raise InvalidInputError(f"{path}: a run lacks the key {key!r}.")
    suite = SUITE_OF.get(str(table.get("suite", defaults.get("suite"))))
    shared = {field.name for field in fields(RunConfig)} - {"own"}
    own = set() if suite is None or suite.settings is None else {field.name for field in fields(suite.settings)}
    everywhere = own | {field.name for each in SUITE_OF.values() if each.settings for field in fields(each.settings)}
    for keys, known in ((table, shared | own), (defaults, shared | everywhere)):
        for key in keys:
            if key not in known:
                raise InvalidInputError(f"{path}: unknown key {key!r}{did_you_mean(key, sorted(known))}.")
    if table.get("suite", defaults.get("suite")) not in WINDOW_SUITES:
        defaults = {key: value for key, value in defaults.items() if key != "episodes"}
    values = {key: _resolved(key, value, path) for key, value in (defaults | table).items() if key in shared | own}
    mine = {key: values.pop(key) for key in own & values.keys()}
    settings = suite.settings(**mine) if suite is not None and suite.settings is not None else None
    return RunConfig(**values, own=settings)


def _resolved(key: str, value: Any, path: Path) -> Any:
    beside = path.parent / str(value)
    return str(beside.resolve()) if key in _PATHS and beside.exists() else value
