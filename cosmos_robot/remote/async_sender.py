"""Sends exchanges on an event loop, of asyncio or trio."""

import contextlib
from collections.abc import Sequence

import anyio
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


class AsyncSender:
    """Sends over one pool of connections, on one event loop.

    Args:
        timeouts: see `Timeouts`.
        concurrency: exchanges side by side, at most.
    """

    def __init__(self, timeouts: Timeouts, concurrency: int) -> None:
        self._timeouts, self._concurrency = timeouts, concurrency
        self._client = httpx.AsyncClient(limits=LIMITS)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def run_all[Result](
        self, exchanges: Sequence[Sending[Result]], service: str, progress: Progress | None = None
    ) -> list[Result]:
        """Carry exchanges out, and give their results in order; see `SyncSender.run_all`."""
        results: dict[int, Result] = {}
        failed: list[Exception] = []
        lanes = anyio.CapacityLimiter(self._concurrency)
        alone = progress if len(exchanges) == 1 else None

        async def carry_out(index: int, exchange: Sending[Result]) -> None:
            async with lanes:
                try:
                    results[index] = await self.run(exchange, service, alone)
                    if progress is not None:
                        progress(len(results), len(exchanges))
                except Exception as error:  # noqa: BLE001  (it is raised below, as itself and not in a group)
                    failed.append(error)
                    group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            for index, exchange in enumerate(exchanges):
                group.start_soon(carry_out, index, exchange)
        if failed:
            raise failed[0]
        return [results[index] for index in range(len(exchanges))]

    async def run[Result](self, exchange: Sending[Result], service: str, progress: Progress | None = None) -> Result:
        """Carry one exchange out; a task that is cancelled cancels it at the service."""
        deadline, outcome = Deadline(self._timeouts.overall, service), None
        try:
            while True:
                step = exchange.send(outcome)
                outcome = None
                if isinstance(step, Call):
                    outcome = await self._send(step, deadline)
                elif isinstance(step, Pause):
                    deadline.left(step.seconds)
                    await anyio.sleep(step.seconds)
                elif isinstance(step, Told) and progress is not None:
                    progress(step.done, step.total)
        except StopIteration as ended:
            result: Result = ended.value
            return result
        except BaseException:
            await self._cancel(exchange)
            raise

    async def _send(self, call: Call, deadline: Deadline) -> Reply | Broken:
        options = request_options(call, self._timeouts, deadline.left())
        try:
            async with self._client.stream(call.method, call.url, **options) as response:
                parts: list[bytes] = []
                taken = 0
                async for part in response.aiter_bytes():
                    taken = counted(part, taken, deadline.service)
                    parts.append(part)
                    deadline.left()
                return reply_of(response, parts)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            deadline.left()
            return broken_of(error, call, self._timeouts)

    async def _cancel[Result](self, exchange: Sending[Result]) -> None:
        """Let an exchange that is given up have its last call, whoever is cancelled meanwhile."""
        with contextlib.suppress(Interrupted, StopIteration):
            last = exchange.throw(Interrupted())
            if isinstance(last, Call):
                with anyio.CancelScope(shield=True), contextlib.suppress(ServiceError):
                    await self._send(last, Deadline(LAST_CALL_SECONDS, "the cancellation"))
        exchange.close()
