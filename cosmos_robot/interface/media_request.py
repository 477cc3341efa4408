"""One item of a mode without actions, and the keywords that the public calls take."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypedDict, get_args

from cosmos_robot.errors import InvalidInputError, MediaError
from cosmos_robot.interface.media_size import conditioning_frames, parse_aspect_ratio, parse_resolution
from cosmos_robot.short_repr import ShortRepr
from cosmos_robot.types import (
    Frames,
    Progress,
    is_number,
    keep_integers,
    require_integer,
    require_sampling,
    require_text,
)

MediaMode = Literal["text2image", "text2video", "image2video", "video2video"]
MEDIA_MODES: tuple[MediaMode, ...] = get_args(MediaMode)


class MediaOptions(TypedDict, total=False):
    """Keywords of the modes without actions; None means the mode's or the checkpoint's own default.

    Keys:
        negative_prompt: prompt of the unconditional pass; "" turns it off. One, or one for each item of a batch.
        resolution: tier, 256, 480, 704, 720 or (images alone) 768; also with an aspect ratio, as in "480_16_9".
        aspect_ratio: "16,9", "4,3", "1,1", "3,4" or "9,16". None takes that of the picture, where there is one.
        height: in pixels, with `width` in place of the two above: snapped to the nearest canvas.
        width: in pixels.
        num_frames: of a video: any number up to the tier's limit.
        fps: frames a second.
        enable_sound: whether sound is generated with the video.
        num_steps: denoising steps.
        guidance: classifier-free guidance scale; 1 is none.
        guidance_interval: timesteps (low, high) on 0..1000 strictly between which guidance holds.
        shift: flow shift of the noise schedule.
        use_system_prompt: whether the checkpoint's system prompt stands before the caller's.
        upsample: have the prompt rewritten as the structured caption that the model was trained on; not of a video.
        agentic: generate candidates in rounds, have each judged and the prompt rewritten, and give the best; not of a
            video. Each candidate is a whole generation.
        agentic_max_iterations: at most so many rounds, 1 to 3.
        agentic_samples_per_iteration: candidates of a round, 1 to 3.
        agentic_early_stop: end when a candidate is very good.
        seed: of the noise; one seed `s` gives item `i` of a batch the seed `s + i`.
        keep_on_device: give frames as a torch tensor on the device that made them, instead of a numpy array.
        progress: called with (steps done, steps in all); it may raise to stop the work.
    """

    negative_prompt: str | Sequence[str] | None
    resolution: int | str | None
    aspect_ratio: str | None
    height: int | None
    width: int | None
    num_frames: int | None
    fps: float | None
    enable_sound: bool
    num_steps: int | None
    guidance: float | None
    guidance_interval: tuple[float, float] | None
    shift: float | None
    use_system_prompt: bool | None
    upsample: bool
    agentic: bool
    agentic_max_iterations: int
    agentic_samples_per_iteration: int
    agentic_early_stop: bool
    seed: int | Sequence[int]
    keep_on_device: bool
    progress: Progress | None


@dataclass(frozen=True, eq=False, repr=False)
class MediaRequest(ShortRepr):
    """One item of a mode without actions; what is None is the mode's or the checkpoint's to decide.

    Attributes:
        mode: the mode.
        prompt: the caller's words.
        upsampled_prompt: what stands in their place, where a prompt was upsampled.
        frames: uint8 `[N, H, W, 3]`: the picture (N = 1) or the clip to go on from; None for text alone.
        condition_frame_indexes_vision: latent frames of the answer that a clip gives, ascending; one latent frame
            behind the first holds 4 video frames.
        condition_video_keep: which end of a longer clip gives them.
        negative_prompt: see `MediaOptions`, as are the following.
        notes: sentences to pass on with the answer.

    Raises:
        InvalidInputError: if something does not fit; the message says what was expected.
        MediaError: if a clip is shorter than its conditioning frames.
    """

    mode: MediaMode
    prompt: str = ""
    upsampled_prompt: str | None = None
    frames: Frames | None = None
    condition_frame_indexes_vision: tuple[int, ...] = (0, 1)
    condition_video_keep: Literal["first", "last"] = "first"
    negative_prompt: str | None = None
    resolution: int | str | None = None
    aspect_ratio: str | None = None
    height: int | None = None
    width: int | None = None
    num_frames: int | None = None
    fps: float | None = None
    enable_sound: bool = False
    num_steps: int | None = None
    guidance: float | None = None
    guidance_interval: tuple[float, float] | None = None
    shift: float | None = None
    use_system_prompt: bool | None = None
    upsample: bool = False
    agentic: bool = False
    agentic_max_iterations: int = 2
    agentic_samples_per_iteration: int = 2
    agentic_early_stop: bool = True
    seed: int = 0
    keep_on_device: bool = False
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.mode not in MEDIA_MODES:
            raise InvalidInputError(f"unknown mode {self.mode!r}; expected one of {', '.join(MEDIA_MODES)}.")
        require_text(self.prompt_used, "the prompt")
        require_text(self.negative_prompt or "", "negative_prompt")
        if self.frames is None and not self.prompt_used.strip():
            raise InvalidInputError(f"the prompt is empty: say what {self.mode} shall show.")
        if (self.frames is None) == (self.mode in ("image2video", "video2video")):
            raise InvalidInputError("image2video takes a picture, video2video a video, the other modes neither.")
        require_sampling(num_steps=self.num_steps, guidance=self.guidance, shift=self.shift, fps=self.fps)
        keep_integers(self, {"height": 1, "width": 1, "num_frames": 1, "num_steps": 1, "seed": 0})
        self._require_interval()
        self._require_size()
        if self.image and (self.enable_sound or self.num_frames not in (None, 1)):
            raise InvalidInputError("text2image gives one frame without sound; for more use text2video.")
        if self.mode == "video2video":
            self._require_clip()
        self._require_refinement()

    @property
    def image(self) -> bool:
        """Whether the answer is a single image."""
        return self.mode == "text2image"

    @property
    def prompt_used(self) -> str:
        """The words that the model is given."""
        return self.prompt if self.upsampled_prompt is None else self.upsampled_prompt

    @property
    def clean_frames(self) -> tuple[int, ...]:
        """Latent frames of the answer that are given."""
        return {"image2video": (0,), "video2video": self.condition_frame_indexes_vision}.get(self.mode, ())

    @property
    def given_frames(self) -> Frames | None:
        """The frames that condition: uint8 `[N, H, W, 3]`, or None for text alone."""
        if self.frames is None:
            return None
        needed = conditioning_frames(self.clean_frames)
        return self.frames[-needed:] if self.condition_video_keep == "last" else self.frames[:needed]

    def _require_interval(self) -> None:
        interval = self.guidance_interval
        if interval is None:
            return
        ends = tuple(interval) if isinstance(interval, list | tuple) else ()
        if len(ends) != 2 or not all(is_number(end) for end in ends) or not 0 <= ends[0] < ends[1]:
            raise InvalidInputError(
                f"guidance_interval must be two timesteps (low, high) on 0..1000 with low < high; got {interval}."
            )
        object.__setattr__(self, "guidance_interval", ends)

    def _require_size(self) -> None:
        if (self.height is None) != (self.width is None):
            raise InvalidInputError("height and width go together; give both, or a resolution.")
        if self.height is not None and (self.resolution is not None or self.aspect_ratio is not None):
            raise InvalidInputError("give height and width, or resolution and aspect_ratio, not both.")
        if self.resolution is not None:
            _, ratio = parse_resolution(self.resolution, image=self.image)
            if ratio is not None and self.aspect_ratio is not None:
                raise InvalidInputError(f"the resolution {self.resolution!r} has an aspect ratio of its own.")
        if self.aspect_ratio is not None:
            parse_aspect_ratio(self.aspect_ratio)

    def _require_refinement(self) -> None:
        if (self.upsample or self.agentic) and self.mode == "video2video":
            raise InvalidInputError(
                "prompts are upsampled, and candidates judged, for text2image, text2video and image2video; "
                "leave upsample and agentic out for a video."
            )
        for name in ("agentic_max_iterations", "agentic_samples_per_iteration"):
            object.__setattr__(self, name, require_integer(getattr(self, name), name, least=1, most=3))

    def _require_clip(self) -> None:
        name = "a latent frame's number in condition_frame_indexes_vision"
        indexes = tuple(require_integer(index, name) for index in self.condition_frame_indexes_vision)
        object.__setattr__(self, "condition_frame_indexes_vision", indexes)
        if not indexes or min(indexes) < 0 or any(a >= b for a, b in pairwise(indexes)):
            raise InvalidInputError(
                f"condition_frame_indexes_vision must be ascending latent frame numbers, as in (0, 1); got {indexes}."
            )
        if self.condition_video_keep not in ("first", "last"):
            raise InvalidInputError(f"condition_video_keep must be first or last; got {self.condition_video_keep!r}.")
        given, needed = 0 if self.frames is None else len(self.frames), conditioning_frames(indexes)
        if given < needed:
            raise MediaError(
                f"the video is shorter than its conditioning frames: latent frames {indexes} reach over {needed} "
                f"frames, the video has {given}. Give a longer video, or condition on fewer latent frames."
            )
