"""Files over HTTP on this machine, for requests that name their media by URL."""

import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        content = self.server.files.get(self.path)
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to/"))
            self.end_headers()
        elif self.path == "/slow":
            self.send_response(200)
            self.end_headers()
            self._drip()
        elif self.path == "/slow-header":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            self._drip()
        elif content is None:
            self.send_error(404)
        else:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(content)

    def _drip(self):
        for _ in range(100):
            time.sleep(0.05)
            self.wfile.write(b"x")
            self.wfile.flush()

    def log_message(self, *_):
        pass


@contextmanager
def file_server(files):
    """Serve bytes by path; `/to/URL` redirects, `/slow` and `/slow-header` take long over it.

    Gives the server's `name:port`, for `--allow-host`.
    """
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.files, server.daemon_threads = files, True
        server.handle_error = lambda *_: None  # clients that leave early
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
