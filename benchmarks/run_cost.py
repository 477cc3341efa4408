"""How the cost of a run grows with its rows: 1x, 4x and 16x of them, against time after start-up, and memory.

    python -m cosmos_robot.benchmarks.run_cost EPISODES [--rows 8] [--checkpoint DIR]

Without a checkpoint the frames are copied, so that what is seen is the run's own cost: reading, metrics, writing. Each
size has a process of its own, because the greatest memory of a process never falls.
"""

import resource
import sys
import tempfile
import time
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from cosmos_robot.benchmarks.control_models import CopyFirstFrame
from cosmos_robot.benchmarks.report import write_report
from cosmos_robot.benchmarks.row_worker import load_named_model
from cosmos_robot.benchmarks.run_config import RunConfig
from cosmos_robot.benchmarks.run_execution import execute
from cosmos_robot.interface.world_model import WorldModel

FACTORS = (1, 4, 16)


@dataclass(frozen=True)
class Cost:
    """Of one size.

    Attributes:
        rows: measured.
        seconds: from the first row's end to the last row's end.
        report_seconds: that the page took.
        memory: greatest resident memory of the process, MiB.
    """

    rows: int
    seconds: float
    report_seconds: float
    memory: float

    @property
    def seconds_a_row(self) -> float:
        """The first row is not counted: it pays for what is made once."""
        return self.seconds / (self.rows - 1)


def copy_frames(config: RunConfig, number: int, workers: int) -> WorldModel:
    """A world model that costs nothing."""
    return CopyFirstFrame()


def cost_of(config: RunConfig) -> Cost:
    """Run once, in a folder that is thrown away."""
    load = copy_frames if config.checkpoint is None else load_named_model
    ends: list[float] = []

    def note(done: int, total: int, failed: int) -> None:
        if done:
            ends.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        rows = execute(config, folder / "run", load=load, digest="cost", report=note)
        began = time.perf_counter()
        write_report([folder / "run"], folder / "report.html")
        report = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unit = 1024.0**2 if sys.platform == "darwin" else 1024.0
    return Cost(len(rows), ends[-1] - ends[0], report, peak / unit)


def measure(config: RunConfig, rows: int) -> list[Cost]:
    """Run each size in a process of its own."""
    sizes = [RunConfig(**(vars(config) | {"rows": rows * factor})) for factor in FACTORS]
    with get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        return [pool.apply(cost_of, (size,)) for size in sizes]


def as_table(costs: list[Cost]) -> Table:
    """Draw the costs for a person."""
    table = Table("rows", "seconds", "seconds a row", "page, s", "greatest memory, MiB", box=None, pad_edge=False)
    for cost in costs:
        cells: tuple[Any, ...] = (cost.seconds, cost.seconds_a_row, cost.report_seconds, cost.memory)
        table.add_row(str(cost.rows), *(f"{cell:.3g}" if cell < 100 else f"{cell:.0f}" for cell in cells))
    return table


def main(
    *,
    episodes: Annotated[str, typer.Argument(help="What open_episodes opens, or pusht-held-out.")],
    domain: Annotated[str, typer.Option(help="Of the episodes.")] = "pusht",
    checkpoint: Annotated[str | None, typer.Option(help="None copies frames.")] = None,
    rows: Annotated[int, typer.Option(min=2, help="Of the smallest run; the greatest has 16 times as many.")] = 8,
) -> None:
    """Measure and print."""
    copies = checkpoint is None
    config = RunConfig(
        suite="forward-dynamics",
        episodes=episodes,
        domain=domain,
        checkpoint=checkpoint,
        stride=1,
        consistency=not copies,
        controls=not copies,
    )
    Console().print(as_table(measure(config, rows)))


if __name__ == "__main__":
    typer.run(main)
