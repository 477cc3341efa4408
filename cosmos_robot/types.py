"""The frozen types that travel between the layers: one for each arrow of the data's way.

episode -> `Observation` + `Actions` -> domain -> `ModelInput` -> engine -> `Prediction` -> `Rollout`
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from cosmos_robot.errors import InvalidInputError, MediaError, UnsupportedModeError
from cosmos_robot.short_repr import ShortRepr

type Frames = NDArray[np.uint8]
type FloatArray = NDArray[np.float32]

type Progress = Callable[[int, int], None]
"""Called with (steps done, steps in all) after each denoising step; it may raise to stop the work."""

LOWEST_FPS, HIGHEST_FPS = 0.01, 1000.0
"""Frames a second that can be asked for, and be written into a video file."""

ActionMode = Literal["forward_dynamics", "inverse_dynamics", "policy"]
ACTION_MODES: tuple[ActionMode, ...] = get_args(ActionMode)


class ActionSpace(StrEnum):
    """Whose units an action array is in. An array is marked with its space; it is never guessed."""

    ROBOT = "robot"
    """Metres, rotation matrices' columns, gripper opening, pixels ...: what the domain's channels say."""
    MODEL = "model"
    """The checkpoint's normalised training space, zero-padded or not."""


@dataclass(frozen=True, eq=False, repr=False)
class Actions(ShortRepr):
    """A sequence of actions: row `i` is the transition from frame `i` to frame `i + 1`.

    Attributes:
        values: float32 `[T, D]`, finite; units as `space` says.
        space: robot units or the checkpoint's normalised space.
        domain: canonical name of the domain whose channels these are.

    Raises:
        InvalidInputError: if the array is not `[T, D]` or holds NaN or infinity.
    """

    values: FloatArray
    space: ActionSpace
    domain: str

    def __post_init__(self) -> None:
        values = np.asarray(self.values, dtype=np.float32)
        if values.ndim != 2 or values.shape[0] < 1 or values.shape[1] < 1:
            raise InvalidInputError(
                f"actions must be an array of shape [T, D] with at least one row; got shape {values.shape}."
            )
        if not np.isfinite(values).all():
            row, channel = (int(i) for i in np.argwhere(~np.isfinite(values))[0])
            raise InvalidInputError(f"actions must be finite; row {row}, channel {channel} is {values[row, channel]}.")
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "space", ActionSpace(self.space))

    def __len__(self) -> int:
        return int(self.values.shape[0])


@dataclass(frozen=True, eq=False, repr=False)
class Observation(ShortRepr):
    """What the robot sees, and optionally feels, at one instant.

    Attributes:
        frame: uint8 RGB `[H, W, 3]`.
        state: float32 `[S]` proprioceptive state in robot units, or None.

    Raises:
        MediaError: if the frame is not a uint8 RGB image.
        InvalidInputError: if the state is not a finite vector.
    """

    frame: Frames
    state: FloatArray | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "frame", require_frame(self.frame))
        if self.state is not None:
            state = np.asarray(self.state, dtype=np.float32)
            if state.ndim != 1 or not np.isfinite(state).all():
                raise InvalidInputError(f"a state must be a finite vector; got shape {state.shape}.")
            object.__setattr__(self, "state", state)


@dataclass(frozen=True)
class Canvas:
    """The sizes, in pixels `(height, width)`, that a conditioning frame passes through.

    Attributes:
        source: the caller's frame.
        floored: `source` floored to multiples of `multiple` (the autoencoder's spatial factor); the frame is resized
            to it first, as diffusers' video processor does.
        content: `floored` scaled down, never up, to fit into `padded`.
        padded: the checkpoint's canvas: `content` is padded at right and bottom up to it before encoding. This is the
            size that the prompt names.
        output: what comes back: the latent is cropped to whole cells of the content.
        multiple: the autoencoder's spatial factor.
    """

    source: tuple[int, int]
    floored: tuple[int, int]
    content: tuple[int, int]
    padded: tuple[int, int]
    output: tuple[int, int]
    multiple: int = 16

    @property
    def latent(self) -> tuple[int, int]:
        """Height and width of the cropped latent grid, in cells."""
        return self.output[0] // self.multiple, self.output[1] // self.multiple


@dataclass(frozen=True, eq=False, repr=False)
class ModelInput(ShortRepr):
    """One finished request to the engine: tensors and integers, no robot.

    Attributes:
        mode: the action mode.
        frames: uint8 `[N, H, W, 3]`: the one conditioning frame (forward dynamics, policy) or the whole clip of
            `action_chunk_size + 1` frames (inverse dynamics).
        canvas: the sizes that the frames pass through.
        prompt: the finished prompt, with the JSON caption already built.
        negative_prompt: the prompt of the unconditional pass; used only where `guidance` is not 1.
        domain_id: which of the checkpoint's embodiment domains.
        raw_action_dim: how many of the checkpoint's action channels mean something.
        action_chunk_size: number of transitions; a multiple of 4.
        fps: frames a second, which modulates the temporal positions.
        num_steps: denoising steps.
        guidance: classifier-free guidance scale; 1 means none.
        shift: flow shift of the noise schedule; None keeps the checkpoint's own schedule.
        seed: of the initial noise.
        actions: float32 `[action_chunk_size, action_dim]` in model space, zero-padded (forward dynamics), or None.
        state: float32 `[action_dim]` in model space: a clean first action row (DROID's policy form), or None.
        use_system_prompt: whether the checkpoint's system prompt stands before the user's.
        decode: whether frames are wanted back; inverse dynamics never decodes.
    """

    mode: ActionMode
    frames: Frames
    canvas: Canvas
    prompt: str
    domain_id: int
    raw_action_dim: int
    action_chunk_size: int
    fps: float
    num_steps: int
    guidance: float = 1.0
    shift: float | None = None
    seed: int = 0
    negative_prompt: str = ""
    actions: FloatArray | None = None
    state: FloatArray | None = None
    use_system_prompt: bool = False
    decode: bool = True

    def __post_init__(self) -> None:
        if self.mode not in ACTION_MODES:
            raise InvalidInputError(f"unknown mode {self.mode!r}; expected one of {', '.join(ACTION_MODES)}.")
        require_chunk_size(self.action_chunk_size)
        require_sampling(num_steps=self.num_steps, guidance=self.guidance, shift=self.shift, fps=self.fps)
        wanted = self.action_chunk_size + 1 if self.mode == "inverse_dynamics" else 1
        if self.frames.shape[0] != wanted:
            raise MediaError(f"{self.mode} takes {wanted} frame(s) here; got {self.frames.shape[0]}.")
        if (self.actions is None) == (self.mode == "forward_dynamics"):
            raise InvalidInputError("forward_dynamics takes actions, the other modes take none.")


@dataclass(frozen=True, eq=False, repr=False)
class Prediction(ShortRepr):
    """What the engine gives for one `ModelInput`.

    Attributes:
        frames: uint8 `[T + 1, H, W, 3]` (float32 in `[0, 1]` where the caller asked for it), or None where nothing
            was decoded.
        actions: float32 `[T, raw_action_dim]` in model space, or None where the caller gave the actions.
    """

    frames: Frames | FloatArray | None
    actions: FloatArray | None


@dataclass(frozen=True, eq=False, repr=False)
class Rollout(ShortRepr):
    """What a world model answers.

    Attributes:
        frames: uint8 `[T + 1, H, W, 3]`, or None where only actions were wanted. H and W are the output canvas.
        actions: float32 `[T, D]` in the units of `action_space`.
        action_space: robot units or the checkpoint's normalised space.
        domain: canonical name of the domain.
        fps: frames a second.
        seed: the seed that gave it.
        prompt: the caller's prompt.
        notes: sentences about what was answered otherwise than asked, for instance at another canvas.
        safety: the safety checker that looked at prompt and frames.
        preview: whether the frames are a small decoder's, to be looked at; nothing goes on from them.
    """

    frames: Frames | None
    actions: FloatArray
    action_space: ActionSpace
    domain: str
    fps: float
    seed: int
    prompt: str
    notes: tuple[str, ...] = field(default=())
    safety: str = "off"
    preview: bool = False

    def __post_init__(self) -> None:
        if self.frames is not None and self.frames.shape[0] != self.actions.shape[0] + 1:
            raise InvalidInputError(
                f"a rollout has one frame more than actions; got {self.frames.shape[0]} frames and "
                f"{self.actions.shape[0]} actions."
            )

    def frames_to_go_on_from(self) -> Frames:
        """The frames, where a further chunk may start from one of them.

        Raises:
            UnsupportedModeError: if there are none, or they are previews.
        """
        if self.frames is None:
            raise UnsupportedModeError("going on from a rollout needs its frames; this world model gives none.")
        refuse_preview(preview=self.preview)
        return self.frames


def refuse_preview(*, preview: bool) -> None:
    """Let nothing go on from a small decoder's frames.

    Raises:
        UnsupportedModeError: if these are such.
    """
    if preview:
        raise UnsupportedModeError(
            "these frames are previews, and nothing goes on from a preview; load the world model without the "
            "preset 'preview' for chained rollouts, extended videos and environments."
        )


@dataclass(frozen=True, eq=False, repr=False)
class Sound(ShortRepr):
    """What is heard with a video.

    Attributes:
        samples: float32 `[channels, N]` in [-1, 1].
        sample_rate: samples a second.

    Raises:
        MediaError: if the samples are not finite numbers of one or two channels, or there is no rate.
    """

    samples: FloatArray
    sample_rate: int

    def __post_init__(self) -> None:
        samples = np.asarray(self.samples, dtype=np.float32)
        if samples.ndim != 2 or samples.shape[0] not in (1, 2) or not np.isfinite(samples).all():
            raise MediaError(f"sound must be finite samples of shape [1 or 2, N]; got shape {samples.shape}.")
        if self.sample_rate < 1:
            raise MediaError(f"a sample rate must be positive; got {self.sample_rate}.")
        object.__setattr__(self, "samples", samples)


def require_chunk_size(chunk: int) -> int:
    """Check that an action chunk fills whole latent frames and return it.

    Raises:
        InvalidInputError: if it is not a positive multiple of 4.
    """
    size = require_integer(chunk, "action_chunk_size")
    if size < 4 or size % 4:
        lower = max(4, size // 4 * 4)
        raise InvalidInputError(
            f"action_chunk_size must be a positive multiple of 4, because one latent frame holds 4 video frames; "
            f"got {size}. Use {lower} or {lower + 4}."
        )
    return size


def require_integer(value: object, name: str, *, least: int | None = None, most: int | None = None) -> int:
    """Check that a value is an integer, of Python or of numpy, and return it as Python's. A truth value is none.

    Args:
        value: what was given.
        name: what to call it in a sentence.
        least: the smallest that is allowed; None is any.
        most: the largest.

    Raises:
        InvalidInputError: if it is none, or outside its range.
    """
    number = int(value) if isinstance(value, int | np.integer) and not isinstance(value, bool) else None
    if number is None or (least is not None and number < least) or (most is not None and number > most):
        room = "" if least is None else f" of at least {least}" if most is None else f" from {least} to {most}"
        raise InvalidInputError(f"{name} must be an integer{room}; got {value!r}.")
    return number


def keep_integers(owner: object, least: Mapping[str, int]) -> None:
    """Check fields of a frozen dataclass that are integers or None, and keep them as Python's own.

    Args:
        owner: the dataclass.
        least: the smallest value that is allowed, by the field's name.

    Raises:
        InvalidInputError: if one is no integer, or smaller.
    """
    for name, smallest in least.items():
        value = getattr(owner, name)
        if value is not None:
            object.__setattr__(owner, name, require_integer(value, name, least=smallest))


def is_number(value: object) -> bool:
    """Whether a value is a finite number of Python or numpy. A truth value is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        return False
    return bool(-np.inf < value < np.inf)


def require_sampling(*, num_steps: int | None, guidance: float | None, shift: float | None, fps: float | None) -> None:
    """Check the sampling settings that are given.

    Raises:
        InvalidInputError: if one is not a number in its range.
    """
    if num_steps is not None:
        require_integer(num_steps, "num_steps", least=1)
    if guidance is not None and not (is_number(guidance) and guidance >= 1.0):
        raise InvalidInputError(f"guidance must be a number of at least 1; got {guidance!r}.")
    if shift is not None and not (is_number(shift) and shift > 0):
        raise InvalidInputError(f"shift must be a positive number; got {shift!r}.")
    if fps is not None and not (is_number(fps) and LOWEST_FPS <= fps <= HIGHEST_FPS):
        raise InvalidInputError(f"fps must be a number from {LOWEST_FPS:g} to {HIGHEST_FPS:g}; got {fps!r}.")


def require_text(text: str, name: str) -> str:
    """Check that a text can be written as UTF-8, which tokenizers and services read, and return it.

    Args:
        text: what was given.
        name: what to call it in a sentence.

    Raises:
        InvalidInputError: if half of a surrogate pair stands in it, as a JSON escape may leave one.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInputError(
            f"{name} is no Unicode text: character {error.start} is half of a surrogate pair. Take it out."
        ) from error
    return text


def require_frame(frame: object) -> Frames:
    """Check that `frame` is a uint8 RGB image `[H, W, 3]` and return it as an array.

    Accepts an array or anything that numpy turns into one, such as a PIL image.

    Raises:
        MediaError: if it is not.
    """
    array = np.asarray(frame)
    if array.ndim != 3 or array.shape[-1] != 3:
        raise MediaError(
            f"an image must be RGB of shape [H, W, 3]; got shape {array.shape}. "
            f"Move the channels last, repeat a grey channel three times, drop an alpha channel."
        )
    return _require_uint8(array)


def require_frames(frames: object) -> Frames:
    """Check that `frames` is a uint8 RGB clip `[N, H, W, 3]` with N >= 1 and return it as an array.

    Raises:
        MediaError: if it is not.
    """
    array = np.asarray(frames)
    if array.ndim != 4 or array.shape[-1] != 3:
        raise MediaError(f"a video must be RGB frames of shape [N, H, W, 3]; got shape {array.shape}.")
    if array.shape[0] == 0:
        raise MediaError("the video is empty: it has no frame.")
    return _require_uint8(array)


def _require_uint8(array: NDArray[np.generic]) -> Frames:
    if array.dtype != np.uint8:
        raise MediaError(
            f"images must be uint8 in 0..255; got {array.dtype}. "
            f"A float image in [0, 1] becomes one by (image * 255).round().astype('uint8')."
        )
    if min(array.shape[-3:-1]) < 16:
        raise MediaError(
            f"an image must be at least 16 pixels high and wide; got {array.shape[-3]}x{array.shape[-2]} (HxW)."
        )
    return array.astype(np.uint8, copy=False)
