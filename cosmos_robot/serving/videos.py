"""`/v1/videos` as OpenAI and vLLM-Omni serve it: jobs that make videos, robots' futures among them.

Actions are in model space, in and out, as in vLLM-Omni. A video that failed is shown with status 200, as OpenAI does,
so that its clients can read why.
"""

import asyncio
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from cosmos_robot.serving.answer_headers import answer_headers
from cosmos_robot.serving.api_description import query_parameters
from cosmos_robot.serving.job import Job, JobState
from cosmos_robot.serving.json_body import check
from cosmos_robot.serving.openai_models import ServedModel
from cosmos_robot.serving.openai_style import STYLE as OPENAI_STYLE
from cosmos_robot.serving.problems import Kind, RequestError
from cosmos_robot.serving.question import Question
from cosmos_robot.serving.service import Service
from cosmos_robot.serving.videos_answer import job_id, no_video, remembered, show_video, video_id
from cosmos_robot.serving.videos_form import GivenVideo, read_videos
from cosmos_robot.serving.videos_question import VideosReader
from cosmos_robot.serving.videos_request import VideosRequest

BODIES = (VideosRequest,)
STYLE = replace(OPENAI_STYLE, name="videos", prefixes=("/v1/videos",))

_CANCEL_SECONDS = 30.0
"""How long deleting a running video waits for the denoising step that is on its way."""

_SCHEMA = {"schema": {"$ref": "#/components/schemas/VideosRequest"}}
_DESCRIPTION = {
    "requestBody": {"required": True, "content": {"multipart/form-data": _SCHEMA, "application/json": _SCHEMA}}
}


class Page(BaseModel):
    """What of the list is wanted."""

    model_config = ConfigDict(extra="forbid")

    after: str | None = None
    limit: Annotated[int, Field(ge=0, le=100)] = 20
    order: Literal["asc", "desc"] = "desc"


def router(service: Service) -> APIRouter:
    """Make the router."""
    routes = APIRouter(tags=["OpenAI"])
    served = ServedModel.of(service.settings)
    reader = VideosReader(service.reader(), service.capabilities, service.safety.name)

    async def read(request: Request) -> tuple[Question, dict[str, Any]]:
        asked: GivenVideo = await read_videos(request, service.settings.limits)
        served.require(asked.body.model)
        question = await service.read(partial(reader.question, asked))
        return question, remembered(asked.body, question, served.name)

    Asked = Annotated[tuple[Question, dict[str, Any]], Depends(read)]

    @routes.post("/v1/videos", openapi_extra=_DESCRIPTION)
    async def create(asked: Asked) -> dict[str, Any]:
        """Accept a video, and show where it stands."""
        question, options = asked
        job = await service.submit(question, interface=STYLE.name, endpoint="/v1/videos", options=options)
        return await _shown(service, job)

    @routes.post("/v1/videos/sync", openapi_extra=_DESCRIPTION, response_class=Response)
    async def sync(request: Request, asked: Asked) -> Response:
        """Generate a video, and answer with the file; actions are to be had from the other form alone."""
        question, options = asked
        job, answer = await service.answer(
            request, question, interface=STYLE.name, endpoint="/v1/videos/sync", options=options
        )
        content = await run_in_threadpool(answer.media)
        await service.forget(job.id)
        more = {"X-Model": served.name, "X-Inference-Time-S": f"{answer.seconds:.3f}"}
        return Response(content, media_type="video/mp4", headers=answer_headers(job, answer) | more)

    _add_stored(routes, service)
    return routes


def _add_stored(routes: APIRouter, service: Service) -> None:
    """Add what is asked about videos that were accepted."""

    async def find(shown: str) -> Job:
        job = await service.job(job_id(shown))
        if job.interface != STYLE.name:
            raise no_video()
        return job

    @routes.get("/v1/videos", openapi_extra=query_parameters(Page))
    async def videos(request: Request) -> dict[str, Any]:
        """List videos, by default the newest first."""
        page = check(Page, dict(request.query_params), strict=False)
        newest_first = page.order == "desc"
        after = None if page.after is None else job_id(page.after)
        found = await run_in_threadpool(
            lambda: service.store.page(STYLE.name, most=page.limit + 1, after=after, newest_first=newest_first)
        )
        rows = [await _shown(service, job) for job in found[: page.limit]]
        return {
            "object": "list",
            "data": rows,
            "first_id": rows[0]["id"] if rows else None,
            "last_id": rows[-1]["id"] if rows else None,
            "has_more": len(found) > page.limit,
        }

    @routes.get("/v1/videos/{shown}")
    async def retrieve(shown: str) -> JSONResponse:
        """Show where a video stands; a completed one with its actions, where it has such."""
        job = await find(shown)
        headers = answer_headers(job, await service.result(job)) if job.state is JobState.DONE else {}
        return JSONResponse(await _shown(service, job), headers=headers)

    @routes.get("/v1/videos/{shown}/content", response_class=FileResponse)
    async def content(request: Request, shown: str) -> FileResponse:
        """Give the file of a video."""
        if request.query_params.get("variant", "video") != "video":
            raise RequestError.of_field("variant", "there is the video alone.", Kind.UNSUPPORTED)
        job = await find(shown)
        if not job.state.final:
            raise RequestError(Kind.NOT_FOUND, "this video is not completed yet; ask for its status.")
        answer = await service.result(job)
        return FileResponse(
            answer.folder / str(answer.items[0].media),
            media_type="video/mp4",
            filename=f"{video_id(job.id)}.mp4",
            headers=answer_headers(job, answer),
        )

    @routes.delete("/v1/videos/{shown}")
    async def delete(shown: str) -> dict[str, Any]:
        """Delete a video; one that is on its way is cancelled first."""
        job = await find(shown)
        if not job.state.final:
            await service.cancel(job.id)
            try:
                async with asyncio.timeout(_CANCEL_SECONDS):
                    await service.wait(job.id)
            except TimeoutError as error:
                raise RequestError(Kind.CONFLICT, "this video is being cancelled; try again later.") from error
        await service.forget(job.id)
        return {"id": shown, "object": "video.deleted", "deleted": True}


async def _shown(service: Service, job: Job) -> dict[str, Any]:
    watch = service.watches.of(job.id) if job.state is JobState.RUNNING else None
    answer = await service.result(job) if job.state is JobState.DONE else None
    keep = service.settings.keep_hours * 3600
    return await run_in_threadpool(show_video, job, watch, answer, keep_seconds=keep)
