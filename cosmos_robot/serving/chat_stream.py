"""Answering a chat as a stream of server-sent events: the first event decides the status, the end stops the chat."""

import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from cosmos_robot.serving.chat_desk import Chat, Event
from cosmos_robot.serving.problems import Problem, RequestError


class ChatStream(StreamingResponse):
    """A stream that stops its chat when it ends, however it ends.

    Args:
        chat: that is answered.
        lines: server-sent events.
        headers: beside the usual ones.
    """

    def __init__(self, chat: Chat, lines: AsyncIterator[str], headers: dict[str, str]) -> None:
        super().__init__(lines, media_type="text/event-stream", headers={"Cache-Control": "no-store", **headers})
        self._chat = chat

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._chat.stop()


async def first_event(chat: Chat, events: AsyncIterator[Event]) -> Event:
    """The first event: what is wrong with the request shows here, while there still is a status to say so.

    Raises:
        RequestError: if the chat is refused.
    """
    try:
        first = await anext(events)
    except BaseException:
        chat.stop()
        raise
    if isinstance(first, Problem):
        raise refusal(first)
    return first


def event_line(body: dict[str, Any]) -> str:
    """One server-sent event."""
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n"


def refusal(problem: Problem) -> RequestError:
    """The error of a problem."""
    return RequestError(problem.kind, problem.message, findings=problem.findings, retry_after=problem.retry_after)
