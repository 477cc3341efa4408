"""The one that owns the world model: it takes batches off the queue and stores their answers, turn by turn.

A turn that a bug ends is a worker that died: the next one takes over what it left, finished, to be done again or to be
given up (`recovery.py`), so that every job ends once and nobody waits for ever.
"""

import logging
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

from cosmos_robot.errors import CosmosRobotError, CosmosRobotWarning, InvalidInputError
from cosmos_robot.interface.world_model import WorldModel
from cosmos_robot.safety.checker import NoChecker
from cosmos_robot.serving.answer import write_answer
from cosmos_robot.serving.ask import Result, ask
from cosmos_robot.serving.data_folder import DataFolder
from cosmos_robot.serving.job import Job, JobState
from cosmos_robot.serving.job_store import MAX_ATTEMPTS, JobStore
from cosmos_robot.serving.local_paths import LocalPaths
from cosmos_robot.serving.problems import DATABASE_ERRORS, Kind, RequestError, problem_of
from cosmos_robot.serving.question import Question
from cosmos_robot.serving.recovery import give_up_first, recover
from cosmos_robot.serving.settings import Batching

_LOG = logging.getLogger("cosmos_robot.serving")
_IDLE_SECONDS = 1.0
"""How long an idle worker sleeps at most; it is woken when a job arrives."""
_BUG_SECONDS = 0.1
"""How long a worker that died is waited after; twice and three times that where the next one dies too."""

NOT_READY = "the server is going down, or getting over a failure of its own; ask again later."


class AllCancelledError(CosmosRobotError):
    """Nobody wants any answer of the batch any more."""


@dataclass(frozen=True)
class Hooks:
    """Whom the worker tells what.

    Attributes:
        changed: a job's state changed.
        stepped: denoising steps done, and steps in all, of running jobs.
        answered: a batch of so many jobs took so many seconds.
    """

    changed: Callable[[str], None]
    stepped: Callable[[Sequence[str], int, int], None]
    answered: Callable[[int, float], None]


class Worker:
    """Works through the queue.

    Args:
        world_model: what answers.
        store: with the jobs.
        folder: with their files.
        batching: see `Batching`.
        longest: actions of the longest chunk that the model takes, or None.
        hooks: see `Hooks`.
        paths: of this machine, which nobody is told who asks what became of a job.
        safety: the checker that has looked at the prompts, for answers of a model that has none.
    """

    def __init__(
        self,
        world_model: WorldModel,
        store: JobStore,
        folder: DataFolder,
        *,
        batching: Batching,
        longest: int | None,
        hooks: Hooks,
        paths: LocalPaths,
        safety: str,
    ) -> None:
        self._world_model, self._store, self._folder = world_model, store, folder
        self._batching, self._longest, self._hooks = batching, longest, hooks
        self._paths, self._safety = paths, safety
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._unwanted: set[str] = set()
        self._left_running = False
        self._bugs, self._well = 0, True
        self._thread = threading.Thread(target=self._run, name="world model", daemon=True)
        # Pools of one catch whatever is raised: by a bug of a turn, or by the model.
        self._turns = ThreadPoolExecutor(1, thread_name_prefix="queue")
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="generation")

    @property
    def alive(self) -> bool:
        """Whether it works; not from a turn that a bug ended until one that has gone well."""
        return self._thread.is_alive() and self._well

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """Say that there is a job."""
        self._woken.set()

    def stop(self) -> None:
        """Finish what is being generated, take nothing more, and wait for that."""
        self._stopping.set()
        self._woken.set()
        self._thread.join()
        self._turns.shutdown()
        self._pool.shutdown()

    def beside[Value](self, work: Callable[[], Value]) -> Future[Value]:
        """Have short work done by the thread that generates: after the batch that runs, before the next one.

        Neither side starves the other: the queue's next batch comes after the work that waits by then, and more work
        after that batch.

        Raises:
            RequestError: if the server is going down.
        """
        try:
            return self._pool.submit(work)
        except RuntimeError as error:  # the pool is shut
            raise RequestError(Kind.UNAVAILABLE, NOT_READY, retry_after=5) from error

    def cancel(self, job_id: str) -> bool:
        """Cancel a job: at once where it waits, at its next denoising step where it runs; whether it was open."""
        if self._store.cancel(job_id):
            self._hooks.changed(job_id)
            return True
        job = self._store.get(job_id)
        if job is None or job.state is not JobState.RUNNING:
            return False
        self._unwanted.add(job_id)
        if (now := self._store.get(job_id)) is not None and now.state.final:  # it ended meanwhile
            self._unwanted.discard(job_id)
            return False
        return True

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._woken.clear()
            turn = self._turns.submit(self._turn)
            error = turn.exception()
            if error is None:
                self._bugs, self._well = 0, True
                if not turn.result():
                    self._woken.wait(_IDLE_SECONDS)
                continue
            self._left_running = True
            if isinstance(error, (*DATABASE_ERRORS, OSError)):  # a database that is away, a full disk
                _LOG.error("the queue cannot be reached; trying again", exc_info=error)
                self._stopping.wait(_IDLE_SECONDS)
            else:
                self._bugs, self._well = self._bugs + 1, False
                _LOG.error("the worker failed, time %d in a row; another takes over", self._bugs, exc_info=error)
                self._stopping.wait(_BUG_SECONDS * self._bugs)

    def _turn(self) -> bool:
        """Put in order what the turn before left, then answer one batch; whether there was one."""
        if self._left_running:
            if self._bugs >= MAX_ATTEMPTS:
                self._bugs = 0  # the way may be free now
                self._hooks_for(give_up_first(self._store))
            self._hooks_for(recover(self._store, self._folder))
            self._left_running = False
        return self._work()

    def _hooks_for(self, job_ids: Sequence[str]) -> None:
        for job_id in job_ids:
            self._hooks.changed(job_id)

    def _work(self) -> bool:
        """Answer one batch; whether there was one."""
        first = self._store.next_queued()
        if first is None:
            return False
        # One that was begun before may be what ended that: alone it takes no other with it.
        size = 1 if first.attempts else self._batching.size
        left = first.created + self._batching.window - time.time()
        if size > 1 and left > 0:
            self._stopping.wait(left)
        jobs = self._store.claim(first.batch_key, size)
        for job in jobs:
            self._hooks.changed(job.id)
        self._answer(jobs)
        return True

    def _answer(self, jobs: Sequence[Job]) -> None:
        """Answer jobs together; where that fails, one by one, so that a bad one spoils no other."""
        if not jobs:
            return
        future = self._pool.submit(self._generate, jobs)
        error = future.exception()
        if error is None:
            self._store_all(jobs, *future.result())
        elif isinstance(error, AllCancelledError):
            for job in jobs:
                self._end(job, self._store.cancel(job.id, (JobState.RUNNING,)))
        elif len(jobs) > 1:
            for job in jobs:
                self._answer([job])
        else:
            self._fail(jobs[0], error)

    def _generate(self, jobs: Sequence[Job]) -> tuple[list[Question], list[list[Result]], list[str], float]:
        questions = [Question.read(self._folder.job(job.id)) for job in jobs]
        ids = [job.id for job in jobs]

        def progress(done: int, total: int) -> None:
            self._hooks.stepped(ids, done, total)
            if self._unwanted.issuperset(ids):
                raise AllCancelledError("cancelled.")

        progress(0, 1)  # one that is cancelled before it begins
        begun = time.perf_counter()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", CosmosRobotWarning)
            results = ask(self._world_model, questions, longest=self._longest, progress=progress)
        doubts = [str(row.message) for row in caught if issubclass(row.category, CosmosRobotWarning)]
        return questions, results, list(dict.fromkeys(doubts)), time.perf_counter() - begun

    def _store_all(
        self,
        jobs: Sequence[Job],
        questions: Sequence[Question],
        results: Sequence[Sequence[Result]],
        doubts: Sequence[str],
        seconds: float,
    ) -> None:
        self._hooks.answered(len(jobs), seconds)
        for job, question, own in zip(jobs, questions, results, strict=True):
            if job.id in self._unwanted:
                self._end(job, self._store.cancel(job.id, (JobState.RUNNING,)))
                continue
            hide = self._paths.hide
            checked = [
                result if result.safety != NoChecker.name else replace(result, safety=self._safety) for result in own
            ]
            written = self._pool.submit(write_answer, self._folder.job(job.id), question, checked, seconds, hide=hide)
            error = written.exception()
            if error is None:
                notes = (*written.result().notes, *map(hide, doubts))
                self._end(job, self._store.finish(job.id, list(dict.fromkeys(notes))))
            else:
                self._fail(job, _storage_error(error))

    def _fail(self, job: Job, error: BaseException) -> None:
        problem = self._paths.hidden(problem_of(error))
        if problem.kind.status >= 500:
            _LOG.error("job %s failed", job.id, exc_info=error)
        self._end(job, self._store.fail(job.id, problem))

    def _end(self, job: Job, ended: bool) -> None:
        self._unwanted.discard(job.id)
        if ended:
            self._hooks.changed(job.id)


def _storage_error(error: BaseException) -> BaseException:
    """What the system said where a writer put it into a sentence about a file."""
    if isinstance(error, InvalidInputError) and isinstance(error.__cause__, OSError):
        return error.__cause__
    return error
