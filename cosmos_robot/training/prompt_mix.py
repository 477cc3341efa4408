"""Which windows are told what happens in them, and in which words of the checkpoint's prompt form."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosmos_robot.domains.caption import action_caption
from cosmos_robot.domains.domain import Domain
from cosmos_robot.engine.prompt import tokenize
from cosmos_robot.interface.media_prompt import finish_prompt
from cosmos_robot.training.flow_matching import VISUAL_MODES, TrainingMode


@dataclass(frozen=True)
class ModeShare:
    """How often a mode is trained, and how often it is told what happens.

    Attributes:
        mode: the mode.
        items: windows in a batch of it.
        every: it has a batch in every so many optimiser steps.
        told: share of its batches that carry prompts; the others have the empty one.
        pure_noise_share: of its items; None takes the objective's. What follows from a first frame and actions has one
            answer: the more often nothing but they say what comes, the better a single denoising step gives it.
        weight: of its loss, beside its share of the items. The gradients of forward dynamics are the smallest of all,
            a seventh of a policy's, and are lost among them without it.
    """

    mode: TrainingMode
    items: int
    every: int = 1
    told: float = 0.9
    pure_noise_share: float | None = None
    weight: float = 1.0


def draw_prompts(
    by_prompt: Sequence[NDArray[np.intp]],
    by_goal: Sequence[NDArray[np.intp]],
    count: int,
    rng: np.random.Generator,
) -> NDArray[np.intp]:
    """Draw the numbers of `count` distinct prompts, rare ones more often than they are in the data.

    All modes of a step share them, because the understanding tower runs once over each distinct prompt; so each is one
    that some windows show and some windows lead to.
    """
    fewest = [min(len(shown), len(sought)) for shown, sought in zip(by_prompt, by_goal, strict=True)]
    sizes = np.array(fewest, dtype=np.float64) ** 0.75
    wanted = min(count, int((sizes > 0).sum()))
    return rng.choice(len(by_prompt), size=wanted, replace=False, p=sizes / sizes.sum())


def draw_windows(
    share: ModeShare,
    prompts: NDArray[np.intp],
    by_prompt: Sequence[NDArray[np.intp]],
    rng: np.random.Generator,
) -> tuple[NDArray[np.intp], list[int]]:
    """Draw the windows of one batch and what is said of them.

    Args:
        share: the mode's.
        prompts: the step's prompts, from `draw_prompts`.
        by_prompt: for each prompt the windows that it is true of.
        rng: source.

    Returns:
        Rows of the windows `[items]`, and for each the number of its prompt, or -1 for the empty one.
    """
    if rng.random() >= share.told:
        rows = np.concatenate(by_prompt)
        return rows[rng.integers(len(rows), size=share.items)], [-1] * share.items
    told = [int(prompts[i * len(prompts) // share.items]) for i in range(share.items)]
    return np.array([by_prompt[i][rng.integers(len(by_prompt[i]))] for i in told]), told


@dataclass(frozen=True, eq=False)
class TextEncoder:
    """Turns what happens into token ids, in the prompt form of each mode; remembers what it has seen.

    Attributes:
        tokenizer: of the checkpoint.
        domain: whose view point and frame rate the captions carry.
        canvas: height and width in pixels, padding included: what the captions of the action modes name.
        chunk: actions of a window.
        output: height and width of the frames that come back, which the visual modes are told; None is the canvas.
        system_prompt: whether the visual modes have one, which is the checkpoint's business.
        denies: whether the visual modes' unguided pass is told the length and size that the video has not, as the
            published checkpoints' is; else it is told those that it has.
        captions: what the visual modes, which are asked for a scene and not for an act, are told in place of a prompt.
    """

    tokenizer: Any
    domain: Domain
    canvas: tuple[int, int]
    chunk: int
    captions: Mapping[str, str] = field(default_factory=dict)
    output: tuple[int, int] | None = None
    system_prompt: bool = True
    denies: bool = True
    _seen: dict[tuple[TrainingMode, str], tuple[int, ...]] = field(default_factory=dict)

    def __call__(self, mode: TrainingMode, description: str) -> tuple[int, ...]:
        """Token ids of the finished prompt."""
        key = mode, description
        if key not in self._seen:
            self._seen[key] = self._tokenized(mode, self.text(mode, description))
        return self._seen[key]

    def unconditional(self, mode: TrainingMode) -> tuple[int, ...]:
        """Token ids of the sampler's unguided pass where the caller gives no negative prompt.

        Of actions that is the empty text, without the caption around it; of the visual modes the sentences alone.
        """
        return self._tokenized(mode, self._sentences(mode, "", negative=self.denies) if mode in VISUAL_MODES else "")

    def text(self, mode: TrainingMode, description: str) -> str:
        """The finished prompt: the JSON caption of the action modes, or the sentences of the visual modes."""
        if mode in VISUAL_MODES:
            return self._sentences(mode, self.captions.get(description, description))
        height, width = self.canvas
        return action_caption(
            description,
            view_sentence=self.domain.view_sentence(),
            action_chunk_size=self.chunk,
            fps=self.domain.fps,
            height=height,
            width=width,
        )

    def _sentences(self, mode: TrainingMode, caption: str, *, negative: bool = False) -> str:
        frames = 1 if mode == "text2image" else self.chunk + 1
        size = self.output or self.canvas
        return finish_prompt(caption, num_frames=frames, fps=self.domain.fps, size=size, negative=negative)

    def _tokenized(self, mode: TrainingMode, text: str) -> tuple[int, ...]:
        system = self.system_prompt and mode in VISUAL_MODES
        return tokenize(self.tokenizer, text, use_system_prompt=system, image=mode == "text2image")
