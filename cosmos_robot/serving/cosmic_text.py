"""Cosmic's text, answered by the checkpoint's reasoner: at once, or as the events that Cosmic's client reads."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from cosmos_robot.interface.chat import all_said
from cosmos_robot.interface.reason import ReasonChunk, Reasoning, ReasonRequest
from cosmos_robot.safety.checker import check_prompts
from cosmos_robot.serving.answer_address import base_url
from cosmos_robot.serving.answer_headers import safety_header
from cosmos_robot.serving.api_description import EVENT_STREAM
from cosmos_robot.serving.chat_desk import Event
from cosmos_robot.serving.chat_stream import ChatStream, event_line, first_event, refusal
from cosmos_robot.serving.cosmic_bucket import PATH, Bucket
from cosmos_robot.serving.cosmic_question import CosmicReader
from cosmos_robot.serving.cosmic_request import CosmicText
from cosmos_robot.serving.cosmic_usage import text_usage
from cosmos_robot.serving.json_body import body_reader, json_schema
from cosmos_robot.serving.local_paths import LocalPaths
from cosmos_robot.serving.problems import Problem
from cosmos_robot.serving.service import Service


def add_text(routes: APIRouter, service: Service, reader: CosmicReader, model: str) -> None:
    """Add the endpoint.

    Args:
        routes: that it is added to.
        service: that answers.
        reader: of requests.
        model: name of the checkpoint that answers, whatever model the request names.
    """
    read = body_reader(CosmicText, depth=service.settings.limits.json_depth)
    headers = safety_header(service.safety.name)

    def question(body: CosmicText, base: str) -> ReasonRequest:
        asked = reader.text(body, base)
        check_prompts(service.safety, *all_said(asked.messages))
        return asked

    @routes.post(PATH + "/ai/text", openapi_extra=json_schema(CosmicText), responses=EVENT_STREAM)
    async def text(request: Request, bucket: Bucket, body: Annotated[CosmicText, Depends(read)]) -> Response:
        """Answer a prompt or a chat, about an image or a video where one is named."""
        asked = await service.read(partial(question, body, base_url(service.settings, request)))
        chat = service.chats.open(asked)
        events = chat.events(request)
        first = await first_event(chat, events)
        if body.stream:
            paths: LocalPaths = request.app.state.paths
            return ChatStream(chat, _lines(first, events, model, paths), headers)
        try:
            return JSONResponse(await _whole(first, events, model), headers=headers)
        finally:
            chat.stop()


async def _whole(event: Event, events: AsyncIterator[Event], model: str) -> dict[str, Any]:
    while isinstance(event, ReasonChunk):
        event = await anext(events)
    if isinstance(event, Problem):
        raise refusal(event)
    return _answer(event, model)


async def _lines(event: Event, events: AsyncIterator[Event], model: str, paths: LocalPaths) -> AsyncIterator[str]:
    """Server-sent events of a chat, of which the first event has come; `<think>` parts are no part of the text."""
    while isinstance(event, ReasonChunk):
        if not event.thinking:
            yield event_line({"text": event.text})
        event = await anext(events)
    if isinstance(event, Problem):
        yield event_line({"error": {"message": paths.hidden(event).message}})
        return
    answer = _answer(event, model)
    yield event_line({"token_count": answer["usage"]})
    yield event_line({"event": "end", "data": answer})


def _answer(answer: Reasoning, model: str) -> dict[str, Any]:
    return {
        "text": answer.text,
        "usage": text_usage(answer.usage),
        "model": model,
        "finish_reason": answer.finish_reason,
    }
