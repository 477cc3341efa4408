"""The media library over HTTP: what was made is listed, shown, given and removed, as Cosmic's client asks for it."""

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse

from cosmos_robot.serving.answer_address import base_url
from cosmos_robot.serving.api_description import query_parameters
from cosmos_robot.serving.cosmic_bucket import PATH, Bucket
from cosmos_robot.serving.cosmic_media import ADDRESS, QUERIES, MediaLibrary
from cosmos_robot.serving.json_body import check, parse_json
from cosmos_robot.serving.problems import Kind, RequestError
from cosmos_robot.serving.service import Service

_MEDIA = PATH + "/media"


class Page(BaseModel):
    """What of a list is wanted."""

    model_config = ConfigDict(extra="forbid")

    query: str | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    skip: Annotated[int, Field(ge=0, le=2**31)] = 0
    read_key: str | None = None


def add_library(routes: APIRouter, service: Service, library: MediaLibrary) -> None:
    """Add its paths."""

    @routes.get(ADDRESS, response_class=FileResponse)
    async def file(media_id: str, name: str) -> FileResponse:
        """Give a file."""
        record = await run_in_threadpool(library.get, media_id)
        if name != record.name:
            raise RequestError(Kind.NOT_FOUND, "there is no such file.")
        return FileResponse(library.path(record), media_type=record.type)

    @routes.get(_MEDIA, openapi_extra=query_parameters(Page))
    async def found(request: Request, bucket: Bucket) -> dict[str, Any]:
        """List a bucket's media, the newest first."""
        page = check(Page, dict(request.query_params), strict=False)
        wanted = _wanted(page.query, service.settings.limits.json_depth)
        records, total = await run_in_threadpool(lambda: library.find(bucket, wanted, skip=page.skip, most=page.limit))
        if not records:
            raise RequestError(Kind.NOT_FOUND, "no media found.")
        base = base_url(service.settings, request)
        rows = [record.shown(base) for record in records]
        return {"media": rows, "total": total, "limit": page.limit, "skip": page.skip}

    @routes.get(_MEDIA + "/{media_id}")
    async def one(request: Request, bucket: Bucket, media_id: str) -> dict[str, Any]:
        """Show one piece of media."""
        record = await run_in_threadpool(lambda: library.get(media_id, bucket=bucket))
        return {"media": record.shown(base_url(service.settings, request))}

    @routes.delete(_MEDIA + "/{media_id}")
    async def remove(bucket: Bucket, media_id: str) -> dict[str, Any]:
        """Remove a piece of media."""
        record = await run_in_threadpool(lambda: library.get(media_id, bucket=bucket))
        await run_in_threadpool(library.remove, record)
        return {"message": "the media was removed."}


def _wanted(query: str | None, depth: int) -> dict[str, str]:
    """Read a query: fields and the values that they shall have.

    Raises:
        RequestError: if it is none.
    """
    wanted = {} if query is None else parse_json(query.encode(), depth=depth)
    if not isinstance(wanted, dict) or not all(
        name in QUERIES and isinstance(value, str) and "\x00" not in value for name, value in wanted.items()
    ):
        raise RequestError.of_field("query", f"a JSON object of texts is read, with {', '.join(QUERIES)}.")
    return wanted
