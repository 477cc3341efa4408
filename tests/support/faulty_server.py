"""A server in front of another that misbehaves as it is told, and then passes on what it is asked."""

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx


@dataclass(frozen=True)
class Status:
    """An answer of the server's own, with nothing passed on."""

    status: int
    body: bytes = b"{}"
    headers: dict = field(default_factory=dict)


CUT = "the connection ends without an answer; nothing is passed on"
CUT_AFTER = "it is passed on, and the connection ends without its answer"
HALF = "it is passed on, and the connection ends in the middle of its answer"
PASS = "it is passed on"


@dataclass(frozen=True)
class Silent:
    """Seconds of silence before it is passed on."""

    seconds: float


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        server = self.server
        with server.lock:
            server.seen.append((self.command, self.path, dict(self.headers)))
            fault = next((f for only, f in server.take(self.command)), PASS)
        if isinstance(fault, Silent):
            time.sleep(fault.seconds)
            fault = PASS
        if isinstance(fault, Status):
            return self.reply(fault.status, fault.headers, fault.body)
        if fault == CUT:
            return self.hang_up()
        headers = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "content-length", "connection")}
        passed = server.client.request(self.command, server.upstream + self.path, content=body, headers=headers)
        if fault == CUT_AFTER:
            return self.hang_up()
        given = {k: v for k, v in passed.headers.items() if k.lower() not in ("content-length", "transfer-encoding")}
        return self.reply(passed.status_code, given, passed.content, half=fault == HALF)

    do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815  (the names that the library looks for)

    def reply(self, status, headers, body, half=False):
        try:
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                if name.lower() != "content-type" or value:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if half else body)
        except OSError:
            half = True  # the client gave up, as some tests want
        if half:
            self.hang_up()

    def hang_up(self):
        self.close_connection = True
        self.connection.close()

    def log_message(self, *_):
        return


class FaultyServer:
    """A running one.

    Attributes:
        url: of it.
        seen: method, path and headers of every request.
    """

    def __init__(self, server):
        self._server = server
        self.url = f"http://127.0.0.1:{server.server_port}"

    @property
    def seen(self):
        return self._server.seen

    def methods(self):
        return [method for method, _, _ in self.seen]

    def misbehave(self, *faults, on=None):
        """What it does with the next requests, one after another; `on` names a method, whose requests alone count."""
        self._server.seen.clear()
        self._server.faults[:] = [(on, fault) for fault in faults]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, upstream):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream, self.client = upstream, httpx.Client(timeout=60)
        self.seen, self.faults, self.lock = [], [], threading.Lock()

    def take(self, method):
        if self.faults and self.faults[0][0] in (None, method):
            return [self.faults.pop(0)]
        return []

    def handle_error(self, *_):
        return  # connections end here on purpose


@contextmanager
def faulty_server(upstream="http://127.0.0.1:9"):
    """Start one in front of `upstream`, and end it."""
    server = _Server(upstream)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield FaultyServer(server)
    finally:
        server.shutdown()
        server.server_close()
        server.client.close()
        thread.join()
