"""The engine: a batch of finished requests in, frames and actions out.

It knows tensors and integers: no robot, no file, no HTTP. What makes it quick is exact: a prompt is understood once
(`understanding`), a step runs the generation tower alone on a batch (`generation`) and asks the host nothing
(`sampler`), only the frames that condition are encoded and only what was asked for is decoded (`autoencoder`).
"""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cosmos_robot.engine.autoencoder import Autoencoder
from cosmos_robot.engine.batching import batches, counter
from cosmos_robot.engine.causal_blocks import norm_silu
from cosmos_robot.engine.compiled import compiled
from cosmos_robot.engine.decoder_layer import PLAIN, Regions
from cosmos_robot.engine.denoising import Guidance, Start, denoise
from cosmos_robot.engine.device import say_work, saying_out_of_memory
from cosmos_robot.engine.exact_steps import ExactSteps
from cosmos_robot.engine.float8 import quantise
from cosmos_robot.engine.frame_decoding import FrameDecoder
from cosmos_robot.engine.generation import GenerationTower, Latents
from cosmos_robot.engine.layout import SequenceLayout
from cosmos_robot.engine.media import require_prompt_length
from cosmos_robot.engine.noise import draw_noise
from cosmos_robot.engine.offload import place_towers
from cosmos_robot.engine.presets import Preset
from cosmos_robot.engine.preview_decoder import PreviewDecoder
from cosmos_robot.engine.prompt import tokenize
from cosmos_robot.engine.recorded_loop import CudaGraphs, RecordedLoops
from cosmos_robot.engine.sampler import Schedule, build_distilled_schedule, build_schedule
from cosmos_robot.engine.sound import SoundTokenizer
from cosmos_robot.engine.understanding import UnderstandingTower
from cosmos_robot.engine.undisturbed import undisturbed
from cosmos_robot.errors import InvalidInputError, UnsupportedModeError
from cosmos_robot.interface.batch import naming_item
from cosmos_robot.types import FloatArray, ModelInput, Prediction, Progress


class Engine:
    """Generates on one device from the components of a checkpoint in the diffusers layout.

    Args:
        transformer: `Cosmos3OmniTransformer`.
        vae: `AutoencoderKLWan`.
        tokenizer: with a chat template.
        scheduler: `UniPCMultistepScheduler`; only its configuration is read.
        sound_tokenizer: `Cosmos3AVAEAudioTokenizer`, or None for a checkpoint without sound.
        native_flow: the checkpoint's `use_native_flow_schedule`.
        distilled_sigmas: noise levels of a distilled checkpoint; empty for all others.
        use_system_prompt: the checkpoint's `default_use_system_prompt`, for the modes without actions.
        max_batch: items of one forward pass; more are generated in several.
        exact: what makes it quick; None is everything that the device has.
        preset: what is done otherwise than exactly; None is nothing.
        previews: the decoder of the preset "preview".
    """

    def __init__(
        self,
        *,
        transformer: Any,
        vae: Any,
        tokenizer: Any,
        scheduler: Any,
        sound_tokenizer: Any = None,
        native_flow: bool = False,
        distilled_sigmas: Sequence[float] = (),
        use_system_prompt: bool = True,
        max_batch: int = 16,
        exact: ExactSteps | None = None,
        preset: Preset | None = None,
        previews: PreviewDecoder | None = None,
    ) -> None:
        self.transformer = transformer
        self.max_batch = max_batch
        self.native_flow = native_flow
        self.distilled_sigmas = tuple(distilled_sigmas)
        self.use_system_prompt = use_system_prompt
        has_sound = sound_tokenizer is not None and transformer.config.sound_gen
        self.sound = SoundTokenizer(sound_tokenizer) if has_sound else None
        self.exact = (exact or ExactSteps()).on(self.device)
        self.preset = preset or Preset()
        if self.exact.offload_understanding:
            place_towers(transformer, self.device)
        if self.preset.float8:
            quantise(transformer)
        self.autoencoder = Autoencoder(
            vae,
            causal=self.exact.causal_autoencoder,
            activation=compiled(norm_silu) if self.exact.compiled else norm_silu,
        )
        self.frames = FrameDecoder(self.autoencoder, previews, overlap=self.exact.overlapped_copies)
        self.understanding = UnderstandingTower(transformer, offloaded=self.exact.offload_understanding)
        self.generation = GenerationTower(
            transformer,
            merged=self.exact.merged_projections,
            rooms=self.exact.key_value_buffers,
            regions=Regions.compiled() if self.exact.compiled else PLAIN,
        )
        self.loops = (
            RecordedLoops(CudaGraphs(self.device), capacity=self.exact.graph_capacity) if self.exact.graphs else None
        )
        self._scheduler_config = scheduler.config
        self.schedule = lru_cache(maxsize=64)(self._build_schedule)
        self._token_ids = lru_cache(maxsize=256)(partial(tokenize, tokenizer))

    @classmethod
    def from_pipeline(cls, pipeline: Any, **options: Any) -> "Engine":
        """Share the components of a `Cosmos3OmniPipeline`, for instance one with LoRA or quantised weights."""
        return cls(
            transformer=pipeline.transformer,
            vae=pipeline.vae,
            tokenizer=pipeline.text_tokenizer,
            scheduler=pipeline.scheduler,
            sound_tokenizer=pipeline.sound_tokenizer,
            native_flow=bool(pipeline.config.use_native_flow_schedule),
            use_system_prompt=bool(pipeline.config.default_use_system_prompt),
            **options,
        )

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        device: torch.device = self.transformer.proj_in.weight.device
        return device

    @property
    def action_dim(self) -> int | None:
        """Action channels of the checkpoint, or None for one without action heads."""
        config = self.transformer.config
        return int(config.action_dim) if config.action_gen else None

    @property
    def num_domains(self) -> int:
        """Embodiment domains that the checkpoint has weights for."""
        return int(self.transformer.config.num_embodiment_domains)

    def generate(
        self, requests: Sequence[ModelInput], *, progress: Progress | None = None, as_float: bool = False
    ) -> list[Prediction]:
        """Generate every request, those that can share a forward pass together.

        Args:
            requests: of any mixture of modes and sizes.
            progress: told of each denoising step.
            as_float: give frames as float32 in [0, 1] instead of uint8.

        Returns:
            One prediction for each request, in their order.

        Raises:
            UnsupportedModeError: if the checkpoint has no action heads.
            InvalidInputError: if a request does not fit the checkpoint.
            DeviceError: if the memory does not hold it.
        """
        with undisturbed(self.device):
            return self._generate(requests, progress, as_float)

    def _generate(self, requests: Sequence[ModelInput], progress: Progress | None, as_float: bool) -> list[Prediction]:
        for index, request in enumerate(requests):
            with naming_item(index, len(requests)):
                self._check(request)
        kinds = [(self._layout(r), r.num_steps, r.guidance, r.shift, r.canvas.padded) for r in requests]
        lengths = [len(self._tokens(request, request.prompt)) for request in requests]
        cut = batches(kinds, lengths, self.max_batch)
        step_done = counter(progress, sum(requests[batch[0]].num_steps for batch in cut))
        answers: dict[int, Prediction] = {}
        for batch in cut:
            first = requests[batch[0]]
            what = say_work(len(batch), first.action_chunk_size + 1, first.canvas.padded)
            with saying_out_of_memory(self.device, what):
                predictions = self._generate_batch([requests[i] for i in batch], step_done, as_float)
            answers.update(zip(batch, predictions, strict=True))
        return [answers[i] for i in range(len(requests))]

    def denoise(
        self, requests: list[ModelInput], step_done: Callable[[], None] = lambda: None
    ) -> tuple[Tensor, Tensor]:
        """Run the denoising loop for requests of one kind.

        Returns:
            Clean latents: vision `[B, C, T, H, W]` and action `[B, A, D]`, float32.
        """
        with undisturbed(self.device):
            return self._denoise(requests, step_done)

    def _denoise(self, requests: list[ModelInput], step_done: Callable[[], None]) -> tuple[Tensor, Tensor]:
        first = requests[0]
        layout = self._layout(first)
        vision, action, channel_mask = self._initial(requests, layout)
        start = Start(
            layout=layout,
            latents=Latents(vision, action=action),
            prompts=[self.understanding(self._tokens(request, request.prompt)) for request in requests],
            fps=[request.fps for request in requests],
            domain_ids=[request.domain_id for request in requests],
            guidance=self._guidance(requests),
            action_mask=channel_mask,
        )
        schedule = self.schedule(first.num_steps, first.shift)
        clean = denoise(self.generation, start, schedule, step_done, self.loops)
        if clean.vision is None or clean.action is None:
            raise ValueError("an action mode has vision and actions.")
        return clean.vision, clean.action

    def token_ids(self, prompt: str, *, use_system_prompt: bool, image: bool = False) -> tuple[int, ...]:
        """Token ids of a finished prompt; see `tokenize`."""
        return self._token_ids(prompt, use_system_prompt=use_system_prompt, image=image)

    def _check(self, request: ModelInput) -> None:
        if self.distilled_sigmas:
            raise UnsupportedModeError(
                f"this checkpoint is distilled for images and videos and cannot do {request.mode}; "
                f"load one that is not, such as nvidia/Cosmos3-Nano."
            )
        if self.action_dim is None:
            raise UnsupportedModeError(
                f"this checkpoint has no action heads, so it cannot do {request.mode}; "
                f"load one that has (its transformer/config.json says action_gen: true)."
            )
        if request.raw_action_dim > self.action_dim:
            raise InvalidInputError(
                f"the domain has {request.raw_action_dim} action channels, this checkpoint only {self.action_dim}."
            )
        if not 0 <= request.domain_id < self.num_domains:
            raise InvalidInputError(
                f"domain id {request.domain_id} is outside this checkpoint's 0..{self.num_domains - 1}."
            )
        if request.canvas.multiple != self.autoencoder.spatial_factor:
            raise InvalidInputError(
                f"the canvas is in cells of {request.canvas.multiple} pixels, "
                f"this checkpoint's autoencoder in cells of {self.autoencoder.spatial_factor}."
            )
        require_prompt_length(len(self._tokens(request, request.prompt)))
        require_prompt_length(len(self._tokens(request, request.negative_prompt)), what="negative prompt")

    def _generate_batch(
        self, requests: list[ModelInput], step_done: Callable[[], None], as_float: bool
    ) -> list[Prediction]:
        vision, action = self._denoise(requests, step_done)
        wanted = [i for i, r in enumerate(requests) if r.decode and r.mode != "inverse_dynamics"]
        decoded = dict(zip(wanted, self.frames.to_host(vision[wanted], as_float=as_float), strict=True))
        return [
            Prediction(frames=decoded.get(i), actions=_answered_actions(request, action[i]))
            for i, request in enumerate(requests)
        ]

    def _layout(self, request: ModelInput) -> SequenceLayout:
        return SequenceLayout.of(request, patch_size=int(self.transformer.config.latent_patch_size))

    def _build_schedule(self, num_steps: int, shift: float | None) -> Schedule:
        if self.distilled_sigmas:
            return build_distilled_schedule(self._scheduler_config, self.distilled_sigmas)
        schedule = build_schedule(self._scheduler_config, num_steps, shift=shift, native_flow=self.native_flow)
        return self.preset.thin(schedule)

    def _tokens(self, request: ModelInput, prompt: str) -> tuple[int, ...]:
        return self.token_ids(prompt, use_system_prompt=request.use_system_prompt)

    def _guidance(self, requests: list[ModelInput]) -> Guidance | None:
        if requests[0].guidance == 1.0:
            return None
        negative = [self.understanding(self._tokens(r, r.negative_prompt)) for r in requests]
        return Guidance(requests[0].guidance, negative)

    def _initial(self, requests: list[ModelInput], layout: SequenceLayout) -> tuple[Tensor, Tensor, Tensor]:
        """Initial latents, the given parts in place, and the mask of the action channels that mean something."""
        dim = self.action_dim or 0
        noises = [
            draw_noise(layout, channels=self.autoencoder.channels, action_dim=dim, seed=request.seed)
            for request in requests
        ]
        vision = torch.stack([noise.vision for noise in noises]).to(self.device)
        canvas = requests[0].canvas
        pixels = torch.cat([self.autoencoder.pixels(request.frames, request.canvas) for request in requests])
        vision[:, :, : layout.clean_latent_frames] = self.autoencoder.encode(pixels, canvas)
        mask = torch.tensor([[c < request.raw_action_dim for c in range(dim)] for request in requests])
        mask = mask.to(self.device, torch.float32).unsqueeze(1)
        action = torch.stack([noise.action for noise in noises if noise.action is not None]).to(self.device)
        given = [_given_actions(request) for request in requests]
        if given[0] is not None:
            rows = np.stack([rows for rows in given if rows is not None])
            action[:, : layout.clean_action_rows] = torch.from_numpy(rows).to(self.device)
        return vision, action * mask, mask


def _given_actions(request: ModelInput) -> FloatArray | None:
    """The clean action rows, the initial state first: float32 `[rows, action_dim]`."""
    state = None if request.state is None else request.state[None]
    rows = [part for part in (state, request.actions) if part is not None]
    return np.concatenate(rows).astype(np.float32) if rows else None


def _answered_actions(request: ModelInput, rows: Tensor) -> FloatArray | None:
    if request.mode == "forward_dynamics":
        return None
    first = 0 if request.state is None else 1
    return np.asarray(rows[first:, : request.raw_action_dim].cpu().numpy(), dtype=np.float32)
