"""What is known of open jobs beside their rows: the steps that are done, a log, and the moment of a change."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

_LOOK_SECONDS = 0.5
"""How long a change is waited for at once; who waits may look about before waiting again."""
_LOG_ROWS = 200


@dataclass
class Watch:
    """What is known of one job.

    Attributes:
        done: denoising steps done.
        total: steps in all, or 0 before the first.
        log: what happened, as `(time, sentence)`.
        changed: set at each change, and replaced.
    """

    done: int = 0
    total: int = 0
    log: deque[tuple[str, str]] = field(default_factory=lambda: deque(maxlen=_LOG_ROWS))
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def note(self, sentence: str) -> None:
        """Add to the log."""
        self.log.append((datetime.now(UTC).isoformat(), sentence))


class Watches:
    """The watches of jobs. They belong to the event loop; only the two methods that tell are for other threads.

    Args:
        most: of them; where there are more, the one goes that was not looked at for the longest time.
    """

    def __init__(self, *, most: int) -> None:
        self._most = most
        self._watched: dict[str, Watch] = {}
        self._listeners: list[Callable[[], None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Belong to the running event loop."""
        self._loop = asyncio.get_running_loop()

    def of(self, job_id: str) -> Watch:
        """The watch of a job; a new one where nothing is known yet."""
        watch = self._watched.pop(job_id) if job_id in self._watched else Watch()
        self._watched[job_id] = watch  # behind all others
        if len(self._watched) > self._most:
            del self._watched[next(iter(self._watched))]
        return watch

    def drop(self, job_id: str) -> None:
        """Forget what is known of a job."""
        self._watched.pop(job_id, None)

    def on_change(self, listener: Callable[[], None]) -> None:
        """Have something called, on the event loop, whenever the state of a job has changed."""
        self._listeners.append(listener)

    def tell_changed(self, job_id: str, state: str) -> None:
        """Say, from any thread, that a job is in another state."""
        self._call(lambda: self._changed(job_id, state))

    def tell_stepped(self, job_ids: Sequence[str], done: int, total: int) -> None:
        """Say, from any thread, that running jobs have come a denoising step further."""
        self._call(lambda: self._stepped(job_ids, done, total))

    def _call(self, function: Callable[[], None]) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function)

    def _changed(self, job_id: str, state: str) -> None:
        watch = self.of(job_id)
        watch.note(state)
        watch.changed.set()
        watch.changed = asyncio.Event()
        for listener in self._listeners:
            listener()

    def _stepped(self, job_ids: Sequence[str], done: int, total: int) -> None:
        for job_id in job_ids:
            watch = self.of(job_id)
            watch.done, watch.total = done, total
            if done:
                watch.note(f"denoising step {done} of {total}")


async def next_change(changed: asyncio.Event) -> bool:
    """Wait a moment for a job's change; whether there was one."""
    try:
        await asyncio.wait_for(changed.wait(), _LOOK_SECONDS)
    except TimeoutError:
        return False
    return True
