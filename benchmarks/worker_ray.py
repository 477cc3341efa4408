"""Workers that are Ray actors, on one machine or on many."""

from typing import Any

from cosmos_robot.benchmarks.needed_packages import needed
from cosmos_robot.benchmarks.row_dispatch import Answer, Batch
from cosmos_robot.benchmarks.row_worker import LoadModel, RowWorker
from cosmos_robot.benchmarks.run_config import RunConfig
from cosmos_robot.errors import CosmosRobotError, InvalidInputError


class RayPool:
    """Actors with one world model each; each has a GPU where the cluster has any.

    Every machine of the cluster needs this library, and the checkpoint and the episodes at the same place.

    Args:
        address: of the cluster, as `auto` or `ray://host:10001`; `local` starts one here.
        size: how many actors; None is one for each GPU, or one where there is none.
        config: of the run.
        load: the world model of each.

    Raises:
        MissingDependencyError: if Ray is not installed.
        InvalidInputError: if the cluster cannot be reached, or has no room for so many.
    """

    def __init__(self, address: str, size: int | None, config: RunConfig, load: LoadModel) -> None:
        self._ray = needed("ray")
        where = {"include_dashboard": False} if address == "local" else {"address": address}
        try:
            self._ray.init(log_to_driver=False, **where)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise InvalidInputError(f"there is no Ray cluster at {address}: {error}") from error
        have = self._ray.cluster_resources()
        gpus = int(have.get("GPU", 0))
        self.size = size or max(1, gpus)
        self._check_room(int(have.get("CPU", 0)), gpus)
        self._begin, self._gpus = (config, load), gpus
        self._actors = [self._start(number) for number in range(self.size)]
        self._pending: dict[Any, int] = {}

    def send(self, worker: int, batch: Batch) -> None:
        """Give an idle worker a batch."""
        self._pending[self._actors[worker].measure.remote(batch)] = worker

    def wait(self) -> list[Answer]:
        """Wait until at least one worker has answered or died.

        Raises:
            CosmosRobotError: what a worker could not begin for.
        """
        ready, _ = self._ray.wait(list(self._pending), num_returns=1)
        return [self._receive(reference) for reference in ready]

    def close(self) -> None:
        """End all actors and leave the cluster."""
        for actor in self._actors:
            self._ray.kill(actor)
        self._ray.shutdown()

    def _receive(self, reference: Any) -> Answer:
        number = self._pending.pop(reference)
        exceptions = self._ray.exceptions
        try:
            return Answer(number, self._ray.get(reference))
        except exceptions.RayTaskError as error:
            cause = error.cause
            if isinstance(cause, CosmosRobotError):
                raise cause from error
            raise
        except exceptions.RayError as error:  # the actor, its node or its answer is lost
            self._ray.kill(self._actors[number])  # where it lives on, it holds its GPU
            self._actors[number] = self._start(number)
            return Answer(number, None, str(error).splitlines()[0])

    def _check_room(self, cores: int, gpus: int) -> None:
        """An actor for which there is no room would wait for ever, and its rows with it."""
        room, of = (gpus, "GPUs") if gpus else (cores, "CPU cores")
        if self.size > room:
            self._ray.shutdown()
            raise InvalidInputError(
                f"{self.size} actors need as many {of}, and the Ray cluster has {room}; "
                f"ask for at most {room} with --workers."
            )

    def _start(self, number: int) -> Any:
        config, load = self._begin
        # The number on the machine is Ray's business: an actor sees its own GPU alone, as number 0.
        actor = self._ray.remote(_Actor).options(
            num_cpus=1, num_gpus=1 if self._gpus else 0, max_restarts=0, max_task_retries=0
        )
        return actor.remote(config, load, number if not self._gpus else 0)


class _Actor:
    """Begins with its first batch, so that an error of the beginning comes back as one."""

    def __init__(self, config: RunConfig, load: LoadModel, number: int) -> None:
        self._begin = (config, load, number)
        self._worker: RowWorker | None = None

    def measure(self, batch: Batch) -> Any:
        if self._worker is None:
            self._worker = RowWorker(*self._begin)
        return self._worker.measure(batch)
