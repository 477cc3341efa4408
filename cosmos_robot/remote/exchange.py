"""What is exchanged with a service, without the sending: generators that give calls and take replies.

As httpx does for authentication, an exchange is a generator. It gives what is to be sent, is given what came back, and
returns its result. So requests are built and answers read by plain code that knows no network, and one exchange serves
the sender of threads (`sync_sender.py`) and that of an event loop (`async_sender.py`).
"""

import json
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Call:
    """A request to send.

    Attributes:
        method: of HTTP.
        url: with its query.
        repeatable: whether sending it twice does no more than sending it once.
        headers: beside the usual ones; among them the key.
        body: JSON, or None.
        patience: seconds of silence that are expected of the service; None takes the sender's own.
        follow: whether redirects are followed; only where no key is sent.
        once: whether it is not worth a second attempt.
    """

    method: str
    url: str
    repeatable: bool
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)
    patience: float | None = None
    follow: bool = False
    once: bool = False


@dataclass(frozen=True)
class Reply:
    """What a service answered, whatever its status.

    Attributes:
        status: of HTTP.
        headers: names in lower case.
        content: the body.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes = field(repr=False)


@dataclass(frozen=True)
class Broken:
    """A call without a whole reply.

    Attributes:
        reason: end of a sentence that begins with the service.
        arrived: whether the service may have got it.
    """

    reason: str
    arrived: bool


@dataclass(frozen=True)
class Pause:
    """A time to wait, in seconds."""

    seconds: float


@dataclass(frozen=True)
class Told:
    """How far the service is: steps done, and steps in all."""

    done: int
    total: int


class Interrupted(Exception):  # noqa: N818  (no error: the caller's wish, or the end of its patience)
    """Thrown into an exchange when whoever sends gives up: it may give one last call, to cancel, and then ends."""


type Step = Call | Pause | Told

type Exchange[Result] = Generator[Step, Reply | None, Result]
"""Between a service's core and the retries: every call gets a reply, or a `ServiceError` is thrown in at its place."""

type Sending[Result] = Generator[Step, Reply | Broken | None, Result]
"""Between the retries and the sender: a call may break."""


def ask(call: Call) -> Exchange[Reply]:
    """Send a call and give its reply, by `yield from`."""
    reply = yield call
    if reply is None:
        raise TypeError("a call was answered without a reply.")
    return reply


def json_call(method: str, url: str, headers: Mapping[str, str], body: Any, *, repeatable: bool) -> Call:
    """A call with a JSON body."""
    content = json.dumps(body, separators=(",", ":"), allow_nan=False).encode()
    return Call(method, url, repeatable, {**headers, "Content-Type": "application/json"}, content)
