"""One player's tables, the learned and the real one, and the few players whom a server has at a time."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from cosmos_robot.serving.job import new_id
from cosmos_robot.serving.play_tables import LearnedTable, RealTable, recorded_start
from cosmos_robot.serving.problems import Kind, RequestError
from cosmos_robot.types import Frames

type BeginLearned = Callable[[int, Frames], LearnedTable]


@dataclass(frozen=True)
class PlayLimits:
    """How much playing a server bears.

    Attributes:
        sessions: players at a time.
        idle_seconds: without a word from a player, after which the tables are freed.
    """

    sessions: int = 8
    idle_seconds: float = 120.0


class PlaySession:
    """One player's tables.

    Args:
        begin_learned: makes a learned table of a seed and a frame.
        real: the real table, or None where there is no simulator.
        seed: which table.
    """

    def __init__(self, begin_learned: BeginLearned, real: RealTable | None, seed: int) -> None:
        self.id = new_id()
        self.real = real
        self.busy = False
        self.used = time.monotonic()
        self._begin_learned = begin_learned
        self.learned = begin_learned(seed, _start(real, seed))
        self.seed = seed

    def reset(self, seed: int) -> None:
        """Begin another table, in both worlds."""
        if self.real is not None:
            self.real.reset(seed)
        self.seed = seed
        self.learned = self._begin_learned(seed, _start(self.real, seed))

    def sync(self) -> None:
        """Let the learned table begin anew from what the real one shows.

        Raises:
            RequestError: if there is no real one.
        """
        if self.real is None:
            raise RequestError(Kind.CONFLICT, "there is no real table to begin from; this server has no gym-pusht.")
        self.learned = self._begin_learned(self.seed, self.real.frame)

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Keep others off for the time of a block: steps follow one another.

        Raises:
            RequestError: if it is in use.
        """
        if self.busy:
            raise RequestError(Kind.CONFLICT, "these tables still play what was asked before; wait for the answer.")
        self.busy, self.used = True, time.monotonic()
        try:
            yield
        finally:
            self.busy, self.used = False, time.monotonic()


class PlaySessions:
    """The players; used from the event loop alone.

    Args:
        limits: see `PlayLimits`.
    """

    def __init__(self, limits: PlayLimits) -> None:
        self._limits = limits
        self._known: dict[str, PlaySession] = {}
        self._opening = 0
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._known)

    async def open(self, make: Callable[[], PlaySession]) -> PlaySession:
        """Let a player in; `make` is called in a thread.

        Raises:
            RequestError: if there are as many as there may be.
        """
        self.free_idle()
        if len(self) + self._opening >= self._limits.sessions:
            raise RequestError(
                Kind.QUEUE_FULL,
                f"{self._limits.sessions} are playing, the most that this server takes; try again in a minute or two.",
                retry_after=30,
            )
        self._opening += 1
        try:
            session = await asyncio.to_thread(make)
        finally:
            self._opening -= 1
        self._known[session.id] = session
        if self._timer is None:
            self._look_later()
        return session

    def get(self, session_id: str) -> PlaySession:
        """Find a player's session.

        Raises:
            RequestError: if there is none of that id.
        """
        session = self._known.get(session_id)
        if session is None:
            raise RequestError(Kind.NOT_FOUND, "there is no such table any more; begin a new one.")
        return session

    def close(self, session_id: str) -> None:
        """Free a player's tables; one that is not there is freed already."""
        session = self._known.pop(session_id, None)
        if session is not None and session.real is not None:
            session.real.close()

    def free_idle(self) -> None:
        """Free the tables of players who have gone."""
        oldest = time.monotonic() - self._limits.idle_seconds
        for session in list(self._known.values()):
            if session.used < oldest and not session.busy:
                self.close(session.id)

    def _look_later(self) -> None:
        """Free idle tables also where nobody comes any more."""
        self._timer = asyncio.get_running_loop().call_later(self._limits.idle_seconds, self._look)

    def _look(self) -> None:
        self._timer = None
        self.free_idle()
        if self._known:
            self._look_later()


def _start(real: RealTable | None, seed: int) -> Frames:
    return recorded_start(seed) if real is None else real.frame
