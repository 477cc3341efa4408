"""A chat in the words of OpenAI's chat completions, with vLLM's where they are known, and an answer out of them."""

from typing import Any

import numpy as np

from cosmos_robot.errors import AnswerError
from cosmos_robot.interface.chat import ImagePart, Message, Part, VideoPart
from cosmos_robot.interface.reason import Reasoning, ReasonRequest, Usage
from cosmos_robot.interface.thinking import ThinkSplitter
from cosmos_robot.remote.media_bytes import jpeg_file, lossless_video_file, picture_file
from cosmos_robot.types import Frames


def chat_body(
    request: ReasonRequest, *, model: str | None, extensions: bool = False, lossless: bool = False
) -> dict[str, Any]:
    """The body of a request.

    Args:
        request: the chat.
        model: name of the model there; None leaves it to the service.
        extensions: whether the service takes `top_k` and `repetition_penalty`, as vLLM and NIM do and OpenAI does not.
        lossless: whether it is a server of this library: pictures are sent without loss, and videos as videos.
    """
    sampling = request.sampling
    body: dict[str, Any] = {
        "messages": [_message(message, request.video_fps, lossless=lossless) for message in request.messages],
        "max_tokens": sampling.max_new_tokens,
        "temperature": sampling.temperature if sampling.do_sample else 0.0,
        "seed": sampling.seed,
    }
    if model is not None:
        body["model"] = model
    if sampling.top_p is not None:
        body["top_p"] = sampling.top_p
    if sampling.presence_penalty != 0.0:
        body["presence_penalty"] = sampling.presence_penalty
    if extensions and sampling.top_k is not None:
        body["top_k"] = sampling.top_k
    if extensions and sampling.repetition_penalty != 1.0:
        body["repetition_penalty"] = sampling.repetition_penalty
    if lossless:
        body["media_io_kwargs"] = {"video": {"fps": request.video_fps}}
    if request.json is True:
        body["response_format"] = {"type": "json_object"}
    elif request.json is not False:
        named = {"name": "answer", "schema": dict(request.json)}
        body["response_format"] = {"type": "json_schema", "json_schema": named}
    return body


def read_completion(answered: Any, request: ReasonRequest, who: str) -> Reasoning:
    """Read an answer's JSON.

    Args:
        answered: the JSON.
        request: the chat.
        who: what to call the reasoner in a sentence.

    Raises:
        AnswerError: if it refuses, or gives no chat completion.
    """
    try:
        choice = answered["choices"][0]
        message, usage = choice["message"], answered.get("usage") or {}
        text, refusal, reason = message.get("content"), message.get("refusal"), choice.get("finish_reason")
        thinking = message.get("reasoning_content") or message.get("reasoning") or ""
        used = Usage(int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0))
    except (LookupError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise AnswerError(f"{who} gave no chat completion: {answered!r:.200}.") from error
    if refusal or reason == "content_filter":
        raise AnswerError(f"{who} refuses: {refusal or 'its content filter stopped it'}.")
    if not isinstance(text, str) or not isinstance(thinking, str):
        raise AnswerError(f"{who} gave an answer without text.")
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


def _message(message: Message, video_fps: float, *, lossless: bool) -> dict[str, Any]:
    if len(message.parts) == 1 and isinstance(message.parts[0], str):
        return {"role": message.role, "content": message.parts[0]}
    items = [item for part in message.parts for item in _items(part, video_fps, lossless=lossless)]
    return {"role": message.role, "content": items}


def _items(part: Part, video_fps: float, *, lossless: bool) -> list[dict[str, Any]]:
    """A part as OpenAI has it, which knows pictures and no videos: a video is the pictures that are looked at."""
    if isinstance(part, str):
        return [{"type": "text", "text": part}]
    if lossless and isinstance(part, VideoPart):
        return [{"type": "video_url", "video_url": {"url": lossless_video_file(part.frames, part.fps).data_uri}}]
    frames = part.frame[None] if isinstance(part, ImagePart) else _looked_at(part, video_fps)
    encode = picture_file if lossless else jpeg_file
    return [{"type": "image_url", "image_url": {"url": encode(frame).data_uri}} for frame in frames]


def _looked_at(video: VideoPart, video_fps: float) -> Frames:
    count = max(1, min(len(video.frames), round(len(video.frames) / video.fps * video_fps)))
    looked_at: Frames = video.frames[np.linspace(0, len(video.frames) - 1, count).round().astype(int)]
    return looked_at
