"""A benchmark run from its plan to its last row, in a folder; run again, it goes on where it was stopped.

run.json        what was run: settings, digests of checkpoint and episodes
plan.jsonl      its rows, written before the first is measured
rows.jsonl      a result for each, as they come
predictions/    on request: what was predicted and what was true, by row
"""

import fcntl
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from cosmos_robot.benchmarks.row_dispatch import Answer, Batch, Pool, dispatch
from cosmos_robot.benchmarks.row_file import RowFile
from cosmos_robot.benchmarks.row_worker import LoadModel, Result, RowWorker, load_named_model
from cosmos_robot.benchmarks.run_config import RunConfig
from cosmos_robot.benchmarks.run_identity import episodes_digest
from cosmos_robot.benchmarks.run_plan import PlannedRow, write_plan
from cosmos_robot.benchmarks.suite import Row
from cosmos_robot.benchmarks.suites import SUITE_OF, completed, weights_of
from cosmos_robot.datasets.atomic_file import replaced_when_complete
from cosmos_robot.errors import InvalidInputError

type Report = Callable[[int, int, int], None]
"""Called with (rows done, rows in all, rows failed) after each batch."""


@dataclass(frozen=True)
class Workers:
    """Who measures.

    Attributes:
        count: processes of this machine, or actors; None is one, in this process, or one for each GPU of a cluster.
        ray: address of a Ray cluster, or None.
    """

    count: int | None = None
    ray: str | None = None


def execute(
    config: RunConfig,
    folder: Path,
    *,
    load: LoadModel = load_named_model,
    digest: str | None = None,
    workers: Workers | None = None,
    retry_failed: bool = False,
    renew: bool = False,
    report: Report | None = None,
) -> list[Row]:
    """Measure every row that has no result yet, and give all results.

    Args:
        config: what is run.
        folder: of the run; made if it is not there.
        load: the world model.
        digest: of its weights, where `load` is one's own.
        workers: who measures.
        retry_failed: measure those again that failed.
        renew: throw away what the folder holds of other weights or settings, instead of refusing.
        report: told of the progress.

    Raises:
        InvalidInputError: if the folder holds another run, another process runs it, or the episodes do not fit.
        CheckpointError: if there is no such checkpoint.
    """
    config = completed(config)
    plan = SUITE_OF[config.suite].plan(config)
    made_of = {
        "checkpoint_digest": digest or weights_of(config),
        "episodes_digest": episodes_digest(config.episodes) if config.episodes else None,
    }
    identity = config.identity() | made_of
    with _alone(folder):
        if renew:
            _clear_other_run(folder, identity)
        rows = RowFile(folder, identity)
        write_plan(folder / "plan.jsonl", plan)
        _measure_missing(plan, rows, config, load, workers or Workers(), retry_failed=retry_failed, report=report)
        return latest(rows.read())


def _measure_missing(
    plan: Sequence[PlannedRow],
    rows: RowFile,
    config: RunConfig,
    load: LoadModel,
    workers: Workers,
    *,
    retry_failed: bool,
    report: Report | None,
) -> None:
    found = latest(rows.read())
    failed = {row["row"] for row in found if row["status"] == "failed"}
    done = {row["row"] for row in found} - (failed if retry_failed else set())
    missing = [row for row in plan if row.row not in done]
    count, failures = len(plan) - len(missing), len(failed & done)
    if report is not None:
        report(count, len(plan), failures)
    if not missing:
        return
    batches = _batches(missing, config.batch)
    with _pool(workers, config, load, most=len(batches)) as pool:
        for results in dispatch(batches, pool):
            _keep(rows.path.parent, results)
            rows.append([result.row for result in results])
            count += len(results)
            failures += sum(result.row["status"] == "failed" for result in results)
            if report is not None:
                report(count, len(plan), failures)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes out of a run's folder: two that go on with one run would write every row twice.

    Whatever ends this process lets go of the folder.

    Raises:
        InvalidInputError: if another process is at it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InvalidInputError(
                f"another process is measuring the run in {folder}; wait until it has ended, or choose another folder."
            ) from error
        yield


def latest(rows: Sequence[Row]) -> list[Row]:
    """The last result of each row, in the order of the plan: one that was tried again replaces the failed one."""
    return [row for _, row in sorted({row["row"]: row for row in rows}.items())]


def has_prediction(folder: Path, row: int) -> bool:
    """Whether the prediction of a row was kept."""
    return _prediction(folder, row).is_file()


def read_prediction(folder: Path, row: int) -> dict[str, NDArray[Any]] | None:
    """What was kept of a row, or None."""
    path = _prediction(folder, row)
    if not path.is_file():
        return None
    with np.load(path) as arrays:
        return {name: arrays[name] for name in arrays.files}


def read_run(folder: Path) -> tuple[dict[str, Any], list[Row]]:
    """What was run, and the results so far."""
    head = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    path = folder / "rows.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    return head, latest([json.loads(line) for line in lines if line.endswith("\n")])


def _clear_other_run(folder: Path, identity: dict[str, Any]) -> None:
    """Remove a run that is another one, file by file: nothing is touched that a run does not write."""
    head = folder / "run.json"
    if not head.is_file() or not RowFile.changed(head, identity):
        return
    for path in (*folder.glob("predictions/*.npz"), folder / "rows.jsonl", folder / "plan.jsonl", head):
        path.unlink(missing_ok=True)


def _batches(rows: Sequence[PlannedRow], size: int) -> list[Batch]:
    return [tuple(rows[first : first + size]) for first in range(0, len(rows), size)]


def _keep(folder: Path, results: Sequence[Result]) -> None:
    """Keep predictions; before their rows are written, so that a row's prediction is there if the row is."""
    for result in results:
        if result.prediction:
            path = _prediction(folder, result.row["row"])
            path.parent.mkdir(exist_ok=True)
            with replaced_when_complete(path) as temporary:
                np.savez_compressed(temporary, **cast(Any, result.prediction))


def _prediction(folder: Path, row: int) -> Path:
    return folder / "predictions" / f"{row:06d}.npz"


class _Here:
    """One worker, in this process."""

    size = 1

    def __init__(self, config: RunConfig, load: LoadModel) -> None:
        self._worker = RowWorker(config, load)
        self._batch: Batch = ()

    def send(self, worker: int, batch: Batch) -> None:
        self._batch = batch

    def wait(self) -> list[Answer]:
        return [Answer(0, self._worker.measure(self._batch))]

    def close(self) -> None:
        pass


@contextmanager
def _pool(workers: Workers, config: RunConfig, load: LoadModel, *, most: int) -> Iterator[Pool]:
    count = min(workers.count or 1, most)
    pool: Pool
    if workers.ray is not None:
        from cosmos_robot.benchmarks.worker_ray import RayPool

        pool = RayPool(workers.ray, None if workers.count is None else count, config, load)
    elif count > 1:
        from cosmos_robot.benchmarks.worker_processes import ProcessPool

        pool = ProcessPool(count, config, load)
    else:
        pool = _Here(config, load)
    try:
        yield pool
    finally:
        pool.close()
