"""Asks the reasoner of a world model on this machine about pictures, for `LanguageJudge`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cosmos_robot.envs.world_model_lease import WorldModelLease
from cosmos_robot.interface.reason import Reasoning
from cosmos_robot.interface.world_model import WorldModel
from cosmos_robot.types import Frames

VERDICT: dict[str, Any] = {
    "type": "object",
    "properties": {"success": {"type": "boolean"}, "progress": {"enum": [tenth / 10 for tenth in range(11)]}},
    "required": ["success", "progress"],
    "additionalProperties": False,
}
"""JSON schema that the reasoner's answers are held to, so that a small model cannot miss the form."""


class ReasonerAsk:
    """Answers a question about pictures by `WorldModel.reason`.

    Args:
        world_model: name or path of a checkpoint with a reasoner, loaded at the first question; or a `WorldModel`.
        device: for a named one.
        dtype: for a named one.
        sampling: fields of `ReasonSampling`; None is the likeliest token each time, at most 256.
    """

    def __init__(
        self,
        world_model: str | Path | WorldModel,
        *,
        device: str | None = None,
        dtype: str | None = None,
        sampling: Mapping[str, Any] | None = None,
    ) -> None:
        self._lease = WorldModelLease(world_model, device=device, dtype=dtype)
        self._sampling = {"max_new_tokens": 256, **(sampling or {})}

    def __call__(self, frames: Frames, question: str) -> str:
        """Ask about frames uint8 `[N, H, W, 3]`.

        Raises:
            UnsupportedModeError: if the world model has no reasoner.
        """
        answer: Reasoning = self._lease.get().reason(question, image=list(frames), json=VERDICT, **self._sampling)
        return answer.text

    def close(self) -> None:
        """Free a named world model, unless others hold it; the next question loads it again."""
        self._lease.release()
