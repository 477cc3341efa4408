"""OpenAI's chat completions, answered by the checkpoint's reasoner: at once, or as a stream of server-sent events."""

from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from cosmos_robot.interface.chat import all_said
from cosmos_robot.interface.reason import ReasonChunk, Reasoning, ReasonRequest
from cosmos_robot.safety.checker import check_prompts
from cosmos_robot.serving.answer_headers import safety_header
from cosmos_robot.serving.api_description import EVENT_STREAM
from cosmos_robot.serving.chat_desk import Chat, Event
from cosmos_robot.serving.chat_stream import ChatStream, event_line, first_event, refusal
from cosmos_robot.serving.json_body import body_reader, json_schema
from cosmos_robot.serving.local_paths import LocalPaths
from cosmos_robot.serving.openai_answer import Completion
from cosmos_robot.serving.openai_models import ServedModel, add_models
from cosmos_robot.serving.openai_question import ChatReader, stop_words
from cosmos_robot.serving.openai_request import ChatRequest
from cosmos_robot.serving.openai_style import STYLE
from cosmos_robot.serving.problems import Problem
from cosmos_robot.serving.service import Service
from cosmos_robot.serving.stop_words import StopWords

BODIES = (ChatRequest,)

__all__ = ["BODIES", "STYLE", "router"]


def router(service: Service) -> APIRouter:
    """Make the router."""
    routes = APIRouter(tags=["OpenAI"])
    served = ServedModel.of(service.settings)
    reader = ChatReader(service.reader())
    read = body_reader(ChatRequest, depth=service.settings.limits.json_depth)
    headers = safety_header(service.safety.name)
    add_models(routes, served)

    def question(body: ChatRequest) -> ReasonRequest:
        served.require(body.model)
        asked = reader.question(body)
        check_prompts(service.safety, *all_said(asked.messages))
        return asked

    @routes.post("/v1/chat/completions", openapi_extra=json_schema(ChatRequest), responses=EVENT_STREAM)
    async def complete(request: Request, body: Annotated[ChatRequest, Depends(read)]) -> Response:
        """Answer a chat."""
        chat = service.chats.open(await service.read(partial(question, body)))
        completion = Completion(served.name)
        events = _until(chat, request, StopWords(stop_words(body)))
        if not body.stream:
            try:
                return JSONResponse(await _whole(completion, events), headers=headers)
            finally:
                chat.stop()
        usage = body.stream_options is not None and body.stream_options.include_usage
        first = await first_event(chat, events)
        paths: LocalPaths = request.app.state.paths
        return ChatStream(chat, _lines(completion, first, events, paths, usage=usage), headers)

    return routes


async def _until(chat: Chat, request: Request, stops: StopWords) -> AsyncIterator[Event]:
    """A chat's events up to one of the words that end it; the answer's last event comes all the same."""
    async for event in chat.events(request):
        if isinstance(event, Problem) or (isinstance(event, ReasonChunk) and event.thinking):
            yield event
        elif isinstance(event, ReasonChunk):
            found = stops.found
            if text := stops.feed(event.text):
                yield ReasonChunk(text)
            if stops.found and not found:
                chat.stop()
        else:
            if text := stops.flush():
                yield ReasonChunk(text)
            yield replace(event, finish_reason="stop") if stops.found else event


async def _whole(completion: Completion, events: AsyncIterator[Event]) -> dict[str, Any]:
    text, thinking = "", ""
    async for event in events:
        if isinstance(event, Problem):
            raise refusal(event)
        if isinstance(event, Reasoning):
            return completion.whole(text, thinking, event.finish_reason, event.usage)
        text, thinking = (text, thinking + event.text) if event.thinking else (text + event.text, thinking)
    raise AssertionError("a chat ends with an answer or a problem")


async def _lines(
    completion: Completion, first: Event, events: AsyncIterator[Event], paths: LocalPaths, *, usage: bool
) -> AsyncIterator[str]:
    """Server-sent events of a chat, of which the first event has come."""
    more = {"usage": None} if usage else {}
    yield event_line({**completion.first(), **more})
    event = first
    while isinstance(event, ReasonChunk):
        yield event_line({**completion.piece(event), **more})
        event = await anext(events)
    if isinstance(event, Problem):
        yield event_line(STYLE.body(paths.hidden(event), STYLE.status(event.kind)))
    else:
        yield event_line({**completion.last(event.finish_reason), **more})
        if usage:
            yield event_line(completion.usage(event.usage))
    yield "data: [DONE]\n\n"
