"""What measures rows: one world model and its view of the episodes, in this process or another."""

import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from numpy.typing import NDArray

from cosmos_robot.benchmarks.needed_packages import needed
from cosmos_robot.benchmarks.run_config import RunConfig
from cosmos_robot.benchmarks.run_identity import SERVICE, machine
from cosmos_robot.benchmarks.run_plan import PlannedRow
from cosmos_robot.benchmarks.suite import Measured, Row
from cosmos_robot.benchmarks.suites import SUITE_OF
from cosmos_robot.interface.world_model import WorldModel

type LoadModel = Callable[[RunConfig, int, int], WorldModel]
"""Loads the world model of a run for worker `number` of so many. It travels to the worker, so it can be pickled."""


@dataclass(frozen=True, eq=False)
class Result:
    """What became of a row.

    Attributes:
        row: as it is written.
        prediction: arrays to keep, by name; empty where the row failed or nothing is kept.
    """

    row: Row
    prediction: dict[str, NDArray[Any]]


def load_named_model(config: RunConfig, number: int, workers: int) -> WorldModel:
    """Load the checkpoint that a run names; workers share the GPUs, or the cores, of their machine."""
    from cosmos_robot.world_model import load_world_model

    device = device_of(config, number)
    if device == SERVICE:
        return load_world_model(config.checkpoint, device=config.device, dtype=config.dtype)
    import torch

    if workers > 1:
        torch.set_num_threads(max(1, torch.get_num_threads() // workers))
    return load_world_model(config.checkpoint, device=device, dtype=config.dtype)


def device_of(config: RunConfig, number: int) -> str | None:
    """The torch device of worker `number`, in turn where there are several GPUs; None is torch's default."""
    from cosmos_robot.world_model import is_service

    if is_service(config.checkpoint):
        return SERVICE
    import torch

    if config.device in (None, "cuda") and torch.cuda.is_available():
        return f"cuda:{number % torch.cuda.device_count()}"
    return config.device


class RowWorker:
    """Measures rows of one run.

    Args:
        config: of the run.
        load: the world model.
        number: of this worker.
        workers: how many there are.
    """

    def __init__(self, config: RunConfig, load: LoadModel, number: int = 0, workers: int = 1) -> None:
        self._config, self._number, self._machine = config, number, machine(device_of(config, number))
        suite = SUITE_OF[config.suite]
        for module in suite.needs:
            needed(module)
        self._measure = suite.begin(config, lambda: load(config, number, workers))

    def measure(self, rows: Sequence[PlannedRow]) -> list[Result]:
        """Measure rows in one batch; where that fails, each alone, so that only those fail that have a fault."""
        began = time.perf_counter()
        try:
            measured = self._measure(rows)
        except Exception as error:  # noqa: BLE001  (whatever it is, the row carries it and the others go on)
            if len(rows) > 1:
                return [result for row in rows for result in self.measure([row])]
            return [failed_row(rows[0], error, time.perf_counter() - began, self._number, self._machine)]
        seconds = (time.perf_counter() - began) / len(rows)
        return [self._done(row, found, seconds) for row, found in zip(rows, measured, strict=True)]

    def _done(self, row: PlannedRow, found: Measured, seconds: float) -> Result:
        written = _head(row, seconds, self._number, self._machine) | {
            "status": "ok",
            "error": None,
            "figures": dict(found.figures),
            "absent": dict(found.absent),
        }
        return Result(written, dict(found.prediction) if self._config.keep_predictions else {})


def failed_row(
    row: PlannedRow, error: Exception | str, seconds: float, worker: int, measured_on: dict[str, Any] | None = None
) -> Result:
    """A row that carries its error; `measured_on` is the machine, None this one."""
    told = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
    where = None if isinstance(error, str) else "".join(traceback.format_exception(error))[-4000:]
    written = _head(row, seconds, worker, measured_on or machine()) | {
        "status": "failed",
        "error": told,
        "traceback": where,
        "figures": {},
        "absent": {},
    }
    return Result(written, {})


def _head(row: PlannedRow, seconds: float, worker: int, where: dict[str, Any]) -> Row:
    return asdict(row) | {"seconds": round(seconds, 4), "worker": worker, "machine": where}
