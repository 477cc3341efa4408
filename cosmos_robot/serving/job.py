"""A job: one accepted request, from the queue to its answer."""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from cosmos_robot.serving.problems import Problem

_ID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")


class JobState(StrEnum):
    """Where a job stands. The last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether nothing changes any more."""
        return self in (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


@dataclass(frozen=True)
class Job:
    """One accepted request.

    Attributes:
        id: of the job; nobody guesses it.
        interface: that accepted it.
        endpoint: what was asked of the interface, for instance a model id.
        mode: of its requests.
        state: where it stands.
        attached: whether a client waits for it on an open connection, so that it means nothing without that.
        batch_key: of its question.
        options: what the interface wants to remember.
        created: seconds of the epoch.
        started: likewise, or None.
        finished: likewise, or None.
        attempts: how often it was begun; more than one after a crash.
        problem: why it failed, or None.
        notes: sentences about its answer.
    """

    id: str
    interface: str
    endpoint: str
    mode: str
    state: JobState
    attached: bool
    batch_key: str
    created: float
    options: Mapping[str, Any] = field(default_factory=dict)
    started: float | None = None
    finished: float | None = None
    attempts: int = 0
    problem: Problem | None = None
    notes: tuple[str, ...] = ()


def new_id() -> str:
    """An id for a job: random, so that knowing it is the right to its answer."""
    return str(uuid.uuid4())


def is_id(text: str) -> bool:
    """Whether a text has the form of a job's id, and so can name its folder."""
    return _ID.fullmatch(text) is not None
