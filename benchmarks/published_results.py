"""The figures of the benchmark runs as the repository keeps them: one small JSON file, made of the runs' rows alone."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cosmos_robot.benchmarks.bootstrap_interval import Estimate
from cosmos_robot.benchmarks.report_figures import RunFigures, compare, curve, read_figures
from cosmos_robot.benchmarks.report_text import machines
from cosmos_robot.benchmarks.suite import MODEL, plain
from cosmos_robot.errors import InvalidInputError

RESULTS = Path(__file__).with_name("results") / "embedded.json"
DRAWN = ("psnr",)
"""Figures that are kept step by step, for the plot."""

_QUIET = ("checkpoint", "checkpoint_digest")
_NOT_KEPT = ("host",)


@dataclass(frozen=True)
class Results:
    """What is in the file.

    Attributes:
        checkpoint_digest: of the weights that were measured.
        machines: that they were measured on.
        runs: by name: its settings, rows, figures, curves, and why figures are absent.
        gates: the golden gates, as `bench golden` writes them.
    """

    checkpoint_digest: str
    machines: list[dict[str, Any]]
    runs: Mapping[str, Mapping[str, Any]]
    gates: list[dict[str, Any]]

    @classmethod
    def read(cls, path: Path = RESULTS) -> "Results":
        """Read the file."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))

    def write(self, path: Path = RESULTS) -> None:
        """Write the file; a figure is a line, so that a change is seen."""
        path.parent.mkdir(exist_ok=True)
        text = json.dumps(asdict(self), indent=1, ensure_ascii=False)
        path.write_text(text + "\n", encoding="utf-8")

    def figure(self, run: str, metric: str, variant: str = MODEL) -> Estimate | None:
        """A figure, or None where the run has not got it."""
        found = self.runs[run]["figures"].get(metric, {}).get(variant)
        return None if found is None else Estimate(*found)

    def variants(self, run: str, metric: str) -> list[str]:
        """The model and its controls."""
        return list(self.runs[run]["figures"].get(metric, {}))


def collect(folder: Path, names: list[str]) -> Results:
    """Put the runs in a folder together.

    Args:
        folder: with a folder for each run, and `golden/gates.json`.
        names: of the runs.

    Raises:
        InvalidInputError: if a run is not whole, or runs are of different weights.
    """
    found = [read_figures(folder / name) for name in names]
    for run in found:
        if len(run.rows) < run.planned:
            raise InvalidInputError(f"{run.folder} has {len(run.rows)} of {run.planned} rows; run it to its end first.")
    digests = {run.head["checkpoint_digest"] for run in found}
    if len(digests) != 1:
        raise InvalidInputError(f"the runs in {folder} are of different weights: {', '.join(sorted(digests))}.")
    gates = json.loads((folder / "golden" / "gates.json").read_text(encoding="utf-8"))
    if gates["failed"]:
        raise InvalidInputError(f"{len(gates['failed'])} golden samples failed; run bench golden again.")
    every = [machine for run in found for machine in machines(run)]
    kept = [{key: value for key, value in machine.items() if key not in _NOT_KEPT} for machine in every]
    return Results(
        checkpoint_digest=digests.pop(),
        machines=[dict(pairs) for pairs in dict.fromkeys(tuple(machine.items()) for machine in kept)],
        runs={run.name: _run(run) for run in found},
        gates=plain(gates["gates"], 4),
    )


def _run(run: RunFigures) -> dict[str, Any]:
    figures: dict[str, dict[str, Any]] = {}
    for line in compare([run]):
        (estimate,) = line.estimates
        if estimate is not None and estimate.value is not None:
            figures.setdefault(line.metric, {})[line.variant] = _kept(estimate)
    curves: dict[str, dict[str, Any]] = {}
    for series in run.series:
        if series.metric in DRAWN and series.steps:
            curves.setdefault(series.metric, {})[series.variant] = [_kept(point)[:3] for point in curve(series)]
    return {
        "settings": {key: value for key, value in run.head.items() if value is not None and key not in _QUIET},
        "rows": len(run.rows),
        "figures": figures,
        "curves": curves,
        "absent": dict(run.absent),
    }


def _kept(estimate: Estimate) -> list[Any]:
    """Value, interval, rows and episodes."""
    kept: list[Any] = plain([estimate.value, estimate.low, estimate.high, estimate.n, estimate.episodes], 4)
    return kept
