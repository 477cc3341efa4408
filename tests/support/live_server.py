"""A server in a thread of this process, reached over a real connection."""

import threading
import time
from contextlib import contextmanager

import uvicorn

from cosmos_robot.serving.app import create_app
from cosmos_robot.serving.run_server import server_config


@contextmanager
def live_server(settings, world_model):
    """Serve for the time of a block; gives `http://127.0.0.1:port`."""
    server = uvicorn.Server(server_config(create_app(settings, world_model), settings))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.005)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
