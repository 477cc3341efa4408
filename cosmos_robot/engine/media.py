"""The modes without actions: images, videos, videos with sound; a batch of finished requests in one pass.

Only the frames that condition are encoded: the autoencoder is causal, so that the latent frames behind them, which are
noise, never reach them. diffusers fills the clip up and encodes it whole; the result is the same.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cosmos_robot.domains.canvas import native_canvas
from cosmos_robot.engine.batching import batches, counter
from cosmos_robot.engine.conditioning import cover_pixels
from cosmos_robot.engine.denoising import Guidance, Start, denoise
from cosmos_robot.engine.device import say_work, saying_out_of_memory
from cosmos_robot.engine.generation import Latents
from cosmos_robot.engine.layout import TEMPORAL_FACTOR, SequenceLayout
from cosmos_robot.engine.noise import draw_noise
from cosmos_robot.engine.prompt import MAX_PROMPT_TOKENS
from cosmos_robot.engine.undisturbed import undisturbed
from cosmos_robot.errors import InvalidInputError, MediaError, UnsupportedModeError
from cosmos_robot.interface.batch import naming_item
from cosmos_robot.interface.media_request import MEDIA_MODES, MediaMode
from cosmos_robot.types import FloatArray, Frames, Progress, require_sampling

if TYPE_CHECKING:
    from cosmos_robot.engine.engine import Engine


@dataclass(frozen=True, eq=False)
class MediaInput:
    """One finished request: tensors and integers.

    Attributes:
        mode: what conditions, and what is generated.
        prompt: the finished prompt.
        negative_prompt: the finished prompt of the unconditional pass; used only where `guidance` is not 1.
        size: height and width in pixels.
        num_frames: 1 for an image, else 4k + 1.
        fps: frames a second.
        num_steps: denoising steps.
        guidance: classifier-free guidance scale; 1 means none.
        guidance_interval: timesteps (low, high) on 0..1000 strictly between which guidance holds; None is everywhere.
        shift: flow shift of the noise schedule; None keeps the checkpoint's own schedule.
        seed: of the initial noise.
        frames: uint8 `[N, H, W, 3]`: the picture, or the frames that condition a video-to-video; None for text alone.
        clean_frames: indices of the latent frames that are given, ascending.
        sound: whether sound is generated too.
        use_system_prompt: whether the checkpoint's system prompt stands before the user's.
        keep_on_device: whether the frames stay where they were decoded.
    """

    mode: MediaMode
    prompt: str
    size: tuple[int, int]
    num_frames: int
    fps: float
    num_steps: int
    negative_prompt: str = ""
    guidance: float = 1.0
    guidance_interval: tuple[float, float] | None = None
    shift: float | None = None
    seed: int = 0
    frames: Frames | None = None
    clean_frames: tuple[int, ...] = ()
    sound: bool = False
    use_system_prompt: bool = True
    keep_on_device: bool = False

    def __post_init__(self) -> None:
        if self.mode not in MEDIA_MODES:
            raise InvalidInputError(f"unknown mode {self.mode!r}; expected one of {', '.join(MEDIA_MODES)}.")
        if self.num_frames < 1 or self.num_frames % TEMPORAL_FACTOR != 1:
            raise InvalidInputError(f"whole latent frames take 4k + 1 frames; got {self.num_frames}.")
        require_sampling(num_steps=self.num_steps, guidance=self.guidance, shift=self.shift, fps=self.fps)
        needed = self.clean_frames[-1] * TEMPORAL_FACTOR + 1 if self.clean_frames else 0
        given = 0 if self.frames is None else len(self.frames)
        if given != needed:
            raise MediaError(f"{self.mode} with given latent frames {self.clean_frames} takes {needed} frames.")

    @property
    def latent_frames(self) -> int:
        """Latent frames of the answer."""
        return (self.num_frames - 1) // TEMPORAL_FACTOR + 1


@dataclass(frozen=True, eq=False)
class MediaOutput:
    """What the engine gives for one `MediaInput`.

    Attributes:
        frames: uint8 `[N, H, W, 3]`, or float32 in [0, 1] where the caller asked for it; a tensor on the engine's
            device where the request said so, else an array.
        sound: float32 `[channels, samples]` on the engine's device, or None. The last sound frame is whole, so that
            it may reach past the video's end.
    """

    frames: Frames | FloatArray | Tensor
    sound: Tensor | None


def generate_media(
    engine: "Engine", requests: Sequence[MediaInput], *, progress: Progress | None = None, as_float: bool = False
) -> list[MediaOutput]:
    """Generate every request, those that can share a forward pass together.

    Args:
        engine: with the checkpoint.
        requests: of any mixture of modes and sizes.
        progress: told of each denoising step.
        as_float: give frames as float32 in [0, 1] instead of uint8.

    Raises:
        UnsupportedModeError: if sound is asked of a checkpoint that has none.
        InvalidInputError: if a request does not fit the checkpoint.
        DeviceError: if the memory does not hold it.
    """
    with undisturbed(engine.device):
        return _generate(engine, requests, progress, as_float=as_float)


def _generate(
    engine: "Engine", requests: Sequence[MediaInput], progress: Progress | None, *, as_float: bool
) -> list[MediaOutput]:
    tokens = []
    for index, request in enumerate(requests):
        with naming_item(index, len(requests)):
            tokens.append(checked_tokens(engine, request))
    kinds = [_kind(engine, request) for request in requests]
    cut = batches(kinds, [len(ids) for ids in tokens], engine.max_batch)
    steps = [len(engine.schedule(requests[b[0]].num_steps, requests[b[0]].shift).steps) for b in cut]
    step_done = counter(progress, sum(steps))
    answers: dict[int, MediaOutput] = {}
    for batch in cut:
        first = requests[batch[0]]
        with saying_out_of_memory(engine.device, say_work(len(batch), first.num_frames, first.size)):
            outputs = _generate_batch(engine, [requests[i] for i in batch], step_done, as_float=as_float)
        answers.update(zip(batch, outputs, strict=True))
    return [answers[i] for i in range(len(requests))]


def checked_tokens(engine: "Engine", request: MediaInput) -> tuple[int, ...]:
    """Token ids of a request's prompt, after everything that can be wrong with it."""
    factor = engine.autoencoder.spatial_factor
    if request.size[0] % factor or request.size[1] % factor:
        raise InvalidInputError(f"height and width must be multiples of {factor}; got {request.size} (HxW).")
    if request.sound and engine.sound is None:
        raise UnsupportedModeError(
            "this checkpoint has no sound tokenizer, so it generates no sound; leave enable_sound out, "
            "or load one that has, such as nvidia/Cosmos3-Nano."
        )
    if request.sound and engine.distilled_sigmas:
        raise UnsupportedModeError("a distilled checkpoint generates no sound; leave enable_sound out.")
    tokens = _tokens(engine, request, request.prompt)
    require_prompt_length(len(tokens))
    return tokens


def require_prompt_length(tokens: int, *, what: str = "prompt") -> None:
    """Refuse a prompt that is longer than the model was trained with.

    Raises:
        InvalidInputError: with both numbers.
    """
    if tokens > MAX_PROMPT_TOKENS:
        raise InvalidInputError(
            f"the {what} is too long: {tokens} tokens, at most {MAX_PROMPT_TOKENS} are allowed. Shorten it."
        )


def _tokens(engine: "Engine", request: MediaInput, prompt: str) -> tuple[int, ...]:
    return engine.token_ids(prompt, use_system_prompt=request.use_system_prompt, image=request.num_frames == 1)


def _layout(engine: "Engine", request: MediaInput) -> SequenceLayout:
    factor = engine.autoencoder.spatial_factor
    leading = 0
    while leading in request.clean_frames:
        leading += 1
    sound = engine.sound.frames(request.num_frames, request.fps) if request.sound and engine.sound else 0
    return SequenceLayout(
        latent_grid=(request.latent_frames, request.size[0] // factor, request.size[1] // factor),
        patch_size=int(engine.transformer.config.latent_patch_size),
        clean_latent_frames=leading,
        clean_later_frames=tuple(index for index in request.clean_frames if index > leading),
        sound_frames=sound,
    )


def _kind(engine: "Engine", request: MediaInput) -> Hashable:
    sampling = request.num_steps, request.guidance, request.guidance_interval, request.shift
    return request.mode, _layout(engine, request), sampling


def _generate_batch(
    engine: "Engine", requests: list[MediaInput], step_done: Callable[[], None], *, as_float: bool
) -> list[MediaOutput]:
    first = requests[0]
    schedule = engine.schedule(first.num_steps, first.shift)
    clean = denoise(engine.generation, _start(engine, requests), schedule, step_done, engine.loops)
    if clean.vision is None:
        raise ValueError("every mode has vision.")
    kept = [i for i, request in enumerate(requests) if request.keep_on_device]
    sent = [i for i, request in enumerate(requests) if not request.keep_on_device]
    frames: dict[int, Frames | FloatArray | Tensor] = {}
    frames.update(zip(kept, engine.frames.on_device(clean.vision[kept], as_float=as_float), strict=True))
    frames.update(zip(sent, engine.frames.to_host(clean.vision[sent], as_float=as_float), strict=True))
    return [MediaOutput(frames[i], _sound(engine, clean, i)) for i in range(len(requests))]


def _sound(engine: "Engine", clean: Latents, index: int) -> Tensor | None:
    if clean.sound is None or engine.sound is None:
        return None
    return engine.sound.decode(clean.sound[index : index + 1])[0]


def _start(engine: "Engine", requests: list[MediaInput]) -> Start:
    first, layout = requests[0], _layout(engine, requests[0])
    noises = [
        draw_noise(
            layout,
            channels=engine.autoencoder.channels,
            sound_dim=int(engine.transformer.config.sound_dim or 0),
            seed=request.seed,
            steps=len(engine.distilled_sigmas),
        )
        for request in requests
    ]
    vision = torch.stack([noise.vision for noise in noises]).to(engine.device)
    for index, request in enumerate(requests):
        if request.frames is not None:
            given = _encode(engine, request, request.frames)
            for frame in layout.clean_frames:
                vision[index, :, frame] = given[0, :, frame]
    sounds = [noise.sound for noise in noises if noise.sound is not None]
    return Start(
        layout=layout,
        latents=Latents(vision, sound=torch.stack(sounds).to(engine.device) if sounds else None),
        prompts=[engine.understanding(_tokens(engine, r, r.prompt)) for r in requests],
        fps=[request.fps for request in requests],
        domain_ids=[0] * len(requests),
        guidance=None
        if first.guidance == 1.0
        else Guidance(
            first.guidance,
            [engine.understanding(_tokens(engine, r, r.negative_prompt)) for r in requests],
            first.guidance_interval,
        ),
        step_noise=tuple(torch.stack(step).to(engine.device) for step in zip(*(n.steps for n in noises), strict=True)),
    )


def _encode(engine: "Engine", request: MediaInput, frames: Frames) -> Tensor:
    height, width = frames.shape[1:3]
    canvas = native_canvas(height, width, request.size, multiple=engine.autoencoder.spatial_factor)
    if request.mode == "image2video":
        pixels = cover_pixels(frames[0], request.size).to(engine.device)
    else:
        pixels = engine.autoencoder.pixels(frames, canvas)
    return engine.autoencoder.encode(pixels, canvas)
