"""The jobs in a database: SQLite in a file, or whatever SQLAlchemy reaches by URL, through the same statements.

A job changes its state by one conditional update, so that it ends once, whoever tries.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from itertools import batched
from typing import Any

import sqlalchemy as sql
from sqlalchemy.engine import Connection, Engine, Row

from cosmos_robot.errors import InvalidInputError, MissingDependencyError
from cosmos_robot.serving.job import Job, JobState
from cosmos_robot.serving.problems import Finding, Kind, Problem, RequestError

MAX_ATTEMPTS = 3
"""How often a job is begun: one that ends the process each time must not do so for ever."""

METADATA = sql.MetaData()
"""Of every table of the database."""

JOBS = sql.Table(
    "jobs",
    METADATA,
    sql.Column("sequence", sql.Integer, primary_key=True, autoincrement=True),
    sql.Column("id", sql.String(36), nullable=False, unique=True),
    sql.Column("interface", sql.String(32), nullable=False),
    sql.Column("endpoint", sql.String(200), nullable=False),
    sql.Column("mode", sql.String(32), nullable=False),
    sql.Column("state", sql.String(16), nullable=False, index=True),
    sql.Column("attached", sql.Boolean, nullable=False),
    sql.Column("batch_key", sql.Text, nullable=False),
    sql.Column("options", sql.JSON, nullable=False),
    sql.Column("created", sql.Float, nullable=False),
    sql.Column("started", sql.Float),
    sql.Column("finished", sql.Float, index=True),
    sql.Column("attempts", sql.Integer, nullable=False),
    sql.Column("problem", sql.JSON),
    sql.Column("notes", sql.JSON, nullable=False),
)
_OPEN = (JobState.QUEUED, JobState.RUNNING)
_AT_ONCE = 500
"""Ids in one statement: databases take no more than some thousands."""


class JobStore:
    """All jobs.

    Args:
        url: SQLAlchemy URL of the database.
        queued: jobs that may wait.
        retry_after: seconds that a client is told to wait when no more may.

    Raises:
        InvalidInputError: if the database cannot be used.
        MissingDependencyError: if its driver is not installed.
    """

    def __init__(self, url: str, *, queued: int, retry_after: int) -> None:
        self._engine = _open(url)
        self._queued, self._retry_after = queued, retry_after
        self._accepting = threading.Lock()
        try:
            METADATA.create_all(self._engine)
        except sql.exc.DBAPIError as error:
            shown = self._engine.url.render_as_string(hide_password=True)
            raise InvalidInputError(f"the database {shown} cannot be used: {error.orig}") from error

    def close(self) -> None:
        """Let the database go."""
        self._engine.dispose()

    @property
    def engine(self) -> Engine:
        """The database."""
        return self._engine

    def accept(self, job: Job, beside: Sequence[sql.Insert] = ()) -> None:
        """Add a job to the queue.

        Args:
            job: that is added.
            beside: what is written in the same transaction.

        Raises:
            RequestError: if the queue is full.
        """
        with self._accepting, self._engine.begin() as connection:
            if _count(connection, JobState.QUEUED) >= self._queued:
                raise RequestError(
                    Kind.QUEUE_FULL,
                    f"the queue is full: {self._queued} jobs wait. Try again later.",
                    retry_after=self._retry_after,
                )
            connection.execute(sql.insert(JOBS).values(**_values(job)))
            for statement in beside:
                connection.execute(statement)

    def get(self, job_id: str) -> Job | None:
        """Find a job, or None."""
        with self._engine.connect() as connection:
            row = connection.execute(sql.select(JOBS).where(JOBS.c.id == job_id)).first()
        return None if row is None else _job(row)

    def newest(self, count: int) -> list[Job]:
        """The newest jobs, the newest first."""
        with self._engine.connect() as connection:
            rows = connection.execute(sql.select(JOBS).order_by(JOBS.c.sequence.desc()).limit(count)).all()
        return [_job(row) for row in rows]

    def page(self, interface: str, *, most: int, after: str | None = None, newest_first: bool = True) -> list[Job]:
        """Jobs of one interface in their order, from the one behind `after` on; none where `after` is no job."""
        found = sql.select(JOBS).where(JOBS.c.interface == interface)
        if after is not None:
            seen = sql.select(JOBS.c.sequence).where(JOBS.c.id == after).scalar_subquery()
            found = found.where(JOBS.c.sequence < seen if newest_first else JOBS.c.sequence > seen)
        order = JOBS.c.sequence.desc() if newest_first else JOBS.c.sequence.asc()
        with self._engine.connect() as connection:
            return [_job(row) for row in connection.execute(found.order_by(order).limit(most)).all()]

    def counts(self) -> dict[JobState, int]:
        """How many jobs stand where."""
        with self._engine.connect() as connection:
            rows = connection.execute(sql.select(JOBS.c.state, sql.func.count()).group_by(JOBS.c.state)).all()
        found = {str(row[0]): int(row[1]) for row in rows}
        return {state: found.get(state, 0) for state in JobState}

    def position(self, job_id: str) -> int:
        """How many jobs wait in front of a waiting one."""
        own = sql.select(JOBS.c.sequence).where(JOBS.c.id == job_id).scalar_subquery()
        before = sql.and_(JOBS.c.state == JobState.QUEUED, JOBS.c.sequence < own)
        with self._engine.connect() as connection:
            return int(connection.execute(sql.select(sql.func.count()).where(before)).scalar_one())

    def next_queued(self) -> Job | None:
        """The job that waits longest, or None."""
        with self._engine.connect() as connection:
            row = connection.execute(_queued().limit(1)).first()
        return None if row is None else _job(row)

    def claim(self, batch_key: str, most: int) -> list[Job]:
        """Begin waiting jobs of one batch key, those that wait longest; they are then running."""
        claimed = []
        with self._engine.begin() as connection:
            rows = connection.execute(_queued().where(JOBS.c.batch_key == batch_key).limit(most)).all()
            for row in rows:
                changes = {"state": JobState.RUNNING, "started": time.time(), "attempts": row.attempts + 1}
                if _change(connection, row.id, (JobState.QUEUED,), changes):
                    claimed.append(row.id)
        return [job for job_id in claimed if (job := self.get(job_id)) is not None]

    def finish(self, job_id: str, notes: Sequence[str]) -> bool:
        """Note that a running job has its answer; whether it was running."""
        return self._end(job_id, (JobState.RUNNING,), JobState.DONE, {"notes": list(notes)})

    def fail(self, job_id: str, problem: Problem) -> bool:
        """Note why an open job has no answer; whether it was open."""
        return self._end(job_id, _OPEN, JobState.FAILED, {"problem": _problem_row(problem)})

    def cancel(self, job_id: str, states: Sequence[JobState] = (JobState.QUEUED,)) -> bool:
        """Cancel a job in one of these states; whether it was in one."""
        return self._end(job_id, states, JobState.CANCELLED, {})

    def requeue(self, job_id: str) -> bool:
        """Put a running job back into the queue, at its old place; whether it was running."""
        with self._engine.begin() as connection:
            return _change(connection, job_id, (JobState.RUNNING,), {"state": JobState.QUEUED, "started": None})

    def open_jobs(self) -> list[Job]:
        """All jobs that have not ended, in their order."""
        query = sql.select(JOBS).where(JOBS.c.state.in_(_OPEN)).order_by(JOBS.c.sequence)
        with self._engine.connect() as connection:
            return [_job(row) for row in connection.execute(query).all()]

    def first_open(self) -> str | None:
        """The id of the oldest job that runs, else of the one that waits longest, or None."""
        waits = sql.case((JOBS.c.state == JobState.RUNNING, 0), else_=1)
        query = sql.select(JOBS.c.id).where(JOBS.c.state.in_(_OPEN)).order_by(waits, JOBS.c.sequence).limit(1)
        with self._engine.connect() as connection:
            return connection.execute(query).scalar()

    def ids(self) -> set[str]:
        """The ids of all jobs."""
        with self._engine.connect() as connection:
            return set(connection.execute(sql.select(JOBS.c.id)).scalars())

    def remove(self, job_id: str) -> None:
        """Remove a job."""
        with self._engine.begin() as connection:
            connection.execute(sql.delete(JOBS).where(JOBS.c.id == job_id))

    def forget(self, *, finished_before: float, but: sql.Select[tuple[str]]) -> list[str]:
        """Remove jobs that ended before a time; their ids.

        Args:
            finished_before: seconds of the epoch.
            but: ids of jobs that are kept all the same.
        """
        old = sql.and_(JOBS.c.finished.is_not(None), JOBS.c.finished < finished_before, JOBS.c.id.not_in(but))
        with self._engine.begin() as connection:
            ids = list(connection.execute(sql.select(JOBS.c.id).where(old)).scalars())
            for some in batched(ids, _AT_ONCE):
                connection.execute(sql.delete(JOBS).where(JOBS.c.id.in_(some)))
        return ids

    def _end(self, job_id: str, states: Sequence[JobState], state: JobState, more: dict[str, Any]) -> bool:
        with self._engine.begin() as connection:
            return _change(connection, job_id, states, {"state": state, "finished": time.time(), **more})


def _open(url: str) -> Engine:
    try:
        engine = sql.create_engine(url, pool_pre_ping=True)
    except sql.exc.ArgumentError as error:
        raise InvalidInputError("the database is a URL as SQLAlchemy has it, as in postgresql+psycopg://...") from error
    except ImportError as error:
        raise MissingDependencyError(
            f"the database needs {error.name}, which is not installed; for PostgreSQL get it with pip install "
            f"'cosmos-robot[postgres]' and begin the URL with postgresql+psycopg://."
        ) from error
    if engine.dialect.name == "sqlite":

        @sql.event.listens_for(engine, "connect")
        def _set_up(connection: Any, _record: Any) -> None:
            cursor = connection.cursor()
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=30000"):
                cursor.execute(f"PRAGMA {pragma}")
            cursor.close()

    return engine


def _queued() -> Any:
    return sql.select(JOBS).where(JOBS.c.state == JobState.QUEUED).order_by(JOBS.c.sequence)


def _count(connection: Connection, state: JobState) -> int:
    return int(connection.execute(sql.select(sql.func.count()).where(JOBS.c.state == state)).scalar_one())


def _change(connection: Connection, job_id: str, states: Sequence[JobState], values: dict[str, Any]) -> bool:
    matching = sql.and_(JOBS.c.id == job_id, JOBS.c.state.in_(states))
    return connection.execute(sql.update(JOBS).where(matching).values(**values)).rowcount == 1


def _values(job: Job) -> dict[str, Any]:
    values = {column.name: getattr(job, column.name) for column in JOBS.columns if column.name != "sequence"}
    values["problem"] = None if job.problem is None else _problem_row(job.problem)
    return values | {"options": dict(job.options), "notes": list(job.notes)}


def _job(row: Row[Any]) -> Job:
    values = row._asdict()
    del values["sequence"]
    values["state"] = JobState(values["state"])
    values["notes"] = tuple(values["notes"])
    values["problem"] = None if values["problem"] is None else _problem(values["problem"])
    return Job(**values)


def _problem_row(problem: Problem) -> dict[str, Any]:
    findings = [asdict(finding) for finding in problem.findings]
    return {"kind": problem.kind.label, "message": problem.message, "findings": findings}


def _problem(row: dict[str, Any]) -> Problem:
    findings = tuple(Finding(tuple(item["field"]), item["message"], item["type"]) for item in row["findings"])
    return Problem(Kind.named(row["kind"]), row["message"], findings)
