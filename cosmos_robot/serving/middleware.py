"""What every request passes before an interface sees it: the name it calls the server by, its key, its size."""

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cosmos_robot.interface.loopback import is_loopback
from cosmos_robot.serving.interface_style import InterfaceStyle, style_of
from cosmos_robot.serving.keys import has_key
from cosmos_robot.serving.local_paths import LocalPaths
from cosmos_robot.serving.metrics import Metrics
from cosmos_robot.serving.problems import Kind, Problem, RequestError
from cosmos_robot.serving.settings import ServerSettings
from cosmos_robot.serving.webhook_signature import KEYS_PATH

OPEN_PATHS = ("/", "/v1/health/ready", "/v1/health/live", "/healthz", KEYS_PATH)
"""Paths that need no key: of the page, which asks for it; for whoever watches over the server or verifies a webhook."""

PAGE_FILES = "/page/"
"""Beginning of the paths of the page's own files, which need no key."""

FILES = "/files/"
"""Beginning of paths that need no key either: their addresses hold a job's id, which nobody guesses."""


class Gate:
    """Refuses requests that are for another server, too large, or carry no key, and counts the answers.

    Args:
        app: behind the gate.
        settings: of the server.
        styles: of the interfaces.
        paths: of this machine.
        metrics: to count in.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        settings: ServerSettings,
        styles: Sequence[InterfaceStyle],
        paths: LocalPaths,
        metrics: Metrics,
    ) -> None:
        self._app, self._settings, self._styles = app, settings, styles
        self._paths, self._metrics = paths, metrics
        self._names = _names(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        style = style_of(scope["path"], self._styles)
        if scope["type"] == "websocket":
            refusal = self._refusal(scope)
            await (self._app if refusal is None else style.response(refusal, self._paths))(scope, receive, send)
            return

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._metrics.count_request(style.name, message["status"])
            await send(message)

        problem = self._problem(scope)
        if problem is None:
            await self._app(scope, _bounded(receive, self._settings.limits.request_bytes), counted)
        else:
            await style.response(problem, self._paths)(scope, receive, counted)

    def _problem(self, scope: Scope) -> Problem | None:
        problem = self._refusal(scope)
        if problem is not None:
            return problem
        most = self._settings.limits.request_bytes
        length = Headers(scope=scope).get("content-length", "0")
        if length.isdecimal() and int(length) > most:
            return _too_large(most)
        return None

    def _refusal(self, scope: Scope) -> Problem | None:
        headers = Headers(scope=scope)
        if self._names is not None and _name(headers.get("host", "")) not in self._names:
            return Problem(
                Kind.FORBIDDEN, "this server does not go by the name in the Host header; say its own with --public-url."
            )
        if self._names is not None and "origin" in headers and _host(headers["origin"]) not in self._names:
            return Problem(
                Kind.FORBIDDEN, "a page of another site asks; this server answers its own page, and who is no page."
            )
        keys = self._settings.api_keys
        http = scope["type"] == "http"  # what is shown at such a path needs no key, a websocket there does
        open_path = http and (scope["path"] in OPEN_PATHS or scope["path"].startswith((FILES, PAGE_FILES)))
        if keys and not open_path and not has_key(headers, keys):
            return Problem(Kind.UNAUTHORIZED, "this server wants an API key; yours is missing or wrong.")
        return None


def _names(settings: ServerSettings) -> frozenset[str] | None:
    """What a server that listens on this machine alone goes by; None where it listens to others.

    A page from elsewhere whose name leads to this machine ("DNS rebinding") asks in that name, and a browser lets it
    read the answer. One under its own name may open a websocket here or send a form, which browsers ask no leave for;
    its `Origin` gives it away. Beyond this machine a key is needed, which such pages do not have.
    """
    if not is_loopback(settings.host):
        return None
    public = _host(settings.public_url) if settings.public_url else None
    return frozenset({"localhost", "127.0.0.1", "::1", settings.host.lower(), public or "localhost"})


def _host(url: str) -> str | None:
    """The host that a URL names; of a page without an address ("null") there is none."""
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _name(host: str) -> str:
    """The name in a Host header, without brackets and port."""
    found = re.fullmatch(r"(?:\[([0-9a-f:.]+)\]|([^:\[\]@/]+))(?::\d*)?", host.lower())
    return "" if found is None else found[1] or found[2]


def _bounded(receive: Receive, most: int) -> Receive:
    """Count what comes of a body whose length was not told, or was told wrong."""
    taken = 0

    async def bounded() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > most:
            raise RequestError(Kind.TOO_LARGE, _too_large(most).message)
        return message

    return bounded


def _too_large(most: int) -> Problem:
    return Problem(Kind.TOO_LARGE, f"the request is too large; at most {most} bytes are taken.")
