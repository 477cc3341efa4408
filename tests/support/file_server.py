"""Files over HTTP on this machine, for requests that name their media by URL."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        content = self.server.files.get(self.path)
        self.send_response(404 if content is None else 200)
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, *_):
        pass


@contextmanager
def file_server(files):
    """Serve bytes by path; gives the server's `name:port`, for `--allow-host`."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.files, server.daemon_threads = files, True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
