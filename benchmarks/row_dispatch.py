"""Hands batches of rows to workers and takes back results, so that none is lost and none is doubled."""

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from cosmos_robot.benchmarks.row_worker import Result, failed_row
from cosmos_robot.benchmarks.run_plan import PlannedRow

type Batch = tuple[PlannedRow, ...]

DEATHS = 2
"""A row during which so many workers died has failed: it may be what kills them."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What came back from a worker.

    Attributes:
        worker: its number.
        results: of its batch, or None where the worker died.
        reason: why it died.
    """

    worker: int
    results: list[Result] | None
    reason: str = ""


class Pool(Protocol):
    """Workers, each with one batch at most. A worker that died is replaced before its answer is given."""

    @property
    def size(self) -> int:
        """How many workers."""

    def send(self, worker: int, batch: Batch) -> None:
        """Give an idle worker a batch."""

    def wait(self) -> list[Answer]:
        """Wait until at least one worker has answered or died.

        Raises:
            CosmosRobotError: if a worker cannot begin at all, for instance because there is no checkpoint.
        """

    def close(self) -> None:
        """End all workers."""


def dispatch(batches: Sequence[Batch], pool: Pool) -> Iterator[list[Result]]:
    """Have every batch measured; a batch whose worker died is given out again, row by row."""
    waiting = deque(batches)
    idle, busy = deque(range(pool.size)), dict[int, Batch]()
    deaths: Counter[int] = Counter()
    while waiting or busy:
        while idle and waiting:
            worker, batch = idle.popleft(), waiting.popleft()
            pool.send(worker, batch)
            busy[worker] = batch
        for answer in pool.wait():
            if answer.worker not in busy:
                continue  # it had nothing to do when it died, and has been replaced
            batch = busy.pop(answer.worker)
            idle.append(answer.worker)
            if answer.results is not None:
                yield answer.results
                continue
            again = []
            for row in batch:
                deaths[row.row] += 1
                if deaths[row.row] >= DEATHS and len(batch) == 1:
                    told = f"the worker died {deaths[row.row]} times while it measured this row: {answer.reason}"
                    yield [failed_row(row, told, 0.0, answer.worker)]
                else:
                    again.append((row,))
            waiting.extendleft(reversed(again))
