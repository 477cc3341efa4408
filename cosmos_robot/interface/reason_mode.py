"""The mode that answers in text, as a public call. No torch."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, overload

from cosmos_robot.errors import InvalidInputError, UnsupportedModeError
from cosmos_robot.interface.chat import ImagePart, Message, MessageLike, Part, VideoPart, read_messages
from cosmos_robot.interface.reason import Reasoning, ReasonRequest, ReasonSampling, ReasonStream
from cosmos_robot.types import Frames

VIDEO_FPS = 2.0
"""Frames a second of a video that are looked at, where the caller does not say."""


class ReasonMode:
    """What a world model says."""

    def answer(self, request: ReasonRequest) -> ReasonStream:
        """Start to answer a chat.

        Raises:
            UnsupportedModeError: if this world model has no reasoner.
        """
        raise UnsupportedModeError(f"{type(self).__name__} cannot reason: it has no part that answers in text.")

    @overload
    def reason(
        self,
        prompt: str | Sequence[MessageLike],
        *,
        image: Frames | Sequence[Frames] | None = ...,
        video: Frames | None = ...,
        fps: float = ...,
        video_fps: float = ...,
        system: str | None = ...,
        json: bool | Mapping[str, Any] = ...,
        stream: Literal[False] = ...,
        **sampling: Any,
    ) -> Reasoning: ...
    @overload
    def reason(
        self,
        prompt: str | Sequence[MessageLike],
        *,
        image: Frames | Sequence[Frames] | None = ...,
        video: Frames | None = ...,
        fps: float = ...,
        video_fps: float = ...,
        system: str | None = ...,
        json: bool | Mapping[str, Any] = ...,
        stream: Literal[True],
        **sampling: Any,
    ) -> ReasonStream: ...
    def reason(
        self,
        prompt: str | Sequence[MessageLike],
        *,
        image: Frames | Sequence[Frames] | None = None,
        video: Frames | None = None,
        fps: float = 24.0,
        video_fps: float = VIDEO_FPS,
        system: str | None = None,
        json: bool | Mapping[str, Any] = False,
        stream: bool = False,
        **sampling: Any,
    ) -> Reasoning | ReasonStream:
        """Answer a question about a text, pictures or a video.

        Args:
            prompt: the question; or a chat of `Message` or mappings of role and content, the user's last.
            image: uint8 `[H, W, 3]`, or a list of them, that the question is about.
            video: uint8 `[N, H, W, 3]` that the question is about.
            fps: the video's own frames a second.
            video_fps: how many of them a second are looked at.
            system: what stands before the chat.
            json: True for a JSON object, a JSON schema for an object of that schema; whatever the model, no token that
                would break it is chosen. An answer that `max_new_tokens` cuts is not whole.
            stream: give a `ReasonStream`, which is iterated for the answer's pieces as they come.
            sampling: the fields of `ReasonSampling`.

        Returns:
            The answer, or its stream.

        Raises:
            InvalidInputError: if an argument does not fit; the message says what was expected.
            MediaError: if a picture or a video is not uint8 RGB.
            UnsupportedModeError: if this world model has no reasoner.
            MissingDependencyError: if a package is not installed; the message names the extra.
        """
        request = chat_request(
            prompt, image=image, video=video, fps=fps, video_fps=video_fps, system=system, json=json, **sampling
        )
        answered = self.answer(request)
        return answered if stream else answered.result()


def chat_request(
    prompt: str | Sequence[MessageLike],
    *,
    image: Frames | Sequence[Frames] | None = None,
    video: Frames | None = None,
    fps: float = 24.0,
    video_fps: float = VIDEO_FPS,
    system: str | None = None,
    json: bool | Mapping[str, Any] = False,
    **sampling: Any,
) -> ReasonRequest:
    """Make the request of one call; see `ReasonMode.reason`.

    Raises:
        TypeError: if a keyword is unknown.
        InvalidInputError: if an argument does not fit.
        MediaError: if a picture or a video is not uint8 RGB.
    """
    unknown = set(sampling) - set(ReasonSampling.__dataclass_fields__)
    if unknown:
        raise TypeError(f"unknown keyword(s): {', '.join(sorted(unknown))}.")
    return ReasonRequest(
        messages=make_chat(prompt, image=image, video=video, fps=fps, system=system),
        sampling=ReasonSampling(**sampling),
        json=json,
        video_fps=video_fps,
    )


def make_chat(
    prompt: str | Sequence[MessageLike],
    *,
    image: Frames | Sequence[Frames] | None = None,
    video: Frames | None = None,
    fps: float = 24.0,
    system: str | None = None,
) -> tuple[Message, ...]:
    """Make the chat of one call; see `ReasonMode.reason`.

    Raises:
        InvalidInputError: if the prompt is empty, or pictures are given beside a chat that has its own.
        MediaError: if a picture or a video is not uint8 RGB.
    """
    first = () if system is None else (Message.of("system", system),)
    if not isinstance(prompt, str):
        if image is not None or video is not None:
            raise InvalidInputError("a chat shows its pictures itself: put an ImagePart or a VideoPart into a message.")
        return first + read_messages(prompt)
    pictures: list[Any] = [] if image is None else list(image) if isinstance(image, list | tuple) else [image]
    shown: list[Part] = [ImagePart(picture) for picture in pictures]
    if video is not None:
        shown.append(VideoPart(video, fps))
    return first + read_messages([Message.of("user", *shown, prompt)])
