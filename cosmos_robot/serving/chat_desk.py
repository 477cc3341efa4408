"""Chats with the reasoner: one is answered at a time, others wait, and what nobody waits for any more is stopped.

A chat is no job of the queue: it means nothing without the client that reads it, so nothing of it outlives that.
"""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from starlette.requests import Request

from cosmos_robot.errors import UnsupportedModeError
from cosmos_robot.interface.reason import ReasonChunk, Reasoning, ReasonRequest, ReasonStream
from cosmos_robot.interface.world_model import WorldModel
from cosmos_robot.serving.problems import Kind, Problem, RequestError, problem_of
from cosmos_robot.serving.settings import Limits

_LOG = logging.getLogger("cosmos_robot.serving")
_LOOK_SECONDS = 0.5
"""How often it is looked whether the client is still there."""

type Event = ReasonChunk | Reasoning | Problem


class ChatDesk:
    """Answers chats of one world model.

    Args:
        world_model: what answers.
        limits: of the server; as many chats as jobs may be open.
    """

    def __init__(self, world_model: WorldModel, limits: Limits) -> None:
        self._world_model = world_model
        self._limits = limits
        self._open = 0
        self._turns = ThreadPoolExecutor(1, thread_name_prefix="chat")

    def open(self, asked: ReasonRequest) -> "Chat":
        """Begin a chat, or let it wait for its turn. To be called on the event loop.

        Raises:
            RequestError: if too many are open.
        """
        most = self._limits.queued
        if self._open >= most:
            raise RequestError(
                Kind.QUEUE_FULL,
                f"this server has {most} chats open already. Try again later.",
                retry_after=self._limits.retry_after,
            )
        self._open += 1
        chat = Chat(lambda: self._begin(asked), self._ended)
        chat.start(self._turns)
        return chat

    def _begin(self, asked: ReasonRequest) -> ReasonStream:
        answer: Callable[[ReasonRequest], ReasonStream] | None = getattr(self._world_model, "answer", None)
        if answer is None:
            raise UnsupportedModeError(f"{type(self._world_model).__name__} cannot reason: it answers no chats.")
        return answer(asked)

    def _ended(self) -> None:
        self._open -= 1


class Chat:
    """One chat that is being answered.

    Args:
        begin: starts the answer; called in the desk's thread.
        ended: called on the event loop once nothing of it is at work any more.
    """

    def __init__(self, begin: Callable[[], ReasonStream], ended: Callable[[], None]) -> None:
        self._begin, self._tell_ended = begin, ended
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._stopped = threading.Event()
        self._stream: ReasonStream | None = None
        self._work: Future[Reasoning] | None = None

    def start(self, turns: ThreadPoolExecutor) -> None:
        """Take a place in the line."""
        self._work = turns.submit(self._answer)
        self._work.add_done_callback(lambda work: self._call(self._ended, work))

    def stop(self) -> None:
        """Stop before the next token, or before it begins; calling it again, or after the end, does nothing."""
        self._stopped.set()
        if self._work is not None and not self._work.cancel() and not self._work.done() and self._stream is not None:
            self._loop.run_in_executor(None, self._stream.close)  # it waits for the token that is on its way

    async def events(self, request: Request) -> AsyncIterator[Event]:
        """The pieces of the answer, then the whole of it; or, at any place, the problem that ended it.

        Args:
            request: of the client that waits; where it goes away, that is the problem.
        """
        looked = time.monotonic()
        while True:
            event: Event | None = None
            with suppress(TimeoutError):
                event = await asyncio.wait_for(self._events.get(), _LOOK_SECONDS)
            if time.monotonic() - looked >= _LOOK_SECONDS:
                looked = time.monotonic()
                if await request.is_disconnected():
                    event = problem_of(RequestError(Kind.CANCELLED, "the client went away."))
            if event is None:
                continue
            yield event
            if not isinstance(event, ReasonChunk):
                return

    def _answer(self) -> Reasoning:
        """Answer; called in the desk's thread."""
        stream = self._stream = self._begin()
        if self._stopped.is_set():  # before there was a stream to stop
            stream.close()
        for piece in stream:
            self._call(self._events.put_nowait, piece)
        return stream.result()

    def _call(self, function: Callable[..., None], *arguments: Any) -> None:
        """Have the event loop call something, unless the server is gone."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, *arguments)

    def _ended(self, work: Future[Reasoning]) -> None:
        self._tell_ended()
        if work.cancelled():
            return
        error = work.exception()
        if error is None:
            self._events.put_nowait(work.result())
            return
        problem = problem_of(error)
        if problem.kind.status >= 500:
            _LOG.error("a chat failed", exc_info=error)
        self._events.put_nowait(problem)
