"""What can go wrong with a request, and the one table from exceptions to kinds of problems and their statuses.

An interface shows a problem in its own words: see `interface_style.py`.
"""

from dataclasses import dataclass
from enum import Enum

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionError
from starlette.requests import ClientDisconnect

from cosmos_robot.errors import (
    AccessError,
    AnswerError,
    CheckpointError,
    CosmosRobotError,
    DeviceError,
    InvalidInputError,
    MissingDependencyError,
    ServiceError,
    UnknownFactError,
    UnsafeContentError,
    UnsupportedModeError,
)


class Kind(Enum):
    """A kind of problem: its name and its usual HTTP status. Interfaces have other statuses for some."""

    MALFORMED = ("malformed", 400)
    IN_PROGRESS = ("in_progress", 400)
    UNAUTHORIZED = ("unauthorized", 401)
    FORBIDDEN = ("forbidden", 403)
    NOT_FOUND = ("not_found", 404)
    METHOD = ("method_not_allowed", 405)
    CONFLICT = ("conflict", 409)
    TOO_LARGE = ("too_large", 413)
    MEDIA_TYPE = ("unsupported_media_type", 415)
    UNKNOWN_FIELD = ("unknown_field", 422)
    BAD_VALUE = ("bad_value", 422)
    UNSUPPORTED = ("unsupported", 422)
    UNSAFE = ("unsafe_content", 422)
    QUEUE_FULL = ("queue_full", 429)
    CANCELLED = ("cancelled", 499)
    INTERNAL = ("internal", 500)
    UPSTREAM = ("upstream", 502)
    UNAVAILABLE = ("unavailable", 503)
    STORAGE = ("storage", 507)

    def __init__(self, label: str, status: int) -> None:
        self.label = label
        self.status = status

    @classmethod
    def named(cls, label: str) -> "Kind":
        """The kind of a label."""
        return next(kind for kind in cls if kind.label == label)


@dataclass(frozen=True)
class Finding:
    """One field that is wrong.

    Attributes:
        field: way to it, as in `("video_params", "height")`; empty for the whole body.
        message: what is wrong with it.
        type: pydantic's word for it.
    """

    field: tuple[str | int, ...]
    message: str
    type: str = "value_error"

    def sentence(self) -> str:
        """The field and what is wrong with it."""
        where = ".".join(map(str, self.field))
        return f"{where}: {self.message}" if where else self.message


@dataclass(frozen=True)
class Problem:
    """What a client is told.

    Attributes:
        kind: of the problem.
        message: a sentence or two, without paths of this machine.
        findings: the fields that are wrong, where there are such.
        retry_after: seconds after which trying again makes sense, or None.
    """

    kind: Kind
    message: str
    findings: tuple[Finding, ...] = ()
    retry_after: int | None = None


class RequestError(CosmosRobotError):
    """A request that is refused; carries the problem."""

    def __init__(
        self, kind: Kind, message: str, *, findings: tuple[Finding, ...] = (), retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.problem = Problem(kind, message, findings, retry_after)

    @classmethod
    def of_field(cls, field: str, message: str, kind: Kind = Kind.BAD_VALUE) -> "RequestError":
        """Refuse one field's value."""
        finding = Finding(tuple(field.split(".")), message)
        return cls(kind, finding.sentence(), findings=(finding,))


DATABASE_ERRORS = (DBAPIError, NoConnectionError)
"""What a database raises that is away, full, or too busy for one more connection."""

INTERNAL_MESSAGE = "the server failed at this request; its log says why."

TABLE: tuple[tuple[type[BaseException], Kind], ...] = (
    (UnsafeContentError, Kind.UNSAFE),
    (UnsupportedModeError, Kind.UNSUPPORTED),
    (InvalidInputError, Kind.BAD_VALUE),
    (UnknownFactError, Kind.BAD_VALUE),
    (MissingDependencyError, Kind.UNAVAILABLE),
    (DeviceError, Kind.UNAVAILABLE),
    (ServiceError, Kind.UPSTREAM),
    (AccessError, Kind.UPSTREAM),
    (AnswerError, Kind.UPSTREAM),
    (CheckpointError, Kind.INTERNAL),
    *((raised, Kind.STORAGE) for raised in DATABASE_ERRORS),
    (OSError, Kind.STORAGE),
    (ClientDisconnect, Kind.CANCELLED),
)
"""Exceptions and what they are to a client: the first row that fits. What is in no row is our own fault."""

_OWN_WORDS = (Kind.STORAGE, Kind.INTERNAL)
"""Kinds whose exceptions speak of this machine; clients are told a fixed sentence."""


def problem_of(error: BaseException) -> Problem:
    """Find what a client is told about an exception."""
    if isinstance(error, RequestError):
        return error.problem
    kind = next((kind for raised, kind in TABLE if isinstance(error, raised)), Kind.INTERNAL)
    if kind is Kind.STORAGE:
        return Problem(kind, "the server cannot store this at the moment; try again later.")
    if kind is Kind.CANCELLED:
        return Problem(kind, "the client went away.")
    return Problem(kind, INTERNAL_MESSAGE if kind in _OWN_WORDS else str(error))
