"""What both senders share: how a call becomes httpx's, and what its exceptions say."""

import time
from dataclasses import dataclass, field
from typing import Any

import httpx

from cosmos_robot.errors import AnswerError, ServiceError
from cosmos_robot.remote.exchange import Broken, Call, Reply
from cosmos_robot.remote.options import Timeouts

MOST_BYTES = 2**30
"""The longest answer that is taken into memory."""
LIMITS = httpx.Limits(max_connections=64, keepalive_expiry=2.0)
"""Servers close idle connections after 5 seconds or more; a call that falls together with that would break."""
LAST_CALL_SECONDS = 3.0
"""How long a cancellation may take, while whoever cancelled waits."""
HEADERS = {"User-Agent": "cosmos-robot", "Accept": "application/json, */*"}
"""Of every call. Answers are not asked for in compressed form: media are compressed already."""

_NEVER_ARRIVED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.InvalidURL)


@dataclass
class Deadline:
    """When a whole exchange is given up.

    Attributes:
        seconds: that it may take.
        service: what to call it in a sentence.
    """

    seconds: float
    service: str
    end: float = field(init=False)

    def __post_init__(self) -> None:
        self.end = time.monotonic() + self.seconds

    def left(self, wanted: float = 0.0) -> float:
        """Seconds that are left.

        Raises:
            ServiceError: if that is not more than `wanted`.
        """
        left = self.end - time.monotonic()
        if left <= wanted:
            waits = f" (it asks to wait {wanted:.3g} s more)" if wanted else ""
            raise ServiceError(
                f"{self.service} gave no answer within {self.seconds:g} s{waits}; allow more with timeout=..."
            )
        return left


def request_options(call: Call, timeouts: Timeouts, left: float) -> dict[str, Any]:
    """Keywords for httpx's `stream` beside method and URL."""
    read = timeouts.read if call.patience is None else min(call.patience, timeouts.read)
    return {
        "content": call.body,
        "headers": {**HEADERS, **call.headers},
        "follow_redirects": call.follow,
        "timeout": httpx.Timeout(min(read, left), connect=min(timeouts.connect, left)),
    }


def reply_of(response: httpx.Response, parts: list[bytes]) -> Reply:
    """Make the reply of a response that was read."""
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Reply(response.status_code, headers, b"".join(parts))


def broken_of(error: httpx.HTTPError | httpx.InvalidURL, call: Call, timeouts: Timeouts) -> Broken:
    """Say what httpx raised."""
    arrived = not isinstance(error, _NEVER_ARRIVED)
    if isinstance(error, httpx.ConnectTimeout):
        return Broken(f"cannot be reached within {timeouts.connect:g} s", arrived)
    if isinstance(error, httpx.TimeoutException):
        patience = timeouts.read if call.patience is None else min(call.patience, timeouts.read)
        return Broken(f"was silent for {patience:g} s", arrived)
    why = str(error).rstrip(".") or type(error).__name__
    return Broken(f"broke the connection off: {why}" if arrived else f"cannot be reached: {why}", arrived)


def counted(part: bytes, taken: int, service: str) -> int:
    """Count an answer's bytes.

    Raises:
        AnswerError: if they are too many.
    """
    if taken + len(part) > MOST_BYTES:
        raise AnswerError(f"{service} gave an answer of more than {MOST_BYTES} bytes.")
    return taken + len(part)
