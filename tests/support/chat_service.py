"""A small OpenAI-compatible server for tests, a process of its own: upsampler and critic, well and badly behaved.

What it does follows from the model's name. Every request that it took is told at /requests.
"""

import json
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.request import urlopen

VIDEO_CAPTION = {
    "scene_imagination": "focus: a cup",
    "temporal_caption": "At 0:00 a cup stands on a table. At 0:01 it falls.",
    "audio_description": "a thud",
    "subjects": [{"description": "a cup", "number_of_subjects": 1, "clothing": None, "invented": "x"}],
    "actions": [{"time": "0:00-0:01", "description": "it falls"}],
    "cinematography": {"camera_motion": "static"},
    "duration": "99s",
    "fps": 1,
    "resolution": {"W": 1, "H": 1},
    "aspect_ratio": "1,1",
    "invented": "x",
}
IMAGE_CAPTION = {"comprehensive_t2i_caption": "a cup on a table", "resolution": {"W": 1, "H": 1}}
GOOD = {"prompt_adherence": 9, "physical_plausibility": 9, "visual_quality": 9, "consistency": 9, "problems": ""}


class Service:
    """What the models say, and what they were asked."""

    def __init__(self):
        self.requests = []
        self.judged = 0
        self.rewritten = 0

    def answer(self, body):
        """The status and the body of an answer, or None for a connection that is cut."""
        self.requests.append(body)
        model, text = body["model"], json.dumps(body["messages"])
        if model == "slow":
            time.sleep(3)
        if model == "cut":
            return None
        if model == "error":
            return 500, "out of memory"
        if model == "busy":
            return 429, "slow down"
        if model == "moved":
            return 307, ""
        if model == "html":
            return 200, "<html>"
        if model == "empty":
            return 200, json.dumps({"choices": []})
        if model == "refuses":
            return self.completion(None, refusal="I cannot help with that.")
        if model == "filtered":
            return self.completion("", reason="content_filter")
        if model == "mute":
            return self.completion(None)
        if model == "prose":
            return self.completion("Of course! A cup falls {slowly}.")
        if model == "truncated":
            return self.completion('{"temporal_caption": "At 0:00', reason="length")
        if model == "list":
            return self.completion("[1, 2]")
        if model == "hollow":
            return self.completion('{"subjects": []}')
        if model == "wrong kinds":
            return self.completion(json.dumps(IMAGE_CAPTION | {"subjects": "a cup"}))
        if model == "long":
            return self.completion(json.dumps({"comprehensive_t2i_caption": "word " * 5000}))
        if model == "digits":
            return self.completion('{"comprehensive_t2i_caption": ' + "9" * 5000 + "}")
        if model == "deep":
            return 200, "[" * 100_000
        if model == "endless usage":
            return 200, '{"choices": [{"message": {"content": "Hi."}}], "usage": {"prompt_tokens": Infinity}}'
        if model == "indecent":
            return self.completion(json.dumps({"comprehensive_t2i_caption": "a film:\np\u00f3rn"}))
        if model == "huge":
            return self.completion(" " * 100_000_000)
        if model == "thinks":
            return self.completion(f"<think>Hm, {{a cup}}.</think>\n```json\n{json.dumps(VIDEO_CAPTION)}\n```")
        if "Describe an image" in text:
            return self.completion(json.dumps(IMAGE_CAPTION))
        if "Describe a video" in text:
            return self.completion(json.dumps(VIDEO_CAPTION))
        if "Write a better prompt" in text:
            return self.rewrite(model)
        if "Give each of these" in text:
            return self.judge(model)
        return self.completion("Hello.")

    def judge(self, model):
        """Scores rise from candidate to candidate, or do what the model's name says."""
        self.judged += 1
        if model.startswith("quality "):
            value = model.removeprefix("quality ")
            return self.completion(json.dumps(GOOD | {"visual_quality": "HERE"}).replace('"HERE"', value))
        if model == "sees every second" and self.judged % 2 == 0:
            return 500, "out of memory"
        if model.startswith("scores "):
            score = [int(number) for number in model.removeprefix("scores ").split()][self.judged - 1]
            return self.completion(json.dumps({**dict.fromkeys(GOOD, score), "problems": f"problem {self.judged}"}))
        return self.completion(json.dumps({**dict.fromkeys(GOOD, 3), "problems": "too dark"}))

    def rewrite(self, model):
        """A numbered prompt, or what the model's name says."""
        self.rewritten += 1
        if model == "rewrites nothing":
            return self.completion('{"prompt": ""}')
        if model == "rewrites at length":
            return self.completion(json.dumps({"prompt": "word " * 5000}))
        if model == "rewrites half a pair":
            return self.completion('{"prompt": "a cup \\ud83d"}')
        if model == "rewrites badly":
            return self.completion('{"prompt": "a naked woman"}')
        return self.completion(json.dumps({"prompt": f"rewritten {self.rewritten}"}))

    def completion(self, text, *, reason="stop", refusal=None):
        """A chat completion."""
        message = {"role": "assistant", "content": text, "refusal": refusal}
        usage = {"prompt_tokens": 7, "completion_tokens": 5}
        return 200, json.dumps({"choices": [{"message": message, "finish_reason": reason}], "usage": usage})


class Handler(BaseHTTPRequestHandler):
    """HTTP around a `Service`."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        body["authorization"] = self.headers["Authorization"]
        if body["model"] == "drips":
            self.drip()
            return
        answer = (404, "no such path") if self.path != "/v1/chat/completions" else self.server.service.answer(body)
        if answer is None:
            self.close_connection = True
            self.connection.close()
        else:
            self.respond(*answer)

    def drip(self):
        """A byte now and then, and never the last."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            for _ in range(50):
                self.wfile.write(b" ")
                time.sleep(0.1)

    def do_GET(self):
        self.respond(200, json.dumps(self.server.service.requests))

    def respond(self, status, text):
        content = text.encode()
        try:
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            if status == 307:
                self.send_header("Location", f"http://{self.headers['Host']}/v1/elsewhere")
            self.end_headers()
            self.wfile.write(content)
        except (BrokenPipeError, ConnectionResetError):
            return  # the caller gave up, as one test wants

    def log_message(self, *_):
        return


class ChatService:
    """A running server.

    Attributes:
        url: base of its interface.
    """

    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}/v1"

    @property
    def requests(self):
        """What it was asked, in order."""
        with urlopen(f"{self.url}/requests") as answer:
            return json.load(answer)


@contextmanager
def chat_service():
    """Start the server as a process, and end it."""
    process = subprocess.Popen([sys.executable, __file__], stdout=subprocess.PIPE, text=True)
    try:
        yield ChatService(int(process.stdout.readline()))
    finally:
        process.terminate()
        process.wait(timeout=10)
        process.stdout.close()


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.service = Service()
    print(server.server_port, flush=True)
    server.serve_forever()
