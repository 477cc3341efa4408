"""NVIDIA NIM for Cosmos: `/v1/infer` and the endpoints around it.

Facts: the NIM documentation of the Cosmos 3 generator, in its older and its newer releases.
"""

import base64
import platform
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from cosmos_robot.interface.request import ActionRequest
from cosmos_robot.serving.action_block import action_block
from cosmos_robot.serving.answer import Answer
from cosmos_robot.serving.answer_headers import answer_headers
from cosmos_robot.serving.interface_style import FieldRow, InterfaceStyle, field_rows
from cosmos_robot.serving.json_body import body_reader, json_schema
from cosmos_robot.serving.nim_question import JOINT_DOMAIN, NimReader
from cosmos_robot.serving.nim_request import NimRequest
from cosmos_robot.serving.problems import Kind, Problem
from cosmos_robot.serving.question import Question
from cosmos_robot.serving.service import Service
from cosmos_robot.serving.versions import package_version
from cosmos_robot.types import FloatArray

LICENSE = "Apache-2.0"
_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"

BODIES = (NimRequest,)


class NimError(BaseModel):
    """The body of an error: a sentence, or the fields that are wrong."""

    model_config = ConfigDict(extra="forbid")

    detail: str | list[FieldRow]


def _error_body(problem: Problem, _status: int) -> dict[str, Any]:
    return {"detail": field_rows(problem) or problem.message}


STYLE = InterfaceStyle(
    name="nim",
    prefixes=("/v1/",),
    body=_error_body,
    error=NimError,
    statuses={Kind.BAD_VALUE: 400, Kind.UNSAFE: 400},
)
"""Unknown fields and what the checkpoint cannot do are 422, bad values and malformed JSON 400."""


def router(service: Service) -> APIRouter:
    """Make the router."""
    routes = APIRouter(prefix="/v1", tags=["NIM"])
    settings = service.settings
    reader = NimReader(service.reader(urls=settings.nim_urls), service.capabilities)
    read = body_reader(NimRequest, depth=settings.limits.json_depth)

    @routes.post("/infer", openapi_extra=json_schema(NimRequest))
    async def infer(request: Request, body: Annotated[NimRequest, Depends(read)]) -> JSONResponse:
        """Generate an image, a video, or a robot's future."""
        question = await service.read(partial(reader.question, body))
        job, answer = await service.answer(request, question, interface=STYLE.name, endpoint="/v1/infer")
        shown = await run_in_threadpool(_answer_body, body, question, answer)
        await service.discard(job.id)
        return JSONResponse(shown, headers=answer_headers(job, answer))

    @routes.get("/health/ready", responses={503: {"description": "not ready"}})
    async def ready() -> JSONResponse:
        """Say whether requests are worked on."""
        status = "ready" if service.ready else "not ready"
        body = {"description": "Triton readiness check", "status": status}
        return JSONResponse(body, status_code=200 if service.ready else 503)

    @routes.get("/health/live")
    async def live() -> dict[str, str]:
        """Say that the process runs."""
        return {"description": "Triton liveness check", "status": "live"}

    @routes.get("/license")
    async def license_() -> dict[str, str]:
        """Name the licence of this server; that of a checkpoint is with the checkpoint."""
        return {"name": LICENSE, "url": "https://www.apache.org/licenses/LICENSE-2.0"}

    @routes.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Give the counters as Prometheus reads them."""
        counts = await run_in_threadpool(service.store.counts)
        return Response(service.metrics.text(counts), media_type=_PROMETHEUS)

    _add_descriptions(routes, service)
    return routes


def _add_descriptions(routes: APIRouter, service: Service) -> None:
    """Add the endpoints that say what this is."""

    @routes.get("/metadata")
    async def metadata(request: Request) -> dict[str, Any]:
        """Describe the server and its checkpoint."""
        return {
            "name": "cosmos-robot",
            "version": request.app.version,
            "checkpoint": service.settings.fine_tuned or service.settings.shown_checkpoint,
            "modelInfo": [_model(service)],
            "licenseInfo": {"name": LICENSE},
        }

    @routes.get("/manifest")
    async def manifest(request: Request) -> dict[str, Any]:
        """List what can be served: one profile, the checkpoint that is loaded."""
        return {"manifest_version": "1", "release": request.app.version, "profiles": [_model(service)]}

    @routes.get("/version")
    async def version() -> dict[str, str]:
        """Name the release."""
        return {"release": package_version(), "api": "1.0.0", "python": platform.python_version()}


def _model(service: Service) -> dict[str, Any]:
    capable = service.capabilities
    canvas = capable.native_canvas
    return {
        "shortName": service.settings.shown_checkpoint,
        "nativeCanvas": None if canvas is None else {"width": canvas[1], "height": canvas[0]},
        "maxActionChunkSize": capable.longest_chunk,
    }


def _answer_body(body: NimRequest, question: Question, answer: Answer) -> dict[str, Any]:
    item, asked = answer.items[0], question.requests[0]
    shown: dict[str, Any] = {}
    if item.media is not None:
        key = "b64_image" if question.mode == "text2image" else "b64_video"
        shown[key] = base64.b64encode(answer.media()).decode()
    if isinstance(asked, ActionRequest):
        shown["action"] = None if asked.mode == "forward_dynamics" else _action(asked, answer)
    elif body.prompt_upsampling:
        shown["upsampled_prompt"] = item.prompt_used
    return {**shown, "seed": item.seed}


def _action(asked: ActionRequest, answer: Answer) -> dict[str, Any] | None:
    values = answer.actions()
    if values is None:
        return None
    values = values[:, : asked.domain.raw_action_dim]
    if asked.domain.name == JOINT_DOMAIN:
        values = open_is_zero(values)
    return action_block(values, asked.domain, asked.mode)


def open_is_zero(actions: FloatArray) -> FloatArray:
    """Turn the gripper, the last of DROID's joint channels, as DROID counts it: 0 is open."""
    turned = actions.copy()
    turned[:, -1] = 1 - turned[:, -1]
    return turned
