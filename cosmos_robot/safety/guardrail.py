"""The checker `guardrail`: NVIDIA's own, from the package cosmos_guardrail.

It looks at prompts with a block list and a language model, and at frames with a face detector that makes faces
unrecognisable. Its weights are gated on the Hub (nvidia/Cosmos-1.0-Guardrail).
"""

from typing import Any

import numpy as np

from cosmos_robot.errors import CheckpointError, MissingDependencyError, UnsafeContentError
from cosmos_robot.types import Frames


class GuardrailChecker:
    """NVIDIA's checker.

    Raises:
        MissingDependencyError: if cosmos_guardrail is not installed.
        CheckpointError: if its weights cannot be had.
    """

    name = "guardrail"

    def __init__(self) -> None:
        try:
            from cosmos_guardrail import CosmosSafetyChecker
        except ImportError as error:
            raise MissingDependencyError(
                "the safety checker 'guardrail' needs cosmos_guardrail; get it with "
                "pip install 'cosmos-robot[guardrail]', or choose 'words' or 'off'."
            ) from error
        try:
            self._checker: Any = CosmosSafetyChecker()
        except OSError as error:  # what the Hub's client raises for gated, absent and unreachable repositories
            raise CheckpointError(
                f"the weights of the safety checker 'guardrail' cannot be had: accept the licence of "
                f"nvidia/Cosmos-1.0-Guardrail on its Hub page and log in with `hf auth login`. The Hub says: {error}"
            ) from error

    def check_prompt(self, prompt: str) -> None:
        """Look at a prompt.

        Raises:
            UnsafeContentError: if it is refused.
        """
        if prompt.strip() and not self._checker.check_text_safety(prompt):
            raise UnsafeContentError("the prompt is refused by the safety checker 'guardrail'; say it otherwise.")

    def check_frames(self, frames: Frames) -> Frames:
        """Give frames in which faces cannot be recognised.

        Raises:
            UnsafeContentError: if they are refused.
        """
        checked = self._checker.check_video_safety(frames)
        if checked is None:
            raise UnsafeContentError("what was generated is refused by the safety checker 'guardrail'.")
        return np.asarray(checked, dtype=np.uint8)
