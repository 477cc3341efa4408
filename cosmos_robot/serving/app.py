"""The server: one application with a router for each interface, in front of one world model."""

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from cosmos_robot.interface.world_model import WorldModel
from cosmos_robot.serving import (
    baseten,
    cosmic,
    fal,
    nim,
    openai_chat,
    openpi,
    own,
    own_jobs,
    page_routes,
    pixazo,
    play,
    videos,
)
from cosmos_robot.serving.interface_style import OWN_STYLE, InterfaceStyle, style_of
from cosmos_robot.serving.local_paths import LocalPaths
from cosmos_robot.serving.middleware import Gate
from cosmos_robot.serving.problems import TABLE, Kind, Problem, RequestError, problem_of
from cosmos_robot.serving.service import Service
from cosmos_robot.serving.settings import ServerSettings
from cosmos_robot.serving.versions import package_version
from cosmos_robot.serving.webhook_dispatcher import WebhookDispatcher

_LOG = logging.getLogger("cosmos_robot.serving")

INTERFACES: tuple[tuple[InterfaceStyle, Callable[[Service], APIRouter], tuple[type[BaseModel], ...]], ...] = (
    (OWN_STYLE, own.router, own_jobs.BODIES),
    (OWN_STYLE, page_routes.router, play.BODIES),
    (nim.STYLE, nim.router, nim.BODIES),
    (baseten.STYLE, baseten.router, baseten.BODIES),
    (fal.STYLE, fal.router, fal.BODIES),
    (openai_chat.STYLE, openai_chat.router, openai_chat.BODIES),
    (videos.STYLE, videos.router, videos.BODIES),
    (openpi.STYLE, openpi.router, ()),
    (pixazo.STYLE, pixazo.router, pixazo.BODIES),
    (cosmic.STYLE, cosmic.router, cosmic.BODIES),
)
"""Every interface: how it shows problems, its router, and the models of its bodies."""

WEBHOOKS = {fal.STYLE.name: fal.WEBHOOK, pixazo.STYLE.name: pixazo.WEBHOOK}
"""How interfaces with webhooks tell of a job that has ended."""

_HTTP_KINDS = {404: Kind.NOT_FOUND, 405: Kind.METHOD}


def create_app(settings: ServerSettings, world_model: WorldModel | None = None) -> FastAPI:
    """Make the application.

    Args:
        settings: of the server.
        world_model: what answers; None loads the checkpoint that the settings name.

    Returns:
        An application for any ASGI server, in one process: the world model and the queue are its own.

    Raises:
        InvalidInputError: if the data folder or the database cannot be used.
        CheckpointError: if the checkpoint cannot be loaded.
    """
    if world_model is None:
        from cosmos_robot.world_model import load_world_model

        world_model = load_world_model(
            None if settings.checkpoint == "embedded" else settings.checkpoint, safety=settings.safety
        )
    service = Service(settings, world_model)
    webhooks = WebhookDispatcher(service, WEBHOOKS)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await service.start()
        webhooks.start()
        yield
        await webhooks.stop()
        await service.stop()

    app = FastAPI(title="cosmos-robot", version=package_version(), lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.service = service
    styles = [style for style, _, _ in INTERFACES]
    paths = app.state.paths = service.paths
    for _, make_router, _ in INTERFACES:
        app.include_router(make_router(service))
    app.add_middleware(Gate, settings=settings, styles=styles, paths=paths, metrics=service.metrics)
    _show_problems(app, styles, paths)
    bodies = [model for _, _, models in INTERFACES for model in models]
    app.openapi = lambda: _openapi(app, bodies)  # type: ignore[method-assign]
    return app


def _show_problems(app: FastAPI, styles: Sequence[InterfaceStyle], paths: LocalPaths) -> None:
    """Answer every exception in the words of the interface that it comes from."""
    raised = [kind for kind, _ in TABLE if issubclass(kind, Exception)]

    async def show(request: Request, error: Exception) -> Response:
        problem = _http_problem(error) if isinstance(error, HTTPException) else problem_of(error)
        if problem.kind.status >= 500 and isinstance(error, tuple(raised)):  # jobs and bugs are logged elsewhere
            _LOG.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return style_of(request.url.path, styles).response(problem, paths)

    for kind in (HTTPException, RequestError, *raised, Exception):
        app.add_exception_handler(kind, show)


def _http_problem(error: HTTPException) -> Problem:
    """What the framework itself refuses: a path or a method that is not there."""
    kind = _HTTP_KINDS.get(error.status_code, Kind.MALFORMED)
    return Problem(kind, f"{error.detail}.")


def _openapi(app: FastAPI, bodies: Sequence[type[BaseModel]]) -> dict[str, Any]:
    """The description of all interfaces, with the models of the bodies that are read by hand."""
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, routes=app.routes)
        pairs = [(model, "validation") for model in bodies]
        _, found = models_json_schema(pairs, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
        schema.setdefault("components", {}).setdefault("schemas", {}).update(found.get("$defs", {}))
        app.openapi_schema = schema
    return app.openapi_schema
