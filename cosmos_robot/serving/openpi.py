"""openpi's websocket: its clients drive the policy of the served checkpoint without a new line of code.

A client names the host and the port, and is at `/`; `ws://host:port/openpi?domain=droid_lerobot_joint&num_steps=4` says
more. Actions are in the units of openpi's examples: see `openpi_form.py`.
"""

from dataclasses import replace

from fastapi import APIRouter
from starlette.responses import PlainTextResponse
from starlette.websockets import WebSocket

from cosmos_robot.domains.domain import Domain
from cosmos_robot.domains.registry import list_domains, register_domain
from cosmos_robot.errors import CosmosRobotError
from cosmos_robot.serving.answer_headers import safety_header
from cosmos_robot.serving.interface_style import OWN_STYLE
from cosmos_robot.serving.json_body import check
from cosmos_robot.serving.local_paths import LocalPaths
from cosmos_robot.serving.nim_question import known_domain
from cosmos_robot.serving.openpi_session import INTERFACE, AskedPolicy, OpenpiSession, PolicyQuery
from cosmos_robot.serving.problems import RequestError, problem_of
from cosmos_robot.serving.service import Service

STYLE = replace(OWN_STYLE, name=INTERFACE, prefixes=("/openpi", "/healthz"))


def router(service: Service) -> APIRouter:
    """Make the router."""
    routes = APIRouter(tags=["openpi"])
    default = _default_domain(service)
    named = safety_header(service.safety.name)
    handshake = [(name.encode(), value.encode()) for name, value in named.items()]

    @routes.get("/healthz", response_class=PlainTextResponse, responses={503: {"description": "not ready"}})
    async def health() -> PlainTextResponse:
        """Say whether observations are answered."""
        return PlainTextResponse("OK\n") if service.ready else PlainTextResponse("not ready\n", status_code=503)

    @routes.websocket("/")
    @routes.websocket("/openpi")
    async def policy(socket: WebSocket) -> None:
        """Answer observations with actions."""
        paths: LocalPaths = socket.app.state.paths
        try:
            asked = _policy(service, check(PolicyQuery, dict(socket.query_params), strict=False), default)
        except CosmosRobotError as error:
            await socket.send_denial_response(STYLE.response(problem_of(error), paths))
            return
        await socket.accept(headers=handshake)
        await OpenpiSession(socket, service, asked).run()

    return routes


def _policy(service: Service, query: PolicyQuery, default: Domain | None) -> AskedPolicy:
    """The policy that a connection asks for.

    Raises:
        RequestError: if it names no robot and there is none to take, or the settings do not fit.
        UnknownDomainError: if there is no such robot.
        UnknownFactError: if its actions cannot be had in robot units.
    """
    domain = default if query.domain is None else known_domain(query.domain, "domain")
    if domain is None:
        raise RequestError.of_field(
            "domain", "name the robot, as in /openpi?domain=droid_lerobot_joint, or start the server with --domain."
        )
    _ = domain.normaliser  # one that is unknown is told now, not at each observation
    longest = service.capabilities.longest_chunk
    chunk = query.action_chunk_size or min(domain.action_chunk_size, longest or domain.action_chunk_size)
    if longest is not None and chunk > longest:
        raise RequestError.of_field("action_chunk_size", f"this checkpoint gives chunks of at most {longest} actions.")
    return AskedPolicy(domain, chunk, query)


def _default_domain(service: Service) -> Domain | None:
    """The robot of connections that name none: the operator's choice, or the checkpoint's where it has one alone."""
    chosen = service.settings.domain
    if chosen is not None:
        return register_domain(chosen) if chosen.endswith(".toml") else known_domain(chosen, "domain")
    ids = service.capabilities.domain_ids
    found = [domain for domain in list_domains() if ids is not None and domain.domain_id in ids]
    return found[0] if len(found) == 1 else None
