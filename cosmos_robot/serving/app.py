"""The server: one application with a router for each interface, in front of one world model."""

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import cache

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match

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
from cosmos_robot.serving.api_description import describe
from cosmos_robot.serving.interface_style import OWN_STYLE, InterfaceStyle, style_of
from cosmos_robot.serving.json_body import refusal
from cosmos_robot.serving.local_paths import LocalPaths
from cosmos_robot.serving.middleware import Gate
from cosmos_robot.serving.problems import TABLE, Kind, Problem, RequestError, problem_of
from cosmos_robot.serving.served_safety import served_safety
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
            None if settings.checkpoint == "embedded" else settings.checkpoint, safety=served_safety(settings.safety)
        )
    service = Service(settings, world_model)
    webhooks = WebhookDispatcher(service, WEBHOOKS)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await service.start()
        try:
            webhooks.start()
            yield
            await webhooks.stop()
        finally:
            await service.stop()

    app = FastAPI(title="cosmos-robot", version=package_version(), lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.service = service
    styles = [style for style, _, _ in INTERFACES]
    paths = app.state.paths = service.paths
    routers = [make_router(service) for _, make_router, _ in INTERFACES]
    for router in routers:
        app.include_router(router)
    app.add_middleware(Gate, settings=settings, styles=styles, paths=paths, metrics=service.metrics)
    _show_problems(app, styles, paths, [route for router in routers for route in router.routes])
    bodies = [model for _, _, models in INTERFACES for model in models]
    described = cache(lambda: describe(app, styles, bodies))
    app.openapi = described  # type: ignore[method-assign]
    return app


def _show_problems(
    app: FastAPI, styles: Sequence[InterfaceStyle], paths: LocalPaths, routes: Sequence[BaseRoute]
) -> None:
    """Answer every exception in the words of the interface that it comes from."""
    raised = [kind for kind, _ in TABLE if issubclass(kind, Exception)]

    async def show(request: Request, error: Exception) -> Response:
        problem = _framework_problem(error) or problem_of(error)
        if problem.kind.status >= 500 and isinstance(error, tuple(raised)):  # jobs and bugs are logged elsewhere
            _LOG.error("%s %s failed", request.method, request.url.path, exc_info=error)
        response = style_of(request.url.path, styles).response(problem, paths)
        if problem.kind is Kind.METHOD:
            response.headers["Allow"] = ", ".join(_methods(routes, request))
        return response

    for kind in (HTTPException, RequestValidationError, RequestError, *raised, Exception):
        app.add_exception_handler(kind, show)


def _methods(routes: Sequence[BaseRoute], request: Request) -> list[str]:
    """The methods that a path has, of all its routes; the framework names those of the first alone."""
    matching = (route for route in routes if route.matches(request.scope)[0] is not Match.NONE)
    return sorted({method for route in matching for method in getattr(route, "methods", None) or ()})


def _framework_problem(error: Exception) -> Problem | None:
    """What the framework itself refuses: a path or a method that is not there, a parameter beside the body."""
    if isinstance(error, RequestValidationError):
        return refusal([{**row, "loc": row["loc"][1:]} for row in error.errors()]).problem
    if isinstance(error, HTTPException):
        return Problem(_HTTP_KINDS.get(error.status_code, Kind.MALFORMED), f"{error.detail.rstrip('.')}.")
    return None
