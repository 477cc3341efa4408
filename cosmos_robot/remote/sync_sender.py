"""Sends exchanges from threads: one in the caller's own, several side by side."""

import contextlib
import queue
import threading
import time
from collections.abc import Sequence

import httpx

from cosmos_robot.errors import ServiceError
from cosmos_robot.remote.exchange import Broken, Call, Interrupted, Pause, Reply, Sending, Told
from cosmos_robot.remote.options import Timeouts
from cosmos_robot.remote.sending import (
    LAST_CALL_SECONDS,
    LIMITS,
    Deadline,
    broken_of,
    counted,
    reply_of,
    request_options,
)
from cosmos_robot.types import Progress

_NOTICE_SECONDS = 1.0
"""How long a thread that is asking may take, beside its last call, to notice that it is to stop."""


class SyncSender:
    """Sends over one pool of connections, which threads may share.

    Args:
        timeouts: see `Timeouts`.
        concurrency: exchanges side by side, at most.
    """

    def __init__(self, timeouts: Timeouts, concurrency: int) -> None:
        self._timeouts, self._concurrency = timeouts, concurrency
        self._client = httpx.Client(limits=LIMITS)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def run_all[Result](
        self, exchanges: Sequence[Sending[Result]], service: str, progress: Progress | None = None
    ) -> list[Result]:
        """Carry exchanges out, and give their results in order.

        The first that fails ends the others, and so does whatever `progress` raises.

        Args:
            exchanges: what is sent.
            service: what to call it in a sentence.
            progress: told the service's steps where there is one exchange, else how many have ended.

        Raises:
            CosmosRobotError: what an exchange raises.
            ServiceError: if one takes too long.
        """
        if len(exchanges) == 1:
            found = [self.run(exchanges[0], service, progress)]
            if progress is not None:
                progress(1, 1)
            return found
        return _SideBySide(self, exchanges, service, progress).run(min(self._concurrency, len(exchanges)))

    def run[Result](
        self,
        exchange: Sending[Result],
        service: str,
        progress: Progress | None = None,
        stopped: threading.Event | None = None,
    ) -> Result:
        """Carry one exchange out; see `run_all`. `stopped` is set by whoever wants it no more."""
        deadline, outcome = Deadline(self._timeouts.overall, service), None
        stopped = stopped or threading.Event()
        try:
            while True:
                step = exchange.send(outcome)
                outcome = None
                if isinstance(step, Call):
                    outcome = self._send(step, deadline)
                elif isinstance(step, Pause):
                    deadline.left(step.seconds)
                    stopped.wait(step.seconds)
                elif isinstance(step, Told) and progress is not None:
                    progress(step.done, step.total)
                _require_wanted(stopped, service)
        except StopIteration as ended:
            result: Result = ended.value
            return result
        except BaseException:
            self._cancel(exchange)
            raise

    def _send(self, call: Call, deadline: Deadline) -> Reply | Broken:
        options = request_options(call, self._timeouts, deadline.left())
        try:
            with self._client.stream(call.method, call.url, **options) as response:
                parts: list[bytes] = []
                taken = 0
                for part in response.iter_bytes():
                    taken = counted(part, taken, deadline.service)
                    parts.append(part)
                    deadline.left()
                return reply_of(response, parts)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            deadline.left()
            return broken_of(error, call, self._timeouts)

    def _cancel[Result](self, exchange: Sending[Result]) -> None:
        """Let an exchange that is given up have its last call; whether that helps, nobody waits for."""
        with contextlib.suppress(Interrupted, StopIteration):
            last = exchange.throw(Interrupted())
            if isinstance(last, Call):
                with contextlib.suppress(ServiceError):
                    self._send(last, Deadline(LAST_CALL_SECONDS, "the cancellation"))
        exchange.close()


def _require_wanted(stopped: threading.Event, service: str) -> None:
    if stopped.is_set():
        raise ServiceError(f"{service} is asked no more: another request of the batch failed, or it was cancelled.")


def _join(threads: Sequence[threading.Thread], seconds: float) -> None:
    """Wait for threads, so long at most for all of them together."""
    end = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))


class _SideBySide[Result]:
    """Exchanges in threads that end with the process, whatever they wait for.

    Those that are given up are waited for, but no longer than their last calls may take: the process may end next.
    """

    def __init__(
        self, sender: SyncSender, exchanges: Sequence[Sending[Result]], service: str, progress: Progress | None
    ) -> None:
        self._sender, self._exchanges, self._service, self._progress = sender, exchanges, service, progress
        self._next = iter(range(len(exchanges)))
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._ended: queue.Queue[tuple[int, Result | None, BaseException | None]] = queue.Queue()

    def run(self, lanes: int) -> list[Result]:
        """Carry them out in so many threads."""
        threads = [threading.Thread(target=self._lane, daemon=True, name="remote world model") for _ in range(lanes)]
        for thread in threads:
            thread.start()
        results: dict[int, Result] = {}
        try:
            while len(results) < len(self._exchanges):
                index, result, error = self._ended.get()
                if error is not None:
                    raise error
                results[index] = result  # type: ignore[assignment]  # it has one where it raised nothing
                if self._progress is not None:
                    self._progress(len(results), len(self._exchanges))
        finally:
            self._stopped.set()
            _join(threads, LAST_CALL_SECONDS + _NOTICE_SECONDS)
        return [results[index] for index in range(len(self._exchanges))]

    def _lane(self) -> None:
        while not self._stopped.is_set():
            with self._lock:
                index = next(self._next, None)
            if index is None:
                return
            try:
                result = self._sender.run(self._exchanges[index], self._service, stopped=self._stopped)
            except BaseException as error:  # noqa: BLE001  (it is raised where the results are waited for)
                self._ended.put((index, None, error))
                return
            self._ended.put((index, result, None))
