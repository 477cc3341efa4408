"""A small service that speaks OpenAI's chat completions; it prints its port. What it does follows from the model's name."""

import base64
import io
import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
from PIL import Image


class Handler(BaseHTTPRequestHandler):
    """Answers with success where the last picture is bright."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/v1/chat/completions":
            self.answer(404, b"no such path")
        elif not body["messages"]:
            self.answer(400, b"no messages")
        elif body["model"] == "refuses":
            self.answer(429, b"slow down")
        elif body["model"] == "garbled":
            self.answer(200, b"<html>")
        elif body["model"] == "mute":
            self.answer(200, json.dumps({"choices": [{"message": {"content": None}}]}).encode())
        elif body["model"] == "slow":
            time.sleep(2)
            self.answer(200, b"{}")
        elif self.headers["Authorization"] != "Bearer secret":
            self.answer(401, b"no key")
        else:
            self.judge(body)

    def judge(self, body):
        *pictures, text = body["messages"][0]["content"]
        data = pictures[-1]["image_url"]["url"].partition(";base64,")[2]
        bright = np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))).mean() > 128
        verdict = json.dumps({"success": bool(bright), "progress": float(bright)})
        assert text["type"] == "text"
        self.answer(200, json.dumps({"choices": [{"message": {"content": verdict}}]}).encode())

    def answer(self, status, content):
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        try:
            self.wfile.write(content)
        except BrokenPipeError:
            return  # the caller gave up, as one test wants

    def log_message(self, *_):
        return


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()
