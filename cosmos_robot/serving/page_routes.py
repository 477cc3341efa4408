"""The page at `/`: play Push-T in the learned world and the real one, generate from a prompt, watch the queue.

Its files are plain HTML, CSS and modules of JavaScript, and are given as they are.
"""

from pathlib import Path
from typing import Any

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse

from cosmos_robot.serving.middleware import PAGE_FILES
from cosmos_robot.serving.page_facts import page_facts
from cosmos_robot.serving.play import add_play
from cosmos_robot.serving.problems import Kind, RequestError
from cosmos_robot.serving.service import Service

_FOLDER = Path(__file__).parent / "page"
_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob: data:; "
        "media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def router(service: Service) -> APIRouter:
    """Make the router."""
    routes = APIRouter(tags=["page"])
    files = {path.name: path for path in sorted(_FOLDER.iterdir()) if path.suffix in _TYPES}

    def give(name: str) -> FileResponse:
        path = files.get(name)
        if path is None:
            raise RequestError(Kind.NOT_FOUND, "the page has no such file.")
        return FileResponse(path, media_type=_TYPES[path.suffix], headers=_HEADERS)

    @routes.get("/", include_in_schema=False)
    async def index() -> FileResponse:
        """Give the page."""
        return give("index.html")

    @routes.get(PAGE_FILES + "{name}", include_in_schema=False)
    async def file(name: str) -> FileResponse:
        """Give one of its files."""
        return give(name)

    @routes.get("/facts")
    async def facts() -> dict[str, Any]:
        """Say what can be asked of this server: modes, robots, and whether Push-T can be played."""
        return await run_in_threadpool(page_facts, service)

    add_play(routes, service)
    return routes
