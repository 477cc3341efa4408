"""What OpenAI's chat completions answer: whole, or in chunks."""

import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from cosmos_robot.interface.reason import FinishReason, ReasonChunk, Usage


@dataclass(frozen=True)
class Completion:
    """One answer's name tag, and the bodies that carry it.

    What stood in `<think>` parts is `reasoning_content`, and `reasoning` as newer clients of vLLM have it.

    Attributes:
        model: that answers.
        id: of the answer.
        created: second of the epoch.
    """

    model: str
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, text: str, thinking: str, reason: FinishReason, usage: Usage) -> dict[str, Any]:
        """The body of an answer."""
        message = {
            "role": "assistant",
            "content": text,
            "refusal": None,
            "reasoning_content": thinking or None,
            "reasoning": thinking or None,
        }
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
        return {**self._tag("chat.completion"), "choices": [choice], "usage": _usage(usage)}

    def first(self) -> dict[str, Any]:
        """The chunk that says who speaks."""
        return self._chunk({"role": "assistant", "content": ""}, None)

    def piece(self, piece: ReasonChunk) -> dict[str, Any]:
        """The chunk of a piece."""
        if piece.thinking:
            return self._chunk({"reasoning_content": piece.text, "reasoning": piece.text}, None)
        return self._chunk({"content": piece.text}, None)

    def last(self, reason: FinishReason) -> dict[str, Any]:
        """The chunk that says why nothing follows."""
        return self._chunk({}, reason)

    def usage(self, usage: Usage) -> dict[str, Any]:
        """The chunk behind the last, with what the answer took."""
        return {**self._tag("chat.completion.chunk"), "choices": [], "usage": _usage(usage)}

    def _chunk(self, delta: dict[str, Any], reason: FinishReason | None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return {**self._tag("chat.completion.chunk"), "choices": [choice]}

    def _tag(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


def _usage(usage: Usage) -> dict[str, int]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }
