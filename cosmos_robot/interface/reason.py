"""Text from text, pictures and videos: what is asked, how it is sampled, and what comes back."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, Self

from cosmos_robot.errors import AnswerError, InvalidInputError
from cosmos_robot.interface.chat import Message
from cosmos_robot.types import is_number, keep_integers, require_integer

FinishReason = Literal["stop", "length"]

LEAST_TEMPERATURE = 1e-5
"""Scores divided by less are no numbers any more; what is that cold is greedy."""


@dataclass(frozen=True)
class ReasonSampling:
    """How tokens are chosen. The defaults are the field's: greedy, at most 1024 tokens.

    Source: `inference/defaults/reasoner/sample_args.json` of NVIDIA/cosmos-framework, whose names these are.

    Attributes:
        max_new_tokens: most tokens of an answer.
        do_sample: draw tokens; else the likeliest is taken each time.
        temperature: of the draw, at least 1e-5.
        top_p: draw from the likeliest tokens that have this probability together; None is all.
        top_k: draw from as many of the likeliest tokens; None is all.
        repetition_penalty: divides the scores of tokens that stand in the chat or the answer; 1 is none.
        presence_penalty: taken from the scores of tokens that stand in the answer; 0 is none.
        seed: of the draw.

    Raises:
        InvalidInputError: if a value is outside its range.
    """

    max_new_tokens: int = 1024
    do_sample: bool = False
    temperature: float = 1.0
    top_p: float | None = None
    top_k: int | None = None
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        keep_integers(self, {"max_new_tokens": 1, "top_k": 1})
        object.__setattr__(self, "seed", require_integer(self.seed, "seed", least=0, most=2**63 - 1))
        for name in ("temperature", "top_p", "repetition_penalty", "presence_penalty"):
            value = getattr(self, name)
            if not is_number(value) and (name, value) != ("top_p", None):
                raise InvalidInputError(f"{name} must be a number; got {value!r}.")
        ranges = {
            "temperature": (
                LEAST_TEMPERATURE <= self.temperature <= 10,
                f"from {LEAST_TEMPERATURE:g} to 10; do_sample=False is greedy",
            ),
            "top_p": (self.top_p is None or 0 < self.top_p <= 1, "above 0 and at most 1"),
            "repetition_penalty": (0.01 <= self.repetition_penalty <= 10, "from 0.01 to 10"),
            "presence_penalty": (-2 <= self.presence_penalty <= 2, "from -2 to 2"),
        }
        for name, (fits, expected) in ranges.items():
            if not fits:
                raise InvalidInputError(f"{name} must be {expected}; got {getattr(self, name)}.")

    @classmethod
    def advised(cls, *, thinking: bool = False, max_new_tokens: int = 1024, seed: int = 0) -> Self:
        """What NVIDIA advises for answers with and without `<think>` parts."""
        own: dict[str, Any] = (
            {"temperature": 0.6, "top_p": 0.95}
            if thinking
            else {"temperature": 0.7, "top_p": 0.8, "top_k": 20, "presence_penalty": 1.5}
        )
        return cls(max_new_tokens=max_new_tokens, do_sample=True, seed=seed, **own)


@dataclass(frozen=True, eq=False)
class ReasonRequest:
    """One chat to answer.

    Attributes:
        messages: the chat; its last message is the user's.
        sampling: how tokens are chosen.
        json: True holds the answer to a JSON object, a JSON schema to an object of that schema.
        video_fps: how many frames a second of a video are looked at.
        safety: the safety checker that let it through.

    Raises:
        InvalidInputError: if `json` or `video_fps` is something else.
    """

    messages: tuple[Message, ...]
    sampling: ReasonSampling = field(default_factory=ReasonSampling)
    json: bool | Mapping[str, Any] = False
    video_fps: float = 2.0
    safety: str = "off"

    def __post_init__(self) -> None:
        if not (is_number(self.video_fps) and self.video_fps > 0):
            raise InvalidInputError(f"video_fps must be a positive number; got {self.video_fps!r}.")
        if not isinstance(self.json, bool | Mapping):
            raise InvalidInputError(f"json must be True, False or a JSON schema as a mapping; got {self.json!r:.100}.")


@dataclass(frozen=True)
class Usage:
    """What an answer took, in tokens.

    Attributes:
        prompt_tokens: of the chat, pictures and videos among them.
        completion_tokens: of the answer, `<think>` parts and the end token among them.
    """

    prompt_tokens: int
    completion_tokens: int

    @property
    def total_tokens(self) -> int:
        """Both together."""
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(self.prompt_tokens + other.prompt_tokens, self.completion_tokens + other.completion_tokens)


@dataclass(frozen=True)
class Reasoning:
    """An answer.

    Attributes:
        text: the answer, without its `<think>` parts.
        thinking: what stood between `<think>` and `</think>`; "" where there was nothing.
        usage: tokens that it took.
        finish_reason: "stop" where the model ended it, "length" where `max_new_tokens` did.
        seed: that gave it.
        safety: the safety checker that looked at the chat.
    """

    text: str
    thinking: str
    usage: Usage
    finish_reason: FinishReason
    seed: int
    safety: str = "off"

    def data(self) -> dict[str, Any]:
        """Read the answer as a JSON object.

        Raises:
            AnswerError: if it is none.
        """
        return read_json_object(self.text, cut=self.finish_reason == "length")


@dataclass(frozen=True)
class ReasonChunk:
    """A piece of an answer as it comes.

    Attributes:
        text: the piece.
        thinking: whether it belongs to a `<think>` part.
    """

    text: str
    thinking: bool = False


class ReasonStream(Protocol):
    """An answer on its way: iterated for its pieces, closed to stop it."""

    def __iter__(self) -> Iterator[ReasonChunk]:
        """Give the pieces, each once, as they come."""
        ...

    def result(self) -> Reasoning:
        """Wait for the end, and give the whole answer."""
        ...

    def close(self) -> None:
        """Stop; what has not come yet never will."""
        ...


class Reasoner(Protocol):
    """What answers chats: the reasoner of a checkpoint, or a service."""

    def answer(self, request: ReasonRequest) -> ReasonStream:
        """Start to answer a chat.

        Raises:
            ServiceError: if a service cannot be reached or fails.
            AnswerError: if it gives no answer, because it refuses to for instance.
        """
        ...


def read_json_object(text: str, *, cut: bool = False) -> dict[str, Any]:
    """Read the JSON object of an answer, which may stand in a ``` fence, among other words.

    Args:
        text: the answer.
        cut: whether it was cut at its longest, for the message.

    Raises:
        AnswerError: if there is no whole JSON object in it.
    """
    fence = re.search(r"```(?:json)?\s*(\{.*)", text, flags=re.DOTALL)
    start = text.find("{") if fence is None else fence.start(1)
    why = "was cut at its longest and " if cut else ""
    try:
        found, _ = json.JSONDecoder().raw_decode(text, max(start, 0))
    except (ValueError, RecursionError) as error:  # also what Python raises for a number of thousands of digits
        raise AnswerError(f"the answer {why}holds no whole JSON object: {text[:200]!r}.") from error
    if not isinstance(found, dict):
        raise AnswerError(f"the answer is JSON, but no object: {text[:200]!r}.")
    return found
