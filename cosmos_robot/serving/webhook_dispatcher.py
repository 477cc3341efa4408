"""Telling of jobs that have ended: each webhook until it is taken or its retries are used up, across restarts."""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool

from cosmos_robot.serving.job import Job
from cosmos_robot.serving.problems import DATABASE_ERRORS, RequestError
from cosmos_robot.serving.service import Service
from cosmos_robot.serving.webhook_sender import UndeliveredError, WebhookSender
from cosmos_robot.serving.webhook_store import Delivery, WebhookState

_LOG = logging.getLogger("cosmos_robot.serving")
_IDLE_SECONDS = 60.0
"""How long it sleeps at most; it is woken when a job changes."""
_SHORTEST_SECONDS = 0.05
_DATABASE_SECONDS = 1.0
_GRACE_SECONDS = 1.0
"""How long the server's end waits for attempts that are being made; they are made again after the next start."""


@dataclass(frozen=True)
class WebhookForm:
    """How an interface tells of an ended job.

    Attributes:
        headers: beginning of the names of the signature's headers.
        body: makes the JSON body from the service, the job and this server's address; it holds `request_id`.
    """

    headers: str
    body: Callable[[Service, Job, str], Awaitable[dict[str, Any]]]


class WebhookDispatcher:
    """Delivers webhooks on the event loop, a few at once.

    Args:
        service: whose jobs end.
        forms: by the interface's name.
    """

    def __init__(self, service: Service, forms: Mapping[str, WebhookForm]) -> None:
        self._service, self._forms = service, forms
        self._policy = service.settings.webhooks
        self._sender = WebhookSender(frozenset(service.settings.url_hosts), self._policy.seconds)
        self._woken = asyncio.Event()
        self._main: asyncio.Task[None] | None = None
        self._attempts: dict[str, asyncio.Task[None]] = {}

    def start(self) -> None:
        """Begin, with what an earlier process left."""
        self._service.watches.on_change(self._woken.set)
        self._main = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Begin nothing more; what has not come to its end in a moment is left for the next start."""
        if self._main is not None:
            self._main.cancel()
            await asyncio.gather(self._main, return_exceptions=True)
        attempts = list(self._attempts.values())
        if attempts:
            _, slow = await asyncio.wait(attempts, timeout=_GRACE_SECONDS)
            for task in slow:
                task.cancel()
            await asyncio.gather(*slow, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            self._woken.clear()
            try:
                wait = await self._begin_due()
            except DATABASE_ERRORS:
                _LOG.exception("the webhooks cannot be read; trying again")
                wait = _DATABASE_SECONDS
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), wait)

    async def _begin_due(self) -> float:
        """Begin what is due, and say how long there is nothing more to begin."""
        most = self._policy.parallel
        if len(self._attempts) < most:
            due = await run_in_threadpool(self._service.webhooks.due, time.time(), most)
            for delivery in due:
                if delivery.job_id not in self._attempts and len(self._attempts) < most:
                    self._begin(delivery)
        if len(self._attempts) == most:
            return _IDLE_SECONDS  # the end of an attempt wakes
        next_at = await run_in_threadpool(self._service.webhooks.next_at)
        return _IDLE_SECONDS if next_at is None else min(max(next_at - time.time(), _SHORTEST_SECONDS), _IDLE_SECONDS)

    def _begin(self, delivery: Delivery) -> None:
        task = asyncio.create_task(self._deliver(delivery))
        self._attempts[delivery.job_id] = task
        task.add_done_callback(lambda ended: self._ended(delivery.job_id, ended))

    def _ended(self, job_id: str, task: asyncio.Task[None]) -> None:
        del self._attempts[job_id]
        self._woken.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            _LOG.error("the webhook of job %s cannot be sent", job_id, exc_info=error)

    async def _deliver(self, delivery: Delivery) -> None:
        """Make one attempt."""
        store, policy = self._service.webhooks, self._policy
        if delivery.attempts > policy.retries:  # the process ended in the last one
            await run_in_threadpool(store.end, delivery, WebhookState.GIVEN_UP)
            return
        pause = policy.backoff * 2.0**delivery.attempts
        await run_in_threadpool(store.begin, delivery, time.time() + policy.seconds + pause)
        try:
            await self._send(delivery)
        except (UndeliveredError, RequestError, OSError) as error:
            last = delivery.attempts == policy.retries
            then = "it is given up" if last else f"the next is in {pause:g} s"
            host = urlsplit(delivery.webhook.url).netloc
            _LOG.warning(
                "webhook of job %s to %s, attempt %d: %s; %s", delivery.job_id, host, delivery.attempts + 1, error, then
            )
            if last:
                await run_in_threadpool(store.end, delivery, WebhookState.GIVEN_UP)
            else:
                await run_in_threadpool(store.retry, delivery, time.time() + pause)
        else:
            await run_in_threadpool(store.end, delivery, WebhookState.DELIVERED)

    async def _send(self, delivery: Delivery) -> None:
        job = await self._service.job(delivery.job_id)
        form = self._forms[job.interface]
        shown = await form.body(self._service, job, delivery.webhook.base)
        body = await run_in_threadpool(lambda: json.dumps(shown).encode())
        headers = self._service.signing_key.headers(form.headers, shown["request_id"], body)
        await self._sender.post(delivery.webhook.url, body, headers)
