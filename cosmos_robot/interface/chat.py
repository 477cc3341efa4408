"""Chat messages: what a reasoner reads."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from cosmos_robot.errors import InvalidInputError
from cosmos_robot.short_repr import ShortRepr
from cosmos_robot.types import Frames, require_frame, require_frames, require_text

Role = Literal["system", "user", "assistant"]
ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True, eq=False, repr=False)
class ImagePart(ShortRepr):
    """A picture in a message: uint8 `[H, W, 3]`.

    Raises:
        MediaError: if it is not uint8 RGB.
    """

    frame: Frames

    def __post_init__(self) -> None:
        object.__setattr__(self, "frame", require_frame(self.frame))


@dataclass(frozen=True, eq=False, repr=False)
class VideoPart(ShortRepr):
    """A video in a message: uint8 `[N, H, W, 3]` and its own frames a second.

    Raises:
        MediaError: if it is not uint8 RGB frames.
        InvalidInputError: if `fps` is not positive.
    """

    frames: Frames
    fps: float = 24.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "frames", require_frames(self.frames))
        if not (np.isfinite(self.fps) and self.fps > 0):
            raise InvalidInputError(f"a video's fps must be a positive number; got {self.fps}.")


type Part = str | ImagePart | VideoPart


@dataclass(frozen=True, eq=False, repr=False)
class Message(ShortRepr):
    """One turn of a chat.

    Attributes:
        role: who speaks: system, user or assistant.
        parts: what is said and shown, in its order.

    Raises:
        InvalidInputError: if the role is unknown, nothing is said, what is said is no Unicode text, or another than the
            user shows pictures.
    """

    role: Role
    parts: tuple[Part, ...]

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise InvalidInputError(f"unknown role {self.role!r}; expected one of {', '.join(ROLES)}.")
        if not self.parts or not all(isinstance(part, str | ImagePart | VideoPart) for part in self.parts):
            raise InvalidInputError("a message's parts are strings, ImagePart and VideoPart, at least one.")
        for part in self.parts:
            if isinstance(part, str):
                require_text(part, f"what the {self.role} says")
        if self.role != "user" and not all(isinstance(part, str) for part in self.parts):
            raise InvalidInputError(f"only the user shows pictures and videos; the {self.role} says text.")

    @classmethod
    def of(cls, role: Role, *parts: Part) -> "Message":
        """Make a message from its parts."""
        return cls(role, parts)

    @property
    def text(self) -> str:
        """What is said, without what is shown."""
        return "\n".join(part for part in self.parts if isinstance(part, str))


type MessageLike = Message | Mapping[str, Any]


def read_messages(given: Sequence[MessageLike]) -> tuple[Message, ...]:
    """Read a chat: messages, or mappings of a `role` and a `content` (a string, or a list of parts).

    Of a mapping's parts strings, `{"type": "text", "text": ...}`, `ImagePart` and `VideoPart` are read.

    Raises:
        InvalidInputError: if a message is none, or the chat does not end with the user.
    """
    if not isinstance(given, Sequence) or isinstance(given, str | bytes):
        raise InvalidInputError(f"a chat is a text, or a list of messages; got {given!r:.200}.")
    messages = tuple(_read_message(message) for message in given)
    if not messages or messages[-1].role != "user":
        raise InvalidInputError("a chat ends with a message of the user, which is answered.")
    if not messages[-1].text.strip():
        raise InvalidInputError("the prompt is empty: ask something.")
    return messages


def all_said(messages: Iterable[Message]) -> list[str]:
    """All that is said in a chat, for who has to look at it.

    What is said in several parts stands there as a reasoner reads it, with nothing between, and part for part.
    """
    said = [[part for part in message.parts if isinstance(part, str)] for message in messages]
    return list(dict.fromkeys(between.join(parts) for parts in said for between in ("", "\n")))


def _read_message(given: MessageLike) -> Message:
    if isinstance(given, Message):
        return given
    if not isinstance(given, Mapping) or set(given) != {"role", "content"}:
        raise InvalidInputError(
            f"a message is a mapping of role and content, and one call answers one chat; got {given!r:.200}."
        )
    content = given["content"]
    parts = content if isinstance(content, list | tuple) else [content]
    return Message(given["role"], tuple(_read_part(part) for part in parts))


def _read_part(given: Any) -> Part:
    if isinstance(given, Mapping) and given.get("type") == "text" and isinstance(given.get("text"), str):
        return str(given["text"])
    if isinstance(given, str | ImagePart | VideoPart):
        return given
    raise InvalidInputError(
        "a message's part is a string, a mapping of type 'text' with its text, an ImagePart or a VideoPart; "
        f"got {given!r:.200}."
    )
