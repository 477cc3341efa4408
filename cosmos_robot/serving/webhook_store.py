"""Webhooks in the job database: which ended jobs have still to be told of, how often it was tried, when next.

A webhook is written in the transaction that accepts its job, and is due as soon as the job's row says that it has
ended: nothing has to happen between the end of a job and its webhook, so nothing is lost if the process ends there.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sql
from sqlalchemy.engine import Engine

from cosmos_robot.serving.job import JobState
from cosmos_robot.serving.job_store import JOBS, METADATA


class WebhookState(StrEnum):
    """Where a webhook stands. The last two are final."""

    PENDING = "pending"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"


@dataclass(frozen=True)
class Webhook:
    """Whom to tell of a job's end.

    Attributes:
        url: that is called.
        base: how the client reached this server, for the addresses of files.
    """

    url: str
    base: str


@dataclass(frozen=True)
class Delivery:
    """A webhook whose job has ended.

    Attributes:
        job_id: of the job.
        webhook: see `Webhook`.
        attempts: how often it was tried, whether or not an attempt came to its end.
    """

    job_id: str
    webhook: Webhook
    attempts: int


_WEBHOOKS = sql.Table(
    "webhooks",
    METADATA,
    sql.Column("job_id", sql.String(36), primary_key=True),
    sql.Column("url", sql.Text, nullable=False),
    sql.Column("base", sql.Text, nullable=False),
    sql.Column("state", sql.String(16), nullable=False, index=True),
    sql.Column("attempts", sql.Integer, nullable=False),
    sql.Column("next_at", sql.Float, nullable=False),
)
_FINAL = [state for state in JobState if state.final]
_ENDED = sql.and_(_WEBHOOKS.c.state == WebhookState.PENDING, JOBS.c.id == _WEBHOOKS.c.job_id, JOBS.c.state.in_(_FINAL))


def insertion(job_id: str, webhook: Webhook) -> sql.Insert:
    """The statement that adds a webhook, for `JobStore.accept`."""
    row = {"job_id": job_id, "url": webhook.url, "base": webhook.base}
    return sql.insert(_WEBHOOKS).values(**row, state=WebhookState.PENDING, attempts=0, next_at=0.0)


def untold() -> sql.Select[tuple[str]]:
    """The query for jobs of whose end somebody has still to be told."""
    return sql.select(_WEBHOOKS.c.job_id).where(_WEBHOOKS.c.state == WebhookState.PENDING)


class WebhookStore:
    """All webhooks.

    Args:
        engine: of the job database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def due(self, now: float, most: int) -> list[Delivery]:
        """Webhooks that are to be tried by now, the longest due first."""
        columns = (_WEBHOOKS.c.job_id, _WEBHOOKS.c.url, _WEBHOOKS.c.base, _WEBHOOKS.c.attempts)
        query = sql.select(*columns).where(_ENDED, _WEBHOOKS.c.next_at <= now).order_by(_WEBHOOKS.c.next_at)
        with self._engine.connect() as connection:
            rows = connection.execute(query.limit(most)).all()
        return [Delivery(row.job_id, Webhook(row.url, row.base), row.attempts) for row in rows]

    def next_at(self) -> float | None:
        """When the next one is due, in seconds of the epoch, or None where none waits."""
        with self._engine.connect() as connection:
            found = connection.execute(sql.select(sql.func.min(_WEBHOOKS.c.next_at)).where(_ENDED)).scalar()
        return None if found is None else float(found)

    def begin(self, delivery: Delivery, next_at: float) -> None:
        """Count an attempt before it is made, so that one in which the process ends counts too."""
        self._change(delivery, {"attempts": delivery.attempts + 1, "next_at": next_at})

    def retry(self, delivery: Delivery, next_at: float) -> None:
        """Say when an attempt that failed is made again."""
        self._change(delivery, {"next_at": next_at})

    def end(self, delivery: Delivery, state: WebhookState) -> None:
        """Note how a webhook ended."""
        self._change(delivery, {"state": state})

    def forget(self) -> None:
        """Remove the webhooks of jobs that are no longer there."""
        gone = _WEBHOOKS.c.job_id.not_in(sql.select(JOBS.c.id))
        with self._engine.begin() as connection:
            connection.execute(sql.delete(_WEBHOOKS).where(gone))

    def _change(self, delivery: Delivery, values: dict[str, Any]) -> None:
        with self._engine.begin() as connection:
            connection.execute(sql.update(_WEBHOOKS).where(_WEBHOOKS.c.job_id == delivery.job_id).values(**values))
