"""What every interface stands on: questions go in, answers come out, by way of the queue."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from anyio import CapacityLimiter, to_thread
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from cosmos_robot.interface.world_model import WorldModel
from cosmos_robot.safety.checker import check_prompts
from cosmos_robot.serving.answer import Answer, read_answer
from cosmos_robot.serving.capabilities import Capabilities
from cosmos_robot.serving.chat_desk import ChatDesk
from cosmos_robot.serving.data_folder import DataFolder
from cosmos_robot.serving.fetch import Fetcher
from cosmos_robot.serving.job import Job, JobState, is_id, new_id
from cosmos_robot.serving.job_store import JobStore
from cosmos_robot.serving.job_watch import Watches, next_change
from cosmos_robot.serving.local_paths import LocalPaths
from cosmos_robot.serving.media_input import MediaReader
from cosmos_robot.serving.metrics import Metrics
from cosmos_robot.serving.problems import DATABASE_ERRORS, Kind, RequestError
from cosmos_robot.serving.question import Question
from cosmos_robot.serving.recovery import recover
from cosmos_robot.serving.served_safety import safety_of
from cosmos_robot.serving.settings import ServerSettings
from cosmos_robot.serving.webhook_signature import SigningKey
from cosmos_robot.serving.webhook_store import Webhook, WebhookStore, insertion, untold
from cosmos_robot.serving.worker import NOT_READY, Hooks, Worker

_LOG = logging.getLogger("cosmos_robot.serving")
_ENDED_WATCHES = 1_000
"""Of so many ended jobs the log is kept beside that of open ones."""
_READERS = 16
"""Requests whose media are fetched and decoded at once."""


class Service:
    """One world model behind one queue.

    Args:
        settings: of the server.
        world_model: what answers.
    """

    def __init__(self, settings: ServerSettings, world_model: WorldModel) -> None:
        self.settings = settings
        self.world_model = world_model
        self.capabilities = Capabilities.of(world_model, settings.shown_checkpoint, strict=settings.strict)
        self.safety = safety_of(world_model, settings.safety)
        self.metrics = Metrics()
        self.folder = DataFolder(settings.data)
        limits = settings.limits
        self.chats = ChatDesk(world_model, limits)
        self.store = JobStore(
            settings.database or self.folder.database, queued=limits.queued, retry_after=limits.retry_after
        )
        self.webhooks = WebhookStore(self.store.engine)
        self.signing_key = SigningKey(settings.data / "webhook.key")
        self.watches = Watches(most=limits.queued + _ENDED_WATCHES)
        self.paths = LocalPaths.of(settings)
        self._reading = CapacityLimiter(_READERS)
        self._cleaner: asyncio.Task[None] | None = None
        self._worker = Worker(
            world_model,
            self.store,
            self.folder,
            batching=settings.batching,
            longest=self.capabilities.longest_chunk,
            hooks=Hooks(self._tell_changed, self.watches.tell_stepped, self.metrics.count_batch),
            paths=self.paths,
            safety=self.safety.name,
        )

    @property
    def ready(self) -> bool:
        """Whether jobs are being worked on."""
        return self._worker.alive

    def reader(self, *, urls: bool = True) -> MediaReader:
        """A reader of media that come with requests; `urls` says whether this interface takes URLs at all."""
        settings = self.settings
        fetcher = Fetcher(
            allowed=settings.allow_urls and urls,
            hosts=settings.url_hosts,
            seconds=settings.limits.fetch_seconds,
            redirects=settings.limits.redirects,
        )
        return MediaReader(settings.limits, fetcher)

    async def read[Value](self, work: Callable[[], Value]) -> Value:
        """Read a request, whose media are fetched and decoded, in a thread.

        These threads are for that alone: while they all wait for slow addresses, the others answer everything else.
        """
        return await to_thread.run_sync(work, limiter=self._reading)

    async def start(self) -> None:
        """Take up what an earlier process left, and begin to work."""
        self.watches.start()
        await run_in_threadpool(self._take_up)
        self._worker.start()
        self._cleaner = asyncio.create_task(self._clean())

    async def stop(self) -> None:
        """Finish what is being generated; what waits stays in the queue for the next start."""
        if self._cleaner is not None:
            self._cleaner.cancel()
        await run_in_threadpool(self._worker.stop)
        self.store.close()
        self.folder.close()

    async def submit(
        self,
        question: Question,
        *,
        interface: str,
        endpoint: str,
        attached: bool = False,
        options: Mapping[str, Any] | None = None,
        job_id: str | None = None,
        webhook: Webhook | None = None,
    ) -> Job:
        """Accept a question; once this returns, it will be answered, whatever happens to the process.

        Args:
            question: what is asked.
            interface: that accepts it.
            endpoint: what was asked of the interface.
            attached: whether a client waits for it on its connection.
            options: what the interface wants to remember.
            job_id: that the client chose, which no job has yet; None makes one.
            webhook: whom to tell of the job's end, or None.

        Raises:
            RequestError: if the queue is full, or jobs are not being worked on.
            UnsafeContentError: if the safety checker refuses a prompt.
        """
        await run_in_threadpool(self._check, question)
        if not self.ready:
            raise RequestError(Kind.UNAVAILABLE, NOT_READY, retry_after=5)
        job = Job(
            id=job_id or new_id(),
            interface=interface,
            endpoint=endpoint,
            mode=question.mode,
            state=JobState.QUEUED,
            attached=attached,
            batch_key=question.batch_key,
            created=time.time(),
            options=options or {},
        )
        self.watches.of(job.id).note("accepted")
        try:
            await run_in_threadpool(self._accept, job, question, webhook)
        except BaseException:
            self.watches.drop(job.id)
            raise
        self._worker.wake()
        return job

    async def answer(
        self,
        request: Request,
        question: Question,
        *,
        interface: str,
        endpoint: str,
        options: Mapping[str, Any] | None = None,
    ) -> tuple[Job, Answer]:
        """Answer a question while the client waits; a client that goes away takes its question back.

        Raises:
            RequestError: if it is not answered.
        """
        job = await self.submit(question, interface=interface, endpoint=endpoint, attached=True, options=options)
        try:
            ended = await self.wait(job.id, request)
            return ended, await self.result(ended)
        except asyncio.CancelledError:
            self._worker.cancel(job.id)
            raise
        except Exception:
            await self.discard(job.id)  # nobody will ask for what is left of it
            raise

    async def result(self, job: Job) -> Answer:
        """The answer of a job that has ended.

        Raises:
            RequestError: if it failed or was cancelled.
        """
        if job.problem is not None:
            raise RequestError(job.problem.kind, job.problem.message, findings=job.problem.findings)
        if job.state is JobState.CANCELLED:
            raise RequestError(Kind.CANCELLED, "this request was cancelled.")
        answer = await run_in_threadpool(read_answer, self.folder.job(job.id))
        if job.state is not JobState.DONE or answer is None:
            raise RequestError(Kind.NOT_FOUND, "there is no answer yet.")
        return answer

    async def wait(self, job_id: str, request: Request | None = None) -> Job:
        """Wait until a job has ended.

        Args:
            job_id: of the job.
            request: of the client that waits; where it goes away, the job is cancelled.
        """
        while True:
            changed = self.watches.of(job_id).changed
            job = await self.job(job_id)
            if job.state.final:
                return job
            if not await next_change(changed) and request is not None and await request.is_disconnected():
                await self.cancel(job_id)

    async def job(self, job_id: str) -> Job:
        """Find a job.

        Raises:
            RequestError: if there is none of that id.
        """
        job = await run_in_threadpool(self.store.get, job_id) if is_id(job_id) else None
        if job is None:
            raise RequestError(Kind.NOT_FOUND, "there is no such request.")
        return job

    async def cancel(self, job_id: str) -> bool:
        """Cancel a job; whether it was open."""
        return await run_in_threadpool(self._worker.cancel, job_id)

    async def beside[Value](self, work: Callable[[], Value]) -> Value:
        """Have short work done on the world model's own thread, between the batches of the queue.

        Raises:
            RequestError: if the server is going down.
        """
        return await asyncio.wrap_future(self._worker.beside(work))

    async def discard(self, job_id: str) -> None:
        """Remove the files of a job whose answer has been given."""
        await run_in_threadpool(self.folder.remove, [job_id])
        self.watches.drop(job_id)

    async def forget(self, job_id: str) -> None:
        """Remove a job that has ended, and its files."""
        await run_in_threadpool(self.store.remove, job_id)
        await self.discard(job_id)

    def _check(self, question: Question) -> None:
        """Look at the prompts before anything waits or is generated: how long they are, and whether they are safe."""
        most = self.settings.limits.prompt_characters
        for request in question.requests:
            for field in ("prompt", "negative_prompt"):
                prompt = getattr(request, field)
                if prompt and len(prompt) > most:
                    message = f"too long: {len(prompt)} characters, at most {most} are taken. Shorten it."
                    raise RequestError.of_field(field, message)
            check_prompts(self.safety, request.prompt, request.negative_prompt)

    def _accept(self, job: Job, question: Question, webhook: Webhook | None) -> None:
        folder = self.folder.make_job(job.id)
        accepted = False
        try:
            question.write(folder)
            self.store.accept(job, () if webhook is None else (insertion(job.id, webhook),))
            accepted = True
        finally:
            if not accepted:
                self.folder.remove([job.id])

    def _take_up(self) -> None:
        self.folder.remove_all_but(self.store.ids())
        for job_id in recover(self.store, self.folder, restarted=True):
            self._tell_changed(job_id)
        self._forget()

    def _forget(self) -> None:
        before = time.time() - self.settings.keep_hours * 3600
        ids = self.store.forget(finished_before=before, but=untold())
        self.webhooks.forget()
        self.folder.remove(ids)
        for job_id in ids:
            self.watches.drop(job_id)

    async def _clean(self) -> None:
        while True:
            await asyncio.sleep(min(600.0, self.settings.keep_hours * 3600))
            try:
                await run_in_threadpool(self._forget)
            except (*DATABASE_ERRORS, OSError):
                _LOG.exception("old jobs cannot be removed; trying again later")

    def _tell_changed(self, job_id: str) -> None:
        """Called by any thread."""
        job = self.store.get(job_id)
        if job is not None and job.state.final:
            Question.drop_media(self.folder.job(job_id))
        self.watches.tell_changed(job_id, "gone" if job is None else job.state.value)
