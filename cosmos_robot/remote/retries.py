"""When a call is sent again: only where that cannot do a thing twice, after waits that grow and scatter."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from cosmos_robot.errors import InvalidInputError, ServiceError
from cosmos_robot.remote.exchange import Broken, Call, Exchange, Interrupted, Pause, Reply, Sending

_BUSY = 429
_UNAVAILABLE = 503
_PASSING = (408, 425, 500, 502, _UNAVAILABLE, 504)
"""Statuses that may be others in a moment."""


@dataclass(frozen=True)
class Retries:
    """How often and after which waits a call is sent again.

    Attributes:
        count: further attempts after the first; 0 is none.
        first_wait: seconds before the second attempt, at most; each next wait may be twice as long.
        longest_wait: seconds that waits grow to. A service that names a wait of its own is given that.

    Raises:
        InvalidInputError: if one of them is negative.
    """

    count: int = 5
    first_wait: float = 0.5
    longest_wait: float = 10.0

    def __post_init__(self) -> None:
        if self.count < 0 or not 0 <= self.first_wait <= self.longest_wait:
            raise InvalidInputError("retries takes a count from 0 on, and 0 <= first_wait <= longest_wait in seconds.")

    def wait(self, attempt: int, call: Call, outcome: Reply | Broken, *, draw: float) -> float | None:
        """Seconds to wait before a call is sent again, or None where its outcome stands.

        A refusal for want of room (429, or 503 that names a wait) and a connection that never was leave nothing
        behind; all else may have been carried out, and is repeated only where the call may be.

        Args:
            attempt: how often it was sent again already.
            call: that was sent.
            outcome: what came of it.
            draw: from 0 to 1, at random: waits of many clients must not fall together.
        """
        named = retry_after(outcome) if isinstance(outcome, Reply) else None
        if attempt >= self.count or call.once or not _may_repeat(call, outcome, named):
            return None
        grown: float = min(self.longest_wait, self.first_wait * 2**attempt) * (1 + draw) / 2
        return grown if named is None else named + draw * min(1.0, self.first_wait)


def retry_after(reply: Reply) -> float | None:
    """Seconds that a service asks to wait: a number or a date in `Retry-After`, or None."""
    text = reply.headers.get("retry-after", "").strip()
    if text.isdecimal():
        return float(text[:9])
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    aware = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (aware - datetime.now(UTC)).total_seconds())


def retrying[Result](
    exchange: Exchange[Result], retries: Retries, *, service: str, draw: Callable[[], float]
) -> Sending[Result]:
    """Repeat an exchange's calls where that is safe and may help.

    Args:
        exchange: whose calls those are.
        retries: how often.
        service: what to call it in a sentence.
        draw: gives numbers from 0 to 1.

    Raises:
        ServiceError: if a call breaks and is not, or no more, repeated.
    """
    try:
        step = next(exchange)
        while True:
            if not isinstance(step, Call):
                yield step
                step = exchange.send(None)
                continue
            try:
                reply = yield from _settled(step, retries, service, draw)
            except ServiceError as error:
                step = exchange.throw(error)
            else:
                step = exchange.send(reply)
    except StopIteration as ended:
        result: Result = ended.value
        return result
    except Interrupted as interrupted:
        yield exchange.throw(interrupted)  # its last call; it raises where it has none
        raise
    finally:
        exchange.close()


def _settled(call: Call, retries: Retries, service: str, draw: Callable[[], float]) -> Sending[Reply]:
    """Send a call until its outcome stands."""
    attempt = 0
    while True:
        outcome = yield call
        if outcome is None:
            raise TypeError("a call was answered without an outcome.")
        wait = retries.wait(attempt, call, outcome, draw=draw())
        if wait is not None:
            yield Pause(wait)
            attempt += 1
        elif isinstance(outcome, Broken):
            again = "" if call.repeatable or not outcome.arrived else " It was not sent again: it may have arrived."
            raise ServiceError(f"{service} {outcome.reason}.{again}")
        else:
            return outcome


def _may_repeat(call: Call, outcome: Reply | Broken, named: float | None) -> bool:
    if isinstance(outcome, Broken):
        return call.repeatable or not outcome.arrived
    if outcome.status == _BUSY or (outcome.status == _UNAVAILABLE and named is not None):
        return True
    return call.repeatable and outcome.status in _PASSING
