"""What a benchmark run is: which suite, of which world model, on which episodes, with which settings."""

import tomllib
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from cosmos_robot.domains.nearest_names import did_you_mean
from cosmos_robot.errors import InvalidInputError

SUITES = ("forward-dynamics", "inverse-dynamics", "policy")

_NOT_FIGURES = ("name", "batch", "keep_predictions")
"""Settings that do not change what is measured: a run may go on with other ones."""


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """A run. What is None is the domain's or the checkpoint's to decide.

    Attributes:
        suite: one of `SUITES`.
        episodes: what `open_episodes` opens, or `pusht-held-out` (see `run_episodes.py`).
        domain: name or alias of a domain, or the path of a domain file.
        name: of the run, where a file has several.
        checkpoint: of the world model.
        device: that it runs on.
        dtype: of its weights.
        rows: windows at most, drawn with `seed`; None takes all.
        horizon: actions of a window; None is `chunk`. A longer one is chained from chunks.
        chunk: actions of one generation.
        stride: time steps from window to window; None is the horizon, so that they do not overlap.
        noises: seeds of the noise for each window.
        samples: of a policy for each window, for the best of them.
        seed: of all draws.
        num_steps: denoising steps, as the following.
        guidance: classifier-free guidance scale.
        shift: flow shift.
        fps: frames a second of the windows.
        image_size: resolution tier.
        view_point: where the camera stands.
        prompt: instead of the episodes' own.
        controls: whether what is wrong on purpose is measured too: other actions, zero actions.
        consistency: whether imagined frames are read by inverse dynamics.
        fvd_weights: I3D as TorchScript.
        batch: rows of one call.
        keep_predictions: whether what was predicted is kept.

    Raises:
        InvalidInputError: if a setting is unknown or out of its range.
    """

    suite: str
    episodes: str
    domain: str
    name: str = ""
    checkpoint: str | None = None
    device: str | None = None
    dtype: str | None = None
    rows: int | None = None
    horizon: int | None = None
    chunk: int | None = None
    stride: int | None = None
    noises: int = 1
    samples: int = 1
    seed: int = 0
    num_steps: int | None = None
    guidance: float | None = None
    shift: float | None = None
    fps: float | None = None
    image_size: int | str | None = None
    view_point: str | None = None
    prompt: str | None = None
    controls: bool = True
    consistency: bool = True
    fvd_weights: str | None = None
    batch: int = 1
    keep_predictions: bool = False

    def __post_init__(self) -> None:
        if self.suite not in SUITES:
            raise InvalidInputError(
                f"there is no suite {self.suite!r}{did_you_mean(self.suite, SUITES)}; \
there are {', '.join(SUITES)}."
            )
        least = {"rows": self.rows, "noises": self.noises, "samples": self.samples, "batch": self.batch}
        for name, value in least.items():
            if value is not None and value < 1:
                raise InvalidInputError(f"{name} must be at least 1; got {value}.")
        if self.seed < 0:
            raise InvalidInputError(f"seed must not be negative; got {self.seed}.")
        if self.samples > 1 and self.suite != "policy":
            raise InvalidInputError("samples is for the policy suite; other suites take noises, the seeds of a window.")

    def identity(self) -> dict[str, Any]:
        """Everything that the figures depend on, as plain data."""
        return {key: value for key, value in asdict(self).items() if key not in _NOT_FIGURES}


def read_run_file(path: Path) -> list[RunConfig]:
    """Read a TOML file that names runs: `[defaults]` for all, and a `[[run]]` with a `name` for each.

    Relative paths of checkpoints, episodes and domain files are relative to the file where there is such a file.

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
    runs = [_run({**defaults, **table}, path) for table in tables]
    names = [run.name for run in runs]
    if "" in names or len(set(names)) < len(names):
        raise InvalidInputError(f"{path}: each [[run]] needs a name of its own, which becomes its folder.")
    return runs


def _run(table: dict[str, Any], path: Path) -> RunConfig:
    known = [field.name for field in fields(RunConfig)]
    for key in table:
        if key not in known:
            raise InvalidInputError(f"{path}: unknown key {key!r}{did_you_mean(key, known)}.")
    for key in ("suite", "episodes", "domain"):
        if key not in table:
            raise InvalidInputError(f"{path}: a run lacks the key {key!r}.")
    for key in ("checkpoint", "episodes", "domain", "fvd_weights"):
        beside = path.parent / str(table.get(key))
        if key in table and beside.exists():
            table[key] = str(beside.resolve())
    return RunConfig(**table)
