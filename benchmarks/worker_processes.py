"""Workers that are processes of this machine."""

import contextlib
import multiprocessing
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from typing import Any

from cosmos_robot.benchmarks.row_dispatch import Answer, Batch
from cosmos_robot.benchmarks.row_worker import LoadModel, RowWorker
from cosmos_robot.benchmarks.run_config import RunConfig
from cosmos_robot.errors import CosmosRobotError


class ProcessPool:
    """Processes with one world model each.

    They are started afresh, not forked, because CUDA does not survive a fork. When this process is killed they find
    their pipe closed and end.

    Args:
        size: how many.
        config: of the run.
        load: the world model of each.
    """

    def __init__(self, size: int, config: RunConfig, load: LoadModel) -> None:
        self.size = size
        self._begin = (config, load)
        self._context = multiprocessing.get_context("spawn")
        self._workers = [self._start(number) for number in range(size)]

    @property
    def process_ids(self) -> list[int | None]:
        """Of the workers, by number."""
        return [process.pid for process, _ in self._workers]

    def send(self, worker: int, batch: Batch) -> None:
        """Give an idle worker a batch."""
        with contextlib.suppress(OSError):  # it has died meanwhile; `wait` finds its pipe closed
            self._workers[worker][1].send(batch)

    def wait(self) -> list[Answer]:
        """Wait until at least one worker has answered or died.

        Raises:
            CosmosRobotError: what a worker could not begin for.
        """
        ready = wait([connection for _, connection in self._workers])
        return [self._receive(number) for number, (_, connection) in enumerate(self._workers) if connection in ready]

    def close(self) -> None:
        """End all workers, in the middle of their work if need be."""
        for process, connection in self._workers:
            connection.close()
            process.terminate()
        for process, _ in self._workers:
            process.join()

    def _receive(self, number: int) -> Answer:
        process, connection = self._workers[number]
        try:
            told = connection.recv()
        except (EOFError, OSError):  # closed, or cut off in the middle of an answer
            process.join()
            connection.close()
            self._workers[number] = self._start(number)
            return Answer(number, None, f"exit status {process.exitcode}")
        if isinstance(told, CosmosRobotError):
            raise told
        return Answer(number, told)

    def _start(self, number: int) -> tuple[Any, Connection]:
        here, there = self._context.Pipe()
        config, load = self._begin
        process = self._context.Process(target=_serve, args=(there, config, load, number, self.size), daemon=True)
        process.start()
        there.close()
        return process, here


def _serve(connection: Connection, config: RunConfig, load: LoadModel, number: int, size: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; who started the workers ends them
    try:
        worker = RowWorker(config, load, number, size)
    except CosmosRobotError as error:
        connection.send(error)
        return
    except Exception as error:  # noqa: BLE001  (as no memory on its GPU: each row would die of it, one after another)
        connection.send(CosmosRobotError(f"worker {number} could not begin: {type(error).__name__}: {error}"))
        return
    measure: Callable[[Batch], Any] = worker.measure
    while True:
        try:
            batch = connection.recv()
        except EOFError:
            return
        try:
            connection.send(measure(batch))
        except BrokenPipeError:  # nobody is there to take it
            return
