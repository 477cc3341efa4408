"""This server's own interface: jobs in the library's own words, under ids that clients choose.

A client that chooses the id may send a job again when it does not know whether it arrived: it is accepted once. It
waits for the answer on as many connections as it takes, is told the steps meanwhile, and takes the answer without loss.
"""

import asyncio
import base64
import contextlib
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from cosmos_robot.serving.answer import MEDIA_TYPES, Answer
from cosmos_robot.serving.answer_headers import answer_headers
from cosmos_robot.serving.api_description import accepted
from cosmos_robot.serving.interface_style import OWN_STYLE
from cosmos_robot.serving.job import Job, JobState, is_id
from cosmos_robot.serving.json_body import body_reader, json_schema
from cosmos_robot.serving.own_request import OwnJob, own_question
from cosmos_robot.serving.problems import Kind, RequestError
from cosmos_robot.serving.service import Service

LONGEST_WAIT = 60.0

BODIES = (OwnJob,)


def add_jobs(routes: APIRouter, service: Service) -> None:
    """Add them to this server's own routes."""
    media = service.reader()
    read = body_reader(OwnJob, depth=service.settings.limits.json_depth)
    arriving = asyncio.Lock()

    @routes.put("/jobs/{job_id}", status_code=202, openapi_extra=json_schema(OwnJob))
    async def submit(job_id: str, body: Annotated[OwnJob, Depends(read)]) -> dict[str, Any]:
        """Accept a job under the client's own id, a random UUID; one that is known is not accepted again."""
        if not is_id(job_id):
            raise RequestError.of_field("job_id", "expected a random UUID in lower case.")
        question = await service.read(partial(own_question, body, media, service.capabilities))
        async with arriving:  # of one id sent twice, the second waits until the first is known
            if await run_in_threadpool(service.store.get, job_id) is None:
                await service.submit(question, interface=OWN_STYLE.name, endpoint="jobs", job_id=job_id)
        return job_row(service, await service.job(job_id))

    @routes.get("/jobs/{job_id}/answer", responses=accepted("how far it is"))
    async def answer(job_id: str, wait: Annotated[float, Query(ge=0, le=LONGEST_WAIT)] = 0.0) -> Response:
        """Give the answer; 202 and how far it is where it is not there within `wait` seconds."""
        job = await service.job(job_id)
        if not job.state.final:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await service.wait(job_id)
            job = await service.job(job_id)
        if not job.state.final:
            return JSONResponse(job_row(service, job), status_code=202)
        found = await service.result(job)
        return JSONResponse(await run_in_threadpool(_shown, job, found), headers=answer_headers(job, found))

    @routes.delete("/jobs/{job_id}/answer", status_code=204, response_class=Response)
    async def taken(job_id: str) -> None:
        """Remove the files of an answer that has been taken."""
        if not (await service.job(job_id)).state.final:
            raise RequestError(Kind.CONFLICT, "this job has not ended yet.")
        await service.discard(job_id)


def job_row(service: Service, job: Job) -> dict[str, Any]:
    """What is shown of a job."""
    watch = service.watches.of(job.id) if job.state is JobState.RUNNING else None
    return {
        "id": job.id,
        "interface": job.interface,
        "endpoint": job.endpoint,
        "mode": job.mode,
        "state": job.state,
        "created": job.created,
        "started": job.started,
        "finished": job.finished,
        "attempts": job.attempts,
        "steps_done": 0 if watch is None else watch.done,
        "steps": 0 if watch is None else watch.total,
        "notes": list(job.notes),
        "error": None if job.problem is None else job.problem.message,
    }


def _shown(job: Job, answer: Answer) -> dict[str, Any]:
    return {"id": job.id, "notes": list(job.notes), "items": [_item(answer, i) for i in range(len(answer.items))]}


def _item(answer: Answer, index: int) -> dict[str, Any]:
    item, actions = answer.items[index], answer.actions(index)
    media = None if item.media is None else base64.b64encode(answer.media(index)).decode()
    return {
        "media": media,
        "media_type": None if item.media is None else MEDIA_TYPES[f".{item.media.rpartition('.')[2]}"],
        "actions": None if actions is None else actions.tolist(),
        "fps": item.fps,
        "seed": item.seed,
        "prompt_used": item.prompt_used,
        "safety": item.safety,
        "notes": list(item.notes),
    }
