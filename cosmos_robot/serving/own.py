"""What belongs to no hosted interface: the files of answers, the server's own jobs, and a look at the queue."""

from typing import Any

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse

from cosmos_robot.serving.answer import MEDIA_TYPES
from cosmos_robot.serving.answer_headers import answer_headers
from cosmos_robot.serving.middleware import FILES
from cosmos_robot.serving.own_jobs import add_jobs, job_row
from cosmos_robot.serving.problems import Kind, RequestError
from cosmos_robot.serving.service import Service
from cosmos_robot.serving.webhook_signature import KEYS_PATH

_SHOWN = 50


def router(service: Service) -> APIRouter:
    """Make the router."""
    routes = APIRouter(tags=["cosmos-robot"])

    @routes.get(FILES + "{job_id}/{name}", response_class=FileResponse)
    async def file(job_id: str, name: str) -> FileResponse:
        """Give an image or a video of an answer."""
        job = await service.job(job_id)
        answer = await service.result(job)
        if name not in {item.media for item in answer.items}:
            raise RequestError(Kind.NOT_FOUND, "there is no such file.")
        path = answer.folder / name
        return FileResponse(path, media_type=MEDIA_TYPES[path.suffix], headers=answer_headers(job, answer))

    @routes.get(KEYS_PATH)
    async def webhook_keys() -> dict[str, Any]:
        """Give the public key that webhooks are signed with."""
        return service.signing_key.published()

    @routes.get("/jobs")
    async def jobs() -> dict[str, Any]:
        """Show how many jobs stand where, and the newest of them."""
        counts = await run_in_threadpool(service.store.counts)
        newest = await run_in_threadpool(service.store.newest, _SHOWN)
        return {"counts": counts, "jobs": [job_row(service, job) for job in newest]}

    @routes.get("/jobs/{job_id}")
    async def job(job_id: str) -> dict[str, Any]:
        """Show one job."""
        return job_row(service, await service.job(job_id))

    @routes.delete("/jobs/{job_id}", status_code=202)
    async def cancel(job_id: str) -> dict[str, Any]:
        """Cancel a job: at once where it waits, at its next denoising step where it runs."""
        found = await service.job(job_id)
        if not await service.cancel(job_id):
            raise RequestError(Kind.CONFLICT, f"this job is {found.state.value} already.")
        return {"id": job_id, "cancelling": True}

    add_jobs(routes, service)
    return routes
