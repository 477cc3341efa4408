"""Pixazo's gateway: Cosmos 3 Super's text-to-image and image-to-video, accepted with 202 and asked for by id.

Of its table of statuses 402 is never given: nobody has a balance here.
"""

from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header
from pydantic import BaseModel, ConfigDict
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse

from cosmos_robot.serving.answer import Answer
from cosmos_robot.serving.answer_address import base_url, media_address, media_type
from cosmos_robot.serving.answer_headers import answer_headers
from cosmos_robot.serving.fal_request import FalReader
from cosmos_robot.serving.interface_style import InterfaceStyle
from cosmos_robot.serving.job import Job, JobState
from cosmos_robot.serving.json_body import body_reader, json_schema
from cosmos_robot.serving.pixazo_request import PixazoImageToVideo, PixazoTextToImage
from cosmos_robot.serving.problems import Kind, Problem, RequestError
from cosmos_robot.serving.service import Service
from cosmos_robot.serving.webhook_dispatcher import WebhookForm
from cosmos_robot.serving.webhook_request import read_webhook

STATUS = "/v2/requests/status"
WEBHOOK_HEADER = "X-Webhook-URL"

BODIES = (PixazoTextToImage, PixazoImageToVideo)
MODELS: tuple[tuple[str, type[PixazoTextToImage | PixazoImageToVideo]], ...] = (
    ("cosmos-3-super-text-to-image", PixazoTextToImage),
    ("cosmos-3-super-image-to-video", PixazoImageToVideo),
)

_STATUSES = (401, 403, 404, 405, 429, 500)
"""What is answered beside 400: those of its table, and two of HTTP itself."""

_ANSWERED: dict[int | str, dict[str, Any]] = {
    200: {"description": "the result, with `sync_mode`", "content": {"application/json": {"schema": {}}}}
}


class PixazoError(BaseModel):
    """The body of an error: the words of its status, and a sentence."""

    model_config = ConfigDict(extra="forbid")

    error: str
    message: str


def _error_body(problem: Problem, status: int) -> dict[str, Any]:
    return {"error": HTTPStatus(status).phrase, "message": problem.message}


STYLE = InterfaceStyle(
    name="pixazo",
    prefixes=("/cosmos-3-super-", f"{STATUS}/"),
    body=_error_body,
    error=PixazoError,
    statuses={kind: 400 if kind.status < 500 else 500 for kind in Kind if kind.status not in _STATUSES},
)


def router(service: Service) -> APIRouter:
    """Make the router."""
    routes = APIRouter(tags=["Pixazo"])
    reader = FalReader(service.reader(), service.capabilities, service.safety.name)
    for name, model in MODELS:
        _add_endpoint(routes, service, reader, name, model)

    @routes.post("/{model}/v1/{name}-request", include_in_schema=False)
    async def unknown(model: str, name: str) -> JSONResponse:
        """Refuse a model that is not here."""
        if name != model:
            raise RequestError(Kind.NOT_FOUND, "there is no such path.")
        message = f"Model '{model[:200]}' not found or is disabled"
        return JSONResponse({"error": "Model not found", "message": message}, status_code=400)

    @routes.get(STATUS + "/{request_id}")
    async def status(request: Request, request_id: str) -> JSONResponse:
        """Say where a request stands, and give its result."""
        model, _, job_id = request_id.rpartition("_")
        job = await service.job(job_id)
        if (job.interface, job.endpoint, job.attached) != (STYLE.name, model, False):
            raise RequestError(Kind.NOT_FOUND, "there is no such request.")
        answer = await service.result(job) if job.state is JobState.DONE else None
        shown = _shown(job, answer, base_url(service.settings, request))
        return JSONResponse(shown, headers={} if answer is None else answer_headers(job, answer))

    return routes


def _add_endpoint(
    routes: APIRouter,
    service: Service,
    reader: FalReader,
    name: str,
    model: type[PixazoTextToImage | PixazoImageToVideo],
) -> None:
    """Add a model's endpoint."""
    read = body_reader(model, depth=service.settings.limits.json_depth)

    @routes.post(f"/{name}/v1/{name}-request", status_code=202, openapi_extra=json_schema(model), responses=_ANSWERED)
    async def generate(
        request: Request,
        body: Annotated[Any, Depends(read)],
        x_webhook_url: Annotated[str | None, Header()] = None,
    ) -> JSONResponse:
        """Accept a request; with `sync_mode` answer it."""
        if body.sync_mode and x_webhook_url is not None:
            raise RequestError.of_field(
                WEBHOOK_HEADER,
                "with sync_mode the answer comes at once and no webhook is called; leave one of them out.",
            )
        webhook = await read_webhook(service, request, x_webhook_url, WEBHOOK_HEADER)
        question = await service.read(partial(reader.question, body))
        base = base_url(service.settings, request)
        if body.sync_mode:
            job, answer = await service.answer(request, question, interface=STYLE.name, endpoint=name)
            shown = await run_in_threadpool(_shown, job, answer, base)
            await service.discard(job.id)
            return JSONResponse(shown, headers=answer_headers(job, answer))
        job = await service.submit(question, interface=STYLE.name, endpoint=name, webhook=webhook)
        request_id = _request_id(job)
        accepted = {"request_id": request_id, "status": "QUEUED", "polling_url": f"{base}{STATUS}/{request_id}"}
        return JSONResponse(accepted, status_code=202)


def _request_id(job: Job) -> str:
    return f"{job.endpoint}_{job.id}"


def _status(job: Job) -> str:
    if job.problem is not None:
        return "ERROR" if job.problem.kind.status >= 500 else "FAILED"
    words = {JobState.QUEUED: "QUEUED", JobState.RUNNING: "PROCESSING", JobState.DONE: "COMPLETED"}
    return words.get(job.state, "FAILED")


def _shown(job: Job, answer: Answer | None, base: str) -> dict[str, Any]:
    """Everything about a request; what a client waits for on its connection has its media within."""
    error = None if job.problem is None else job.problem.message
    shown: dict[str, Any] = {
        "request_id": _request_id(job),
        "status": _status(job),
        "model_id": job.endpoint,
        "error": "the request was cancelled." if job.state is JobState.CANCELLED else error,
        "output": None,
        "created_at": _time(job.created),
        "updated_at": _time(job.finished or job.started or job.created),
        "completed_at": _time(job.finished),
    }
    if answer is not None:
        count = len(answer.items)
        addresses = [media_address(base, job.id, answer, index, inline=job.attached) for index in range(count)]
        shown["output"] = {"media_url": addresses, "media_type": media_type(answer, 0)}
    return shown


def _time(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def _webhook_body(service: Service, job: Job, base: str) -> dict[str, Any]:
    """What the status says."""
    return _shown(job, await service.result(job) if job.state is JobState.DONE else None, base)


WEBHOOK = WebhookForm(headers="X-Webhook", body=_webhook_body)
