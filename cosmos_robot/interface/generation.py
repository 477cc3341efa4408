"""What a world model answers in the modes without actions."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from cosmos_robot.errors import InvalidInputError
from cosmos_robot.interface.media_request import MediaMode
from cosmos_robot.short_repr import ShortRepr
from cosmos_robot.types import Frames, Sound, refuse_preview


@dataclass(frozen=True, eq=False, repr=False)
class Candidate(ShortRepr):
    """One of several generations, and what the critic said of it.

    Attributes:
        iteration: its round, from 0 on.
        generation: the candidate itself, with its own seed and prompts.
        score: the critic's, from 0 to 10; None where it gave none.
        scores: what that is the mean of, by what was looked at.
        problems: what the critic found wrong; why there is no score, where there is none.
    """

    iteration: int
    generation: "Generation"
    score: float | None
    scores: dict[str, float]
    problems: str


@dataclass(frozen=True, eq=False, repr=False)
class AgenticRecord(ShortRepr):
    """How a generation was chosen.

    Attributes:
        candidates: all of them, in the order in which they were generated.
        chosen: index of the one that was kept.
        stopped_early: whether rounds were left when it was good enough.
    """

    candidates: tuple[Candidate, ...]
    chosen: int
    stopped_early: bool


@dataclass(frozen=True, eq=False, repr=False)
class Generation(ShortRepr):
    """An image, a video, or a video with sound.

    Attributes:
        mode: the mode that gave it.
        frames: uint8 `[N, H, W, 3]`; N is 1 for an image. A torch tensor on its device where `keep_on_device` was set.
        fps: frames a second.
        sound: what is heard with it, as long as the frames; None for a silent one.
        seed: the seed that gave it.
        prompt: the caller's prompt.
        prompt_used: the prompt that the model was given: the caller's, or its upsampled form.
        notes: sentences about what was answered otherwise than asked, for instance at another size.
        safety: the safety checker that looked at prompt and frames.
        agentic: all candidates, where it was chosen among several.
        preview: whether the frames are a small decoder's, to be looked at; nothing goes on from them.
    """

    mode: MediaMode
    frames: Frames | Any
    fps: float
    sound: Sound | None
    seed: int
    prompt: str
    prompt_used: str
    notes: tuple[str, ...] = ()
    safety: str = "off"
    agentic: AgenticRecord | None = None
    preview: bool = False

    @property
    def image(self) -> Frames | Any:
        """The first frame: uint8 `[H, W, 3]`."""
        return self.frames[0]

    def numpy(self) -> Frames:
        """The frames as a numpy array, copied from their device where they are on one."""
        frames = self.frames if isinstance(self.frames, np.ndarray) else self.frames.cpu().numpy()
        if frames.dtype != np.uint8:
            raise InvalidInputError(f"frames must be uint8; got {frames.dtype}.")
        return np.asarray(frames, dtype=np.uint8)

    def frames_to_go_on_from(self) -> Frames:
        """The frames, where a further part of a video may start from them.

        Raises:
            UnsupportedModeError: if they are previews.
        """
        refuse_preview(preview=self.preview)
        return self.numpy()
