"""fal: Cosmos 3 Super's image-to-video and text-to-image, run at once or through the queue.

fal has two hosts with equal paths; here they are two mount points, `/fal/run/` and `/fal/queue/`.
"""

import json
from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from cosmos_robot.serving.answer import Answer, AnsweredItem
from cosmos_robot.serving.answer_address import base_url, media_address, media_type
from cosmos_robot.serving.answer_headers import answer_headers
from cosmos_robot.serving.api_description import EVENT_STREAM, accepted
from cosmos_robot.serving.fal_request import FalImageToVideo, FalReader, FalTextToImage
from cosmos_robot.serving.interface_style import FieldRow, InterfaceStyle, field_rows
from cosmos_robot.serving.job import Job, JobState
from cosmos_robot.serving.job_watch import next_change
from cosmos_robot.serving.json_body import body_reader, json_schema
from cosmos_robot.serving.problems import Kind, Problem, RequestError
from cosmos_robot.serving.service import Service
from cosmos_robot.serving.webhook_dispatcher import WebhookForm
from cosmos_robot.serving.webhook_request import read_webhook

APP = "nvidia/cosmos-3-super"
RUN, QUEUE = "/fal/run", "/fal/queue"
REQUESTS = f"{QUEUE}/{APP}/requests/{{request_id}}"

BODIES = (FalImageToVideo, FalTextToImage)
ENDPOINTS: tuple[tuple[str, type[FalImageToVideo | FalTextToImage]], ...] = (
    ("image-to-video", FalImageToVideo),
    ("text-to-image", FalTextToImage),
)


class FalError(BaseModel):
    """The body of an error: a sentence or the fields that are wrong, and the kind of problem."""

    model_config = ConfigDict(extra="forbid")

    detail: str | list[FieldRow]
    error_type: str


def _error_body(problem: Problem, status: int) -> dict[str, Any]:
    rows = field_rows(problem)
    if not rows and status == 422:
        rows = [{"loc": ["body"], "msg": problem.message, "type": problem.kind.label}]
    return {"detail": rows or problem.message, "error_type": problem.kind.label}


STYLE = InterfaceStyle(
    name="fal",
    prefixes=("/fal/",),
    body=_error_body,
    error=FalError,
    statuses={Kind.MALFORMED: 422, Kind.MEDIA_TYPE: 422, Kind.CANCELLED: 400},
    headers=lambda problem: {"x-fal-error-type": problem.kind.label},
)

_NOT_CANCELLED: dict[int | str, dict[str, Any]] = {
    status: {"description": word, "content": {"application/json": {"schema": {}}}}
    for status, word in ((400, "ALREADY_COMPLETED"), (404, "NOT_FOUND"))
}
"""What cancelling answers where there is nothing to cancel: a status as all its answers have, no error body."""


def router(service: Service) -> APIRouter:
    """Make the router."""
    routes = APIRouter(tags=["fal"])
    reader = FalReader(service.reader(), service.capabilities, service.safety.name)
    for name, model in ENDPOINTS:
        _add_endpoint(routes, service, reader, name, model)
    _add_requests(routes, service)
    return routes


def _add_endpoint(
    routes: APIRouter, service: Service, reader: FalReader, name: str, model: type[FalImageToVideo | FalTextToImage]
) -> None:
    """Add an endpoint to both hosts."""
    read = body_reader(model, depth=service.settings.limits.json_depth)
    endpoint = f"{APP}/{name}"

    @routes.post(f"{RUN}/{endpoint}", openapi_extra=json_schema(model))
    async def run(request: Request, body: Annotated[Any, Depends(read)]) -> JSONResponse:
        """Generate, and answer with the result."""
        question = await service.read(partial(reader.question, body))
        job, answer = await service.answer(
            request, question, interface=STYLE.name, endpoint=endpoint, options=_options(body)
        )
        return await _result(service, request, job, answer)

    @routes.post(f"{QUEUE}/{endpoint}", openapi_extra=json_schema(model))
    async def submit(
        request: Request, body: Annotated[Any, Depends(read)], fal_webhook: str | None = None
    ) -> dict[str, Any]:
        """Accept a request into the queue."""
        webhook = await read_webhook(service, request, fal_webhook, "fal_webhook")
        question = await service.read(partial(reader.question, body))
        job = await service.submit(
            question, interface=STYLE.name, endpoint=endpoint, options=_options(body), webhook=webhook
        )
        return {"status": "IN_QUEUE", "queue_position": await _position(service, job), **_urls(service, request, job)}


def _add_requests(routes: APIRouter, service: Service) -> None:
    """Add what is asked about a request in the queue."""

    async def find(request_id: str) -> Job:
        job = await service.job(request_id)
        if job.interface != STYLE.name:
            raise RequestError(Kind.NOT_FOUND, "there is no such request.")
        return job

    @routes.get(REQUESTS + "/status", responses=accepted("where it stands; it has not ended"))
    async def status(request: Request, request_id: str, logs: str = "0") -> JSONResponse:
        """Say where a request stands: 202 until it has ended."""
        job = await find(request_id)
        shown = await _status(service, request, job, logs=logs.lower() in ("1", "true"))
        return JSONResponse(shown, status_code=200 if job.state.final else 202)

    @routes.get(REQUESTS + "/status/stream", response_class=StreamingResponse, responses=EVENT_STREAM)
    async def stream(request: Request, request_id: str, logs: str = "0") -> StreamingResponse:
        """Say where a request stands, whenever that changes, until it has ended."""
        job = await find(request_id)
        events = _events(service, request, job, logs=logs.lower() in ("1", "true"))
        return StreamingResponse(events, media_type="text/event-stream", headers={"Cache-Control": "no-store"})

    @routes.get(REQUESTS)
    async def result(request: Request, request_id: str) -> JSONResponse:
        """Give the result."""
        job = await find(request_id)
        if not job.state.final:
            raise RequestError(Kind.IN_PROGRESS, "this request is still in progress.")
        return await _result(service, request, job, await service.result(job))

    @routes.put(REQUESTS + "/cancel", status_code=202, responses=_NOT_CANCELLED)
    async def cancel(request_id: str) -> Response:
        """Cancel a request: at once where it waits, at its next denoising step where it runs."""
        try:
            job = await find(request_id)
        except RequestError:
            return JSONResponse({"status": "NOT_FOUND"}, status_code=404)
        if not await service.cancel(job.id):
            return JSONResponse({"status": "ALREADY_COMPLETED"}, status_code=400)
        return JSONResponse({"status": "CANCELLATION_REQUESTED"}, status_code=202)


def _options(body: FalImageToVideo | FalTextToImage) -> dict[str, Any]:
    return {"sync_mode": body.sync_mode}


async def _position(service: Service, job: Job) -> int:
    return await run_in_threadpool(service.store.position, job.id)


def _urls(service: Service, request: Request, job: Job) -> dict[str, str]:
    url = base_url(service.settings, request) + REQUESTS.format(request_id=job.id)
    return {
        "request_id": job.id,
        "response_url": url,
        "status_url": f"{url}/status",
        "cancel_url": f"{url}/cancel",
    }


async def _status(service: Service, request: Request, job: Job, *, logs: bool) -> dict[str, Any]:
    shown: dict[str, Any] = _urls(service, request, job)
    log = [{"timestamp": at, "level": "INFO", "message": text} for at, text in service.watches.of(job.id).log]
    if job.state is JobState.QUEUED:
        return {"status": "IN_QUEUE", "queue_position": await _position(service, job), **shown}
    if job.state is JobState.RUNNING:
        return {"status": "IN_PROGRESS", "logs": log if logs else None, **shown}
    shown |= {"status": "COMPLETED", "logs": log if logs else None}
    shown["metrics"] = {"inference_time": (job.finished or 0) - (job.started or job.finished or 0)}
    if job.state is JobState.CANCELLED:
        shown |= {"error": "the request was cancelled.", "error_type": Kind.CANCELLED.label}
    elif job.problem is not None:
        shown |= {"error": job.problem.message, "error_type": job.problem.kind.label}
    return shown


async def _events(service: Service, request: Request, job: Job, *, logs: bool) -> AsyncIterator[str]:
    told = None
    while True:
        changed = service.watches.of(job.id).changed
        job = await service.job(job.id)
        shown = await _status(service, request, job, logs=logs)
        if shown != told:
            told = shown
            yield f"data: {json.dumps(shown)}\n\n"
        if job.state.final:
            return
        await next_change(changed)


async def _result(service: Service, request: Request, job: Job, answer: Answer) -> JSONResponse:
    shown = await run_in_threadpool(_body, base_url(service.settings, request), job, answer)
    headers = {**answer_headers(job, answer), "x-fal-request-id": job.id}
    if job.attached and job.options["sync_mode"]:
        await service.discard(job.id)
    return JSONResponse(shown, headers=headers)


async def _webhook_body(service: Service, job: Job, base: str) -> dict[str, Any]:
    """The result, or the body that its address answers with instead."""
    shown = {"request_id": job.id, "gateway_request_id": job.id}
    try:
        answer = await service.result(job)
    except RequestError as error:
        problem = error.problem
        payload = _error_body(problem, STYLE.status(problem.kind))
        return {**shown, "status": "ERROR", "error": problem.message, "payload": payload}
    return {**shown, "status": "OK", "payload": await run_in_threadpool(_body, base, job, answer)}


WEBHOOK = WebhookForm(headers="X-Fal-Webhook", body=_webhook_body)


def _body(base: str, job: Job, answer: Answer) -> dict[str, Any]:
    files = [_file(base, job, answer, index) for index in range(len(answer.items))]
    first = answer.items[0]
    if job.mode == "image2video":
        return {"video": files[0], "seed": first.seed}
    images = [{**file, **_sides(item)} for file, item in zip(files, answer.items, strict=True)]
    return {
        "images": images,
        "seed": first.seed,
        "has_nsfw_concepts": [False] * len(images),
        "prompt": first.prompt_used,
    }


def _file(base: str, job: Job, answer: Answer, index: int) -> dict[str, Any]:
    inline = job.options["sync_mode"]
    shown = {
        "url": media_address(base, job.id, answer, index, inline=inline),
        "content_type": media_type(answer, index),
    }
    name = str(answer.items[index].media)
    return shown if inline else {**shown, "file_name": name, "file_size": (answer.folder / name).stat().st_size}


def _sides(item: AnsweredItem) -> dict[str, int]:
    return {} if item.shape is None else {"width": item.shape[2], "height": item.shape[1]}
