"""From a request of the modes without actions to the engine's terms: every default found, every limit checked."""

from dataclasses import dataclass

from cosmos_robot.engine.checkpoint import CheckpointFacts
from cosmos_robot.engine.engine import Engine
from cosmos_robot.engine.media import MediaInput, require_prompt_length
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.interface.media_defaults import MediaDefaults, media_defaults
from cosmos_robot.interface.media_prompt import default_negative_prompt, finish_prompt
from cosmos_robot.interface.media_request import MediaRequest
from cosmos_robot.interface.media_size import (
    canvas_of,
    conditioning_frames,
    nearest_aspect_ratio,
    nearest_canvas,
    parse_aspect_ratio,
    parse_resolution,
    require_num_frames,
    whole_frames,
)


@dataclass(frozen=True, eq=False)
class MediaPlan:
    """What the engine is asked, and what becomes of its answer.

    Attributes:
        given: the engine's request.
        num_frames: frames of the answer; what is generated beyond them is cut.
        notes: sentences about what is answered otherwise than asked.
    """

    given: MediaInput
    num_frames: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class MediaPlanner:
    """Plans requests for one checkpoint.

    Attributes:
        engine: with the checkpoint.
        facts: what it was trained for.
        name: of the checkpoint, for messages.
    """

    engine: Engine
    facts: CheckpointFacts
    name: str

    def plan(self, request: MediaRequest) -> MediaPlan:
        """Find everything that a request leaves open.

        Raises:
            InvalidInputError: if it does not fit the tables or the checkpoint; the message says what would.
        """
        defaults = self.defaults(request)
        tier, size, notes = self._size(request, defaults)
        num_frames = self._num_frames(request, tier)
        fps = request.fps or self.facts.fps or defaults.fps
        generated = whole_frames(num_frames)
        num_steps, guidance, shift = self._sampling(request, defaults)
        system = self.engine.use_system_prompt if request.use_system_prompt is None else request.use_system_prompt
        given = MediaInput(
            mode=request.mode,
            # An upsampled prompt is a caption that names its length and size itself.
            prompt=request.upsampled_prompt or finish_prompt(request.prompt, num_frames=generated, fps=fps, size=size),
            negative_prompt=finish_prompt(
                self._negative_prompt(request, use_system_prompt=system),
                num_frames=generated,
                fps=fps,
                size=size,
                # A model of our own training was taught the plain sentences with the empty prompt.
                negative=self.facts.native_canvas is None,
            ),
            size=size,
            num_frames=generated,
            fps=fps,
            num_steps=num_steps,
            guidance=guidance,
            guidance_interval=request.guidance_interval,
            shift=shift,
            seed=request.seed,
            frames=request.given_frames,
            clean_frames=request.clean_frames,
            sound=request.enable_sound,
            use_system_prompt=system,
            keep_on_device=request.keep_on_device,
        )
        return MediaPlan(given=given, num_frames=num_frames, notes=request.notes + notes)

    def defaults(self, request: MediaRequest) -> MediaDefaults:
        """The mode's defaults for this checkpoint's form."""
        return media_defaults(request.mode, native_flow=self.engine.native_flow)

    def clip_frames(self, request: MediaRequest) -> int:
        """Frames of a clip where the caller does not say."""
        longest = self.facts.max_action_chunk_size
        return self.defaults(request).num_frames if longest is None else longest + 1

    def _size(self, request: MediaRequest, defaults: MediaDefaults) -> tuple[int, tuple[int, int], tuple[str, ...]]:
        """Resolution tier, height and width, and a note where they are not those that were asked for."""
        picture = None if request.frames is None else (request.frames.shape[1], request.frames.shape[2])
        native = self.facts.native_canvas
        if native is not None:
            return defaults.tier, native, self._native_notes(request, native, picture)
        if request.height is not None and request.width is not None:
            tier, size = nearest_canvas(request.height, request.width, image=request.image)
            if size == (request.height, request.width):
                return tier, size, ()
            asked = f"{request.height}x{request.width}"
            return tier, size, (f"answered at {size[0]}x{size[1]}, the canvas nearest to {asked} (HxW).",)
        tier, ratio = defaults.tier, None
        if request.resolution is not None:
            tier, ratio = parse_resolution(request.resolution, image=request.image)
        if request.aspect_ratio is not None:
            ratio = parse_aspect_ratio(request.aspect_ratio)
        if ratio is None and picture is not None:
            ratio = nearest_aspect_ratio(*picture, tier, image=request.image)
        return tier, canvas_of(tier, ratio or defaults.aspect_ratio, image=request.image), ()

    def _native_notes(
        self, request: MediaRequest, native: tuple[int, int], picture: tuple[int, int] | None
    ) -> tuple[str, ...]:
        sized = (request.resolution, request.aspect_ratio, request.height, request.width)
        asked = any(value is not None for value in sized) and (request.height, request.width) != native
        if not asked and picture in (None, native):
            return ()
        source = "" if picture in (None, native) else f", from a picture of {picture[0]}x{picture[1]}"
        return (f"answered at the checkpoint's native canvas of {native[0]}x{native[1]}{source} (HxW).",)

    def _num_frames(self, request: MediaRequest, tier: int) -> int:
        if request.image:
            return 1
        longest = self.facts.max_action_chunk_size
        num_frames = self.clip_frames(request) if request.num_frames is None else request.num_frames
        if longest is not None and not 2 <= num_frames <= longest + 1:
            raise InvalidInputError(
                f"num_frames is {num_frames}; checkpoint {self.name} was trained on clips of 2 to {longest + 1} "
                f"frames. For more, chain with extend_video."
            )
        if longest is None:
            require_num_frames(num_frames, tier)
        if request.clean_frames and num_frames <= conditioning_frames(request.clean_frames):
            raise InvalidInputError(
                f"num_frames is {num_frames}, but {conditioning_frames(request.clean_frames)} frames are given "
                f"already; ask for more."
            )
        return num_frames

    def _sampling(self, request: MediaRequest, defaults: MediaDefaults) -> tuple[int, float, float | None]:
        """Steps, guidance and shift.

        Raises:
            InvalidInputError: if a distilled checkpoint's fixed settings are set otherwise.
        """
        if not self.engine.distilled_sigmas:
            own = self.facts.sampling_of(request.mode)
            return (
                request.num_steps or self.engine.preset.num_steps(own.num_steps or defaults.num_steps),
                request.guidance or own.guidance or defaults.guidance,
                request.shift or self.facts.shift or defaults.shift,
            )
        steps = len(self.engine.distilled_sigmas)
        fixed = {
            "num_steps": request.num_steps in (None, steps),
            "guidance": request.guidance in (None, 1.0),
            "shift": request.shift is None,
            "guidance_interval": request.guidance_interval is None,
            "negative_prompt": not request.negative_prompt,
        }
        for name, fits in fixed.items():
            if not fits:
                raise InvalidInputError(
                    f"{name} cannot be set: checkpoint {self.name} is distilled for {steps} steps on its own noise "
                    f"levels, without guidance and negative prompt. Leave {name} out."
                )
        return steps, 1.0, None

    def _negative_prompt(self, request: MediaRequest, *, use_system_prompt: bool) -> str:
        if request.negative_prompt is not None:
            ids = self.engine.token_ids(
                request.negative_prompt, use_system_prompt=use_system_prompt, image=request.image
            )
            require_prompt_length(len(ids), what="negative prompt")
            return request.negative_prompt
        recommended = not request.image and self.facts.native_canvas is None
        return default_negative_prompt() if recommended else ""
