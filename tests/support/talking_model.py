"""A world model whose reasoner says back what it was told, three characters a token: what is answered follows from
the chat alone. A gate holds it at the next token, which takes a chosen time."""

import time

from stepping_model import SteppingModel

from cosmos_robot.interface.reason import Reasoning, Usage
from cosmos_robot.interface.thinking import ThinkSplitter

PROMPT_TOKENS = 7


class TalkingModel(SteppingModel):
    """Remembers the chats that it was asked, and how many it began and was told to stop."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def answer(self, request):
        self.asked.append(request)
        if "break at once" in request.messages[-1].text:
            raise ZeroDivisionError("a bug, with a path: /etc/hostname")
        return EchoStream(self, request)


class EchoStream:
    """One answer on its way."""

    def __init__(self, model, request):
        self._model, self._request = model, request
        text = request.messages[-1].text
        self._tokens = [text[at : at + 3] for at in range(0, len(text), 3)]
        self._given, self._chunks, self._closed = 0, [], False
        self._pieces = self._read()

    def __iter__(self):
        return self._pieces

    def result(self):
        for _ in self._pieces:
            pass
        return Reasoning(
            text="".join(chunk.text for chunk in self._chunks if not chunk.thinking),
            thinking="".join(chunk.text for chunk in self._chunks if chunk.thinking),
            usage=Usage(PROMPT_TOKENS, self._given),
            finish_reason="stop" if self._given == len(self._tokens) else "length",
            seed=self._request.sampling.seed,
        )

    def close(self):
        self._model.stopped += not self._closed
        self._closed = True

    def _read(self):
        splitter = ThinkSplitter()
        for token in self._tokens[: self._request.sampling.max_new_tokens]:
            while not self._model.gate.wait(0.01):
                if self._closed:
                    return
            if self._closed:
                return
            time.sleep(self._model.step)
            self._given += 1
            if token == "boo":
                raise ZeroDivisionError("a bug, with a path: /etc/hostname")
            yield from self._keep(splitter.feed(token))
        yield from self._keep(splitter.flush())

    def _keep(self, chunks):
        for chunk in chunks:
            self._chunks.append(chunk)
            yield chunk
