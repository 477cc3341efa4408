"""A receiver of webhooks on this machine: it answers as it is told, and remembers what came when."""

import hashlib
import json
import threading
import time
from base64 import urlsafe_b64decode
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


@dataclass(frozen=True)
class Call:
    """Attributes: the path, the headers (names in lower case), the body, and when it came (monotonic seconds)."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float

    def json(self):
        return json.loads(self.body)

    def verify(self, prefix, keys, body=None):
        """Verify its signature as fal's documentation says; raises InvalidSignature."""
        names = (f"{prefix}-{name}".lower() for name in ("Request-Id", "User-Id", "Timestamp", "Signature"))
        request_id, user_id, timestamp, signature = (self.headers[name] for name in names)
        assert abs(time.time() - int(timestamp)) < 300
        digest = hashlib.sha256(self.body if body is None else body).hexdigest()
        message = "\n".join([request_id, user_id, timestamp, digest]).encode()
        (key,) = keys["keys"]
        public = urlsafe_b64decode(key["x"] + "=" * (-len(key["x"]) % 4))
        Ed25519PublicKey.from_public_bytes(public).verify(bytes.fromhex(signature), message)
        return request_id


class Receiver:
    """Attributes: `host` (`name:port`), `calls`, `answers` (statuses for the next calls; the last one stays, None hangs
    until `released`)."""

    def __init__(self, host):
        self.host, self.calls, self.answers = host, [], [200]
        self.released, self.lock = threading.Event(), threading.Lock()

    def url(self, path="/hook"):
        return f"http://{self.host}{path}"

    def wait(self, count, seconds=15.0):
        """Wait for so many calls."""
        end = time.monotonic() + seconds
        while len(self.calls) < count:
            assert time.monotonic() < end, f"{len(self.calls)} of {count} calls came"
            time.sleep(0.01)
        return self.calls


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        receiver = self.server.receiver
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        with receiver.lock:
            receiver.calls.append(Call(self.path, headers, body, time.monotonic()))
            answer = receiver.answers.pop(0) if len(receiver.answers) > 1 else receiver.answers[0]
        if answer is None:
            self._drip()
        else:
            self.send_response(answer)
            if 300 <= answer < 400:
                self.send_header("Location", receiver.url("/elsewhere"))
            self.send_header("Content-Length", "0")
            self.end_headers()

    def _drip(self):
        """Send a header that does not end, so that something always comes and nothing is ever there."""
        try:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            while not self.server.receiver.released.wait(0.05):
                self.wfile.write(b"x")
        except OSError:
            pass  # the sender has left
        self.close_connection = True

    def log_message(self, *_):
        pass


@contextmanager
def receiver():
    """Start one, and end it with the block."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.daemon_threads = True
        server.receiver = found = Receiver(f"127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield found
        finally:
            found.released.set()
            server.shutdown()
