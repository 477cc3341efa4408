"""A reasoner behind any service that speaks OpenAI's chat completions: vLLM, NIM, a hosted model."""

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from cosmos_robot.errors import AnswerError, InvalidInputError, MissingDependencyError, ServiceError
from cosmos_robot.interface.chat import ImagePart, Message, Part, VideoPart
from cosmos_robot.interface.reason import ReasonChunk, Reasoning, ReasonRequest, Usage
from cosmos_robot.interface.thinking import ThinkSplitter
from cosmos_robot.types import Frames


@dataclass(frozen=True)
class ChatReasoner:
    """A model at a service.

    Attributes:
        url: base of the interface, as in "http://localhost:8000/v1"; "/chat/completions" is added.
        model: name of the model there.
        api_key: sent as a bearer token; None sends none.
        timeout: seconds until an answer is given up.
        extensions: whether `top_k` and `repetition_penalty` are sent, which vLLM and NIM take and OpenAI refuses.

    Raises:
        InvalidInputError: if the URL is none of http, or the timeout is not positive.
    """

    url: str
    model: str
    api_key: str | None = field(default=None, repr=False)
    timeout: float = 120.0
    extensions: bool = False

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise InvalidInputError(f"a reasoner's url begins with http:// or https://; got {self.url!r}.")
        if not self.timeout > 0:
            raise InvalidInputError(f"a reasoner's timeout must be a positive number of seconds; got {self.timeout}.")

    def answer(self, request: ReasonRequest) -> "WholeAnswer":
        """Ask, and wait for the whole answer.

        Raises:
            ServiceError: if the service cannot be reached, takes too long, or answers with an error.
            AnswerError: if it refuses, or gives no chat completion.
            MissingDependencyError: if httpx is not installed.
        """
        return WholeAnswer(self._read(self._post(self._body(request)), request))

    def _post(self, body: dict[str, Any]) -> Any:
        try:
            import httpx
        except ImportError as error:
            raise MissingDependencyError(
                "asking a service needs httpx; get it with pip install 'cosmos-robot[reason]'."
            ) from error
        where = f"{self.url.rstrip('/').removesuffix('/chat/completions')}/chat/completions"
        headers = {} if self.api_key is None else {"Authorization": f"Bearer {self.api_key}"}
        try:
            response = httpx.post(where, json=body, headers=headers, timeout=self.timeout)
        except httpx.TimeoutException as error:
            raise ServiceError(f"the reasoner at {where} gave no answer within {self.timeout:g} s.") from error
        except httpx.RequestError as error:
            raise ServiceError(f"the reasoner at {where} cannot be reached: {error}.") from error
        if response.status_code != httpx.codes.OK:
            raise ServiceError(f"the reasoner at {where} answered {response.status_code}: {response.text[:200]}")
        try:
            return response.json()
        except ValueError as error:
            raise AnswerError(f"the reasoner at {where} gave no JSON: {response.text[:200]!r}.") from error

    def _body(self, request: ReasonRequest) -> dict[str, Any]:
        sampling = request.sampling
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [_message(message, request.video_fps) for message in request.messages],
            "max_tokens": sampling.max_new_tokens,
            "temperature": sampling.temperature if sampling.do_sample else 0.0,
            "seed": sampling.seed,
        }
        if sampling.top_p is not None:
            body["top_p"] = sampling.top_p
        if sampling.presence_penalty != 0.0:
            body["presence_penalty"] = sampling.presence_penalty
        if self.extensions and sampling.top_k is not None:
            body["top_k"] = sampling.top_k
        if self.extensions and sampling.repetition_penalty != 1.0:
            body["repetition_penalty"] = sampling.repetition_penalty
        if request.json is True:
            body["response_format"] = {"type": "json_object"}
        elif request.json is not False:
            named = {"name": "answer", "schema": dict(request.json)}
            body["response_format"] = {"type": "json_schema", "json_schema": named}
        return body

    def _read(self, answered: Any, request: ReasonRequest) -> Reasoning:
        try:
            choice = answered["choices"][0]
            message, usage = choice["message"], answered.get("usage") or {}
            text, refusal, reason = message.get("content"), message.get("refusal"), choice.get("finish_reason")
            thinking = message.get("reasoning_content") or message.get("reasoning") or ""
            used = Usage(int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0))
        except (LookupError, TypeError, AttributeError, ValueError) as error:
            raise AnswerError(f"the reasoner {self.model} gave no chat completion: {answered!r:.200}.") from error
        if refusal or reason == "content_filter":
            raise AnswerError(f"the reasoner {self.model} refuses: {refusal or 'its content filter stopped it'}.")
        if not isinstance(text, str) or not isinstance(thinking, str):
            raise AnswerError(f"the reasoner {self.model} gave an answer without text.")
        splitter = ThinkSplitter()
        pieces = [*splitter.feed(text), *splitter.flush()]
        return Reasoning(
            text="".join(piece.text for piece in pieces if not piece.thinking),
            thinking=thinking + "".join(piece.text for piece in pieces if piece.thinking),
            usage=used,
            finish_reason="length" if reason == "length" else "stop",
            seed=request.sampling.seed,
            safety=request.safety,
        )


class WholeAnswer:
    """An answer that came at once; see `ReasonStream`."""

    def __init__(self, reasoning: Reasoning) -> None:
        self._reasoning = reasoning
        both = (ReasonChunk(reasoning.thinking, thinking=True), ReasonChunk(reasoning.text))
        self._pieces = iter([piece for piece in both if piece.text])

    def __iter__(self) -> Iterator[ReasonChunk]:
        """Give its pieces, each once."""
        return self._pieces

    def result(self) -> Reasoning:
        """Give the whole answer."""
        return self._reasoning

    def close(self) -> None:
        """Give no further piece."""
        self._pieces = iter([])


def _message(message: Message, video_fps: float) -> dict[str, Any]:
    if all(isinstance(part, str) for part in message.parts):
        return {"role": message.role, "content": message.text}
    return {"role": message.role, "content": [item for part in message.parts for item in _items(part, video_fps)]}


def _items(part: Part, video_fps: float) -> list[dict[str, Any]]:
    """A part as OpenAI has it, which knows pictures and no videos: a video is the pictures that are looked at."""
    if isinstance(part, str):
        return [{"type": "text", "text": part}]
    frames = part.frame[None] if isinstance(part, ImagePart) else _looked_at(part, video_fps)
    return [{"type": "image_url", "image_url": {"url": _data_url(frame)}} for frame in frames]


def _looked_at(video: VideoPart, video_fps: float) -> Frames:
    count = max(1, min(len(video.frames), round(len(video.frames) / video.fps * video_fps)))
    looked_at: Frames = video.frames[np.linspace(0, len(video.frames) - 1, count).round().astype(int)]
    return looked_at


def _data_url(frame: Frames) -> str:
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, format="JPEG", quality=90)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
