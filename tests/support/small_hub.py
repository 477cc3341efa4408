"""A Hub on this machine that serves the files of one dataset, and counts what is fetched."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def serve(root, repository):
    """Serve `root` as the dataset `repository`; gives the address and the list of files that were fetched."""
    fetched = []

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.answer(body=False)

        def do_GET(self):
            self.answer(body=True)

        def answer(self, body):
            path = self.path.split("?")[0]
            resolve = f"/datasets/{repository}/resolve/{COMMIT}/"
            api = f"/api/datasets/{repository}/"
            if path.startswith(api):
                answer = self.tree() if path.startswith(f"{api}tree/") else {"id": repository, "sha": COMMIT}
                self.send(200, json.dumps(answer).encode(), {"Content-Type": "application/json"}, body)
            elif path.startswith(resolve) and (root / path.removeprefix(resolve)).is_file():
                name = path.removeprefix(resolve)
                if body:
                    fetched.append(name)
                headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{name.replace("/", "-")}"'}
                self.send(200, (root / name).read_bytes(), headers, body)
            else:
                code = "EntryNotFound" if path.startswith(resolve) else "RepoNotFound"
                self.send(404, b"", {"X-Error-Code": code, "X-Repo-Commit": COMMIT}, body)

        def tree(self):
            files = [path for path in sorted(root.rglob("*")) if path.is_file()]
            return [
                {"type": "file", "path": str(path.relative_to(root)), "size": path.stat().st_size, "oid": "0" * 40}
                for path in files
            ]

        def send(self, status, content, headers, body):
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if body:
                self.wfile.write(content)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", fetched
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
