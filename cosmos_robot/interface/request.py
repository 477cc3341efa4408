"""One item of an action mode in the robot's terms, and the keywords that the public calls take."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

from cosmos_robot.domains.domain import Domain
from cosmos_robot.short_repr import ShortRepr
from cosmos_robot.types import (
    ActionMode,
    Actions,
    ActionSpace,
    FloatArray,
    Frames,
    Progress,
    keep_integers,
    require_chunk_size,
    require_sampling,
    require_text,
)


class ActionOptions(TypedDict, total=False):
    """Keywords that every action mode takes; None means the domain's or the checkpoint's own default.

    Keys:
        prompt: what the robot does or should do; one, or one for each item of a batch.
        negative_prompt: prompt of the unconditional pass, used where `guidance` is not 1.
        action_space: units of the actions given and of those wanted back: "robot" (default) or "model".
        image_size: resolution tier of the canvas: 256, 480, 704 or 720.
        fps: frames a second.
        view_point: where the camera stands, for instance "ego_view".
        num_steps: denoising steps.
        guidance: classifier-free guidance scale; 1 is none.
        shift: flow shift of the noise schedule.
        seed: of the noise; one seed `s` gives item `i` of a batch the seed `s + i`.
        progress: called with (steps done, steps in all); it may raise to stop the work.
    """

    prompt: str | Sequence[str]
    negative_prompt: str | Sequence[str]
    action_space: ActionSpace | str
    image_size: int | str | None
    fps: float | None
    view_point: str | None
    num_steps: int | None
    guidance: float | None
    shift: float | None
    seed: int | Sequence[int]
    progress: Progress | None


@dataclass(frozen=True, eq=False, repr=False)
class ActionRequest(ShortRepr):
    """One item of an action mode, in the robot's terms; what is None is the domain's or the checkpoint's to decide.

    Attributes:
        mode: the action mode.
        domain: the robot.
        frames: uint8 `[N, H, W, 3]`: one frame, or the clip of inverse dynamics.
        action_chunk_size: number of transitions.
        actions: of forward dynamics, or None.
        state: float32 `[S]` initial proprioceptive state in the units of `action_space`, or None.
        action_space: units of the actions that are wanted back.
        return_frames: whether frames are wanted.
        prompt: see `ActionOptions`, as are the following.
        notes: sentences to pass on with the answer.

    Raises:
        InvalidInputError: if the chunk is no multiple of 4, or a setting is none of its kind or out of its range.
    """

    mode: ActionMode
    domain: Domain
    frames: Frames
    action_chunk_size: int
    actions: Actions | None = None
    state: FloatArray | None = None
    action_space: ActionSpace = ActionSpace.ROBOT
    return_frames: bool = True
    prompt: str = ""
    negative_prompt: str = ""
    image_size: int | str | None = None
    fps: float | None = None
    view_point: str | None = None
    num_steps: int | None = None
    guidance: float | None = None
    shift: float | None = None
    seed: int = 0
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require_chunk_size(self.action_chunk_size)
        require_sampling(num_steps=self.num_steps, guidance=self.guidance, shift=self.shift, fps=self.fps)
        require_text(self.prompt, "the prompt")
        require_text(self.negative_prompt, "negative_prompt")
        keep_integers(self, {"action_chunk_size": 4, "num_steps": 1, "seed": 0})
