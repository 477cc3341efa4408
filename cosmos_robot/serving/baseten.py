"""Baseten's `predict` for Cosmos 3 Nano: six modes, media in base64, actions under `sample_outputs`."""

import base64
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse

from cosmos_robot.serving.answer import Answer
from cosmos_robot.serving.answer_headers import answer_headers
from cosmos_robot.serving.baseten_question import BasetenQuestion, BasetenReader
from cosmos_robot.serving.baseten_request import BasetenRequest
from cosmos_robot.serving.interface_style import InterfaceStyle
from cosmos_robot.serving.job import Job
from cosmos_robot.serving.json_body import body_reader, json_schema
from cosmos_robot.serving.named_media import NamedMedia
from cosmos_robot.serving.problems import Problem
from cosmos_robot.serving.service import Service

BODIES = (BasetenRequest,)


class BasetenError(BaseModel):
    """The body of an error: a sentence."""

    model_config = ConfigDict(extra="forbid")

    error: str


def _error_body(problem: Problem, _status: int) -> dict[str, Any]:
    return {"error": problem.message}


STYLE = InterfaceStyle(name="baseten", prefixes=("/predict", "/environments/"), body=_error_body, error=BasetenError)


def router(service: Service) -> APIRouter:
    """Make the router."""
    routes = APIRouter(tags=["Baseten"])
    settings = service.settings
    reader = BasetenReader(NamedMedia(service.reader(), settings.media_root), service.capabilities)
    read = body_reader(BasetenRequest, depth=settings.limits.json_depth)

    @routes.post("/predict", openapi_extra=json_schema(BasetenRequest))
    @routes.post("/environments/production/predict", openapi_extra=json_schema(BasetenRequest))
    async def predict(request: Request, body: Annotated[BasetenRequest, Depends(read)]) -> JSONResponse:
        """Generate an image, a video, or a robot's future."""
        asked = await service.read(partial(reader.question, body))
        job, answer = await service.answer(request, asked.question, interface=STYLE.name, endpoint="predict")
        shown = await run_in_threadpool(_answer_body, body, asked, job, answer)
        await service.discard(job.id)
        return JSONResponse(shown, headers=answer_headers(job, answer))

    return routes


def _answer_body(body: BasetenRequest, asked: BasetenQuestion, job: Job, answer: Answer) -> dict[str, Any]:
    mode = asked.question.mode
    name = body.name or job.id
    if mode == "inverse_dynamics" and asked.given is not None:
        file_format, data = asked.given.suffix.removeprefix("."), asked.given.content
    else:
        file_format, data = str(answer.items[0].media).rpartition(".")[2], answer.media()
    shown: dict[str, Any] = {
        "name": name,
        "model_mode": mode,
        "format": file_format,
        "data": base64.b64encode(data).decode(),
    }
    actions = answer.actions()
    if mode in ("inverse_dynamics", "policy") and actions is not None:
        content = {"action": actions.tolist()}
        shown["sample_outputs"] = {
            "status": "success",
            "outputs": [{"content": content, "files": [f"{name}/vision.{file_format}"]}],
        }
    return shown
