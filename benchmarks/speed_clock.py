"""The time that a measurement has, and its end: also of work that does not look at a clock, such as compilation."""

import math
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn


class TimeIsUpError(BaseException):
    """Raised where the work is when its time is over.

    No `Exception`: a compiler that is interrupted would take that for a fault of its own and go on.
    """


class Clock:
    """Seconds that pass, and limits of them."""

    def now(self) -> float:
        """Seconds since some moment."""
        return time.perf_counter()

    @contextmanager
    def at_most(self, seconds: float) -> Iterator[None]:
        """Interrupt what is done here when so many seconds are over; only in the main thread, and not nested.

        Raises:
            TimeIsUpError: then, out of whatever runs.
        """
        if seconds <= 0:
            raise TimeIsUpError
        if math.isinf(seconds):
            yield
            return
        before = signal.signal(signal.SIGALRM, _interrupt)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            signal.signal(signal.SIGALRM, before)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise TimeIsUpError
