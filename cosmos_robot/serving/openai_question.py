"""From a body of chat completions to a chat that a reasoner answers."""

import secrets
from dataclasses import dataclass
from typing import Any

from cosmos_robot.interface import chat
from cosmos_robot.interface.reason import LEAST_TEMPERATURE, ReasonRequest, ReasonSampling
from cosmos_robot.interface.reason_mode import VIDEO_FPS
from cosmos_robot.serving.media_input import MediaReader
from cosmos_robot.serving.openai_request import (
    MEANS_NOTHING,
    ChatMessage,
    ChatRequest,
    ImagePart,
    JsonFormat,
    Part,
    SchemaFormat,
    TextPart,
)
from cosmos_robot.serving.problems import Kind, RequestError

_MOST_TOKENS = 1024
"""Of an answer, where the request does not say: the default of the Cosmos reasoner."""


@dataclass(frozen=True)
class ChatReader:
    """Reads chats for one server.

    Attributes:
        media: of pictures and videos.
    """

    media: MediaReader

    def question(self, body: ChatRequest) -> ReasonRequest:
        """Make a chat of a request; it decodes media, so it belongs into a thread.

        Raises:
            RequestError: if something does not fit, or cannot be done here.
            InvalidInputError: if the chat does not end with the user, or another than the user shows pictures.
        """
        _require_supported(body)
        messages = [self._message(message, f"messages.{index}") for index, message in enumerate(body.messages)]
        return ReasonRequest(
            messages=chat.read_messages(messages),
            sampling=_sampling(body),
            json=_json_form(body),
            video_fps=_video_fps(body),
        )

    def _message(self, message: ChatMessage, where: str) -> chat.Message:
        parts = [self._part(part, f"{where}.content.{index}") for index, part in enumerate(message.content)]
        return chat.Message("system" if message.role == "developer" else message.role, tuple(parts))

    def _part(self, part: Part, where: str) -> chat.Part:
        if isinstance(part, TextPart):
            return part.text
        if isinstance(part, ImagePart):
            return chat.ImagePart(self.media.image(self.media.load(part.image_url.url, f"{where}.image_url.url")))
        frames, fps = self.media.clip(self.media.load(part.video_url.url, f"{where}.video_url.url"))
        return chat.VideoPart(frames, fps)


def stop_words(body: ChatRequest) -> tuple[str, ...]:
    """The words that end the answer of a request."""
    return tuple(body.stop or ())


def _require_supported(body: ChatRequest) -> None:
    for name, nothing in MEANS_NOTHING.items():
        value = getattr(body, name)
        if value is not None and value not in nothing:
            expected = " or ".join(map(repr, nothing))
            advice = f"expected {expected}, or leave it out." if nothing else "leave it out."
            raise RequestError.of_field(name, f"this server cannot do that; {advice}", Kind.UNSUPPORTED)
    if body.stream_options is not None and not body.stream:
        raise RequestError.of_field("stream_options", "only a stream has them; set stream, or leave them out.")


def _sampling(body: ChatRequest) -> ReasonSampling:
    temperature = 1.0 if body.temperature is None else body.temperature
    greedy = temperature < LEAST_TEMPERATURE  # draws nothing, as in vLLM
    return ReasonSampling(
        max_new_tokens=body.max_completion_tokens or body.max_tokens or _MOST_TOKENS,
        do_sample=not greedy,
        temperature=1.0 if greedy else temperature,
        top_p=None if body.top_p in (None, 1.0) else body.top_p,
        top_k=None if body.top_k in (None, -1, 0) else body.top_k,
        repetition_penalty=1.0 if body.repetition_penalty is None else body.repetition_penalty,
        presence_penalty=0.0 if body.presence_penalty is None else body.presence_penalty,
        seed=secrets.randbelow(2**63) if body.seed is None else body.seed,
    )


def _json_form(body: ChatRequest) -> bool | dict[str, Any]:
    wished = body.response_format
    return wished.json_schema.schema_ if isinstance(wished, SchemaFormat) else isinstance(wished, JsonFormat)


def _video_fps(body: ChatRequest) -> float:
    """How many frames a second are looked at: vLLM has two fields for it."""
    read = None if body.media_io_kwargs is None else body.media_io_kwargs.video
    for rate in (body.mm_processor_kwargs, read):
        if rate is not None and rate.fps is not None:
            return rate.fps
    return VIDEO_FPS
