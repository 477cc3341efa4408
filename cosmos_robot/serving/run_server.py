"""One server in this process, from its start to the signal that ends it."""

import logging
from collections.abc import Callable
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from cosmos_robot.interface.world_model import WorldModel
from cosmos_robot.serving.app import create_app
from cosmos_robot.serving.settings import ServerSettings


def run_server(settings: ServerSettings, world_model: WorldModel, *, say: Callable[[str], None]) -> None:
    """Serve until a signal comes: SIGTERM and Ctrl-C end what is being answered, and then the server.

    Args:
        settings: of the server.
        world_model: what answers.
        say: told where the server listens, once it does.
    """
    _log_whole()
    app = create_app(settings, world_model)
    _SpeakingServer(server_config(app, settings), settings.shown_checkpoint, say).run()


def server_config(app: ASGIApp, settings: ServerSettings) -> uvicorn.Config:
    """How the application is served."""
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_level="warning",
        access_log=False,
        server_header=False,
        ws_max_size=settings.limits.request_bytes,
        ws_per_message_deflate=False,  # pictures do not get smaller by it, only later
    )


class _SpeakingServer(uvicorn.Server):
    """Says where it listens once it does."""

    def __init__(self, config: uvicorn.Config, name: str, say: Callable[[str], None]) -> None:
        super().__init__(config)
        self._name, self._say = name, say

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        for listening in (socket for server in self.servers for socket in server.sockets):
            address, port = listening.getsockname()[:2]
            shown = f"[{address}]" if ":" in address else address
            self._say(f"serving {self._name} at http://{shown}:{port}")


def _log_whole() -> None:
    """Log what the server has to say with tracebacks, which clients never see."""
    log = logging.getLogger("cosmos_robot.serving")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    log.propagate = False
