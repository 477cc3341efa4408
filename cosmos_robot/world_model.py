"""The local world model, where a domain meets an engine, and how to load any world model by its name."""

import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from cosmos_robot.domains.canvas import action_canvas, native_canvas
from cosmos_robot.domains.caption import action_caption
from cosmos_robot.errors import (
    CheckpointError,
    InvalidInputError,
    UnsupportedModeError,
    UntrainedDomainWarning,
)
from cosmos_robot.interface.batch import naming_item
from cosmos_robot.interface.chat import all_said
from cosmos_robot.interface.generation import Generation
from cosmos_robot.interface.media_request import MediaRequest
from cosmos_robot.interface.model_space import answered_actions, encoded_actions, encoded_state
from cosmos_robot.interface.reason import Reasoner, ReasonRequest, ReasonStream
from cosmos_robot.interface.request import ActionRequest
from cosmos_robot.interface.world_model import WorldModel
from cosmos_robot.prompting.facts import CaptionFacts
from cosmos_robot.prompting.refinement import Refinement
from cosmos_robot.remote.options import RemoteOptions
from cosmos_robot.safety.checker import NoChecker, SafetyChecker, check_prompts, choose_safety
from cosmos_robot.types import (
    Canvas,
    FloatArray,
    ModelInput,
    Prediction,
    Progress,
    Rollout,
    Sound,
)

if TYPE_CHECKING:
    import torch

    from cosmos_robot.engine.checkpoint import LoadedCheckpoint
    from cosmos_robot.engine.exact_steps import ExactSteps
    from cosmos_robot.engine.media import MediaOutput
    from cosmos_robot.engine.media_plan import MediaPlan, MediaPlanner
    from cosmos_robot.engine.reasoner import LocalReasoner

EMBEDDED = Path(__file__).parent / "checkpoints" / "pusht"
"""Where the embedded default checkpoint lies."""


class LocalWorldModel(WorldModel):
    """Generates on this machine.

    Args:
        checkpoint: a loaded one; see `load_world_model`.
        reasoner: what upsamples prompts and judges candidates; None is the checkpoint's own.
        safety: what looks at prompts and frames; None is nothing.
    """

    def __init__(
        self,
        checkpoint: "LoadedCheckpoint",
        *,
        reasoner: Reasoner | None = None,
        safety: SafetyChecker | None = None,
    ) -> None:
        self.safety = safety or NoChecker()
        self._given_reasoner = reasoner
        self.engine = checkpoint.engine
        self.facts = checkpoint.facts
        self.name = checkpoint.name
        self.folder = checkpoint.folder

    def __repr__(self) -> str:
        preset, safety = self.engine.preset.name, self.safety.name
        return f"LocalWorldModel({self.name!r} on {self.engine.device}, preset {preset!r}, safety {safety!r})"

    def generate(self, requests: Sequence[ActionRequest], *, progress: Progress | None = None) -> list[Rollout]:
        """Answer requests, those that can share a forward pass together.

        Raises:
            UnsupportedModeError: if the checkpoint has no action heads.
            InvalidInputError: if a request does not fit the checkpoint.
            UnsafeContentError: if the safety checker refuses a prompt or frames.
        """
        if self.engine.action_dim is None:
            raise UnsupportedModeError(
                f"checkpoint {self.name} has no action heads, so it cannot do {requests[0].mode}; "
                f"load one that has (its transformer/config.json says action_gen: true)."
            )
        for request in requests:
            check_prompts(self.safety, request.prompt, request.negative_prompt)
        self._warn_of_untrained_domains(requests)
        inputs = []
        for index, request in enumerate(requests):
            with naming_item(index, len(requests)):
                inputs.append(self._model_input(request, self.engine.action_dim))
        predictions = self.engine.generate(inputs, progress=progress)
        return [
            self._rollout(request, given, prediction)
            for request, given, prediction in zip(requests, inputs, predictions, strict=True)
        ]

    def generate_media(self, requests: Sequence[MediaRequest], *, progress: Progress | None = None) -> list[Generation]:
        """Answer requests of the modes without actions, those that can share a forward pass together.

        Raises:
            UnsupportedModeError: if sound is asked of a checkpoint that has none, or candidates of one without a
                reasoner.
            InvalidInputError: if a request does not fit the tables or the checkpoint.
            UnsafeContentError: if the safety checker refuses a prompt or frames.
        """
        refinement = Refinement(
            render=self._render,
            facts=self._caption_facts,
            require_fits=self._require_fits,
            reasoner=lambda: self._given_reasoner or self.reasoner,
            safety=self.safety,
        )
        return refinement.generate(requests, progress=progress)

    def _render(self, requests: Sequence[MediaRequest], *, progress: Progress | None = None) -> list[Generation]:
        from cosmos_robot.engine.media import generate_media

        plans = []
        for index, request in enumerate(requests):
            with naming_item(index, len(requests)):
                plans.append(self._planner.plan(request))
        outputs = generate_media(self.engine, [plan.given for plan in plans], progress=progress)
        return [
            self._generation(request, plan, output)
            for request, plan, output in zip(requests, plans, outputs, strict=True)
        ]

    def answer(self, request: ReasonRequest) -> ReasonStream:
        """Start to answer a chat.

        Raises:
            UnsupportedModeError: if the checkpoint has no reasoner part, or pictures are shown to one that reads text.
            MissingDependencyError: if a package is not installed; the message names the extra.
            InvalidInputError: if the chat is too long.
            UnsafeContentError: if the safety checker refuses a message.
        """
        check_prompts(self.safety, *all_said(request.messages))
        return self.reasoner.answer(replace(request, safety=self.safety.name))

    @cached_property
    def reasoner(self) -> "LocalReasoner":
        """The checkpoint's own reasoner, which shares the generator's weights; built when it is first used."""
        from cosmos_robot.engine.reasoner import LocalReasoner

        if self.folder is None:
            raise UnsupportedModeError(f"checkpoint {self.name} was not loaded from a folder, so it has no reasoner.")
        return LocalReasoner(self.engine.transformer, self.folder, self.name)

    def clip_frames(self, request: MediaRequest) -> int:
        """How many frames one generation for a video request has where the caller does not say."""
        return self._planner.clip_frames(request)

    @cached_property
    def _planner(self) -> "MediaPlanner":
        from cosmos_robot.engine.media_plan import MediaPlanner

        return MediaPlanner(self.engine, self.facts, self.name)

    def _caption_facts(self, request: MediaRequest) -> CaptionFacts:
        plan = self._planner.plan(request)
        return CaptionFacts(request.mode, *plan.given.size, num_frames=plan.num_frames, fps=plan.given.fps)

    def _require_fits(self, request: MediaRequest) -> None:
        from cosmos_robot.engine.media import checked_tokens

        checked_tokens(self.engine, self._planner.plan(request).given)

    def _checked_frames(self, frames: Any) -> Any:
        """What the safety checker makes of frames uint8 `[N, H, W, 3]`: an array, or a tensor on its device."""
        if isinstance(self.safety, NoChecker):
            return frames
        if isinstance(frames, np.ndarray):
            return self.safety.check_frames(frames)
        import torch

        return torch.from_numpy(self.safety.check_frames(frames.cpu().numpy())).to(frames.device)

    def _generation(self, request: MediaRequest, plan: "MediaPlan", output: "MediaOutput") -> Generation:
        frames, sound, fps = output.frames[: plan.num_frames], None, plan.given.fps
        if output.sound is not None and self.engine.sound is not None:
            samples = output.sound[:, : self.engine.sound.samples(plan.num_frames, fps)]
            sound = Sound(samples.cpu().numpy(), self.engine.sound.sample_rate)
        return Generation(
            mode=request.mode,
            frames=self._checked_frames(frames),
            fps=fps,
            sound=sound,
            seed=request.seed,
            prompt=request.prompt,
            prompt_used=request.prompt_used,
            notes=plan.notes + self._preset_notes(),
            preview=self.engine.preset.preview,
        )

    def canvas(self, request: ActionRequest) -> Canvas:
        """Find the sizes that a request's frames pass through; `output` is what comes back."""
        height, width = request.frames.shape[1:3]
        multiple = self.engine.autoencoder.spatial_factor
        if self.facts.native_canvas is not None:
            return native_canvas(height, width, self.facts.native_canvas, multiple=multiple)
        tier = request.domain.tier if request.image_size is None else request.image_size
        return action_canvas(height, width, tier, multiple=multiple)

    def _model_input(self, request: ActionRequest, action_dim: int) -> ModelInput:
        domain, facts, canvas = request.domain, self.facts, self.canvas(request)
        longest = facts.max_action_chunk_size
        if longest is not None and request.action_chunk_size > longest:
            raise InvalidInputError(
                f"checkpoint {self.name} was trained on chunks of at most {longest} actions; "
                f"got {request.action_chunk_size}. Use rollout(), which chains chunks."
            )
        fps = domain.fps if request.fps is None else request.fps
        own = facts.sampling_of(request.mode)
        return ModelInput(
            mode=request.mode,
            frames=request.frames,
            canvas=canvas,
            prompt=action_caption(
                request.prompt,
                view_sentence=domain.view_sentence(request.view_point),
                action_chunk_size=request.action_chunk_size,
                fps=fps,
                height=canvas.padded[0],
                width=canvas.padded[1],
            ),
            negative_prompt=request.negative_prompt,
            domain_id=domain.domain_id,
            raw_action_dim=domain.raw_action_dim,
            action_chunk_size=request.action_chunk_size,
            fps=fps,
            num_steps=request.num_steps or self.engine.preset.num_steps(own.num_steps or domain.sampling.num_steps),
            guidance=_first(request.guidance, own.guidance) or domain.sampling.guidance,
            shift=self._shift(request),
            seed=request.seed,
            actions=encoded_actions(request, action_dim=action_dim),
            state=encoded_state(request, action_dim=action_dim),
            decode=request.return_frames,
        )

    def _shift(self, request: ActionRequest) -> float | None:
        """The caller's flow shift, the checkpoint's, or the domain's.

        A checkpoint that samples on its native flow schedule (Edge) keeps the shift that it was trained with.
        """
        default = None if self.engine.native_flow else request.domain.sampling.shift
        return _first(request.shift, self.facts.shift, default)

    def _warn_of_untrained_domains(self, requests: Sequence[ActionRequest]) -> None:
        trained = self.facts.domain_ids
        for domain in {request.domain.name: request.domain for request in requests}.values():
            if trained is not None and domain.domain_id not in trained:
                warnings.warn(
                    f"checkpoint {self.name} was not trained for domain {domain.name!r} (id {domain.domain_id}), only "
                    f"for id(s) {', '.join(map(str, trained))}; what it answers means nothing.",
                    UntrainedDomainWarning,
                    stacklevel=4,
                )

    def _rollout(self, request: ActionRequest, given: ModelInput, prediction: Prediction) -> Rollout:
        frames = request.frames if request.mode == "inverse_dynamics" else prediction.frames
        return Rollout(
            frames=None
            if frames is None or not request.return_frames
            else self._checked_frames(frames.astype(np.uint8, copy=False)),
            actions=_actions(request, prediction),
            action_space=request.action_space if request.actions is None else request.actions.space,
            domain=request.domain.name,
            fps=given.fps,
            seed=request.seed,
            prompt=request.prompt,
            notes=request.notes + self._canvas_notes(request) + self._preset_notes(),
            safety=self.safety.name,
            preview=self.engine.preset.preview and request.mode != "inverse_dynamics",
        )

    def _preset_notes(self) -> tuple[str, ...]:
        preset = self.engine.preset
        return () if preset.exact else (f"answered by the preset {preset.name!r}, which is quicker and not exact.",)

    def _canvas_notes(self, request: ActionRequest) -> tuple[str, ...]:
        native = self.facts.native_canvas
        source = request.frames.shape[1:3]
        if native is None or (source == native and request.image_size is None):
            return ()
        return (
            f"answered at the checkpoint's native canvas of {native[0]}x{native[1]}, "
            f"from a frame of {source[0]}x{source[1]} (HxW).",
        )


def load_world_model(
    checkpoint: str | Path | None = None,
    *,
    device: "str | torch.device | None" = None,
    dtype: "str | torch.dtype | None" = None,
    reasoner: Reasoner | None = None,
    safety: str | SafetyChecker = "off",
    preset: str = "exact",
    exact: "ExactSteps | None" = None,
    **service: Unpack[RemoteOptions],
) -> WorldModel:
    """Load a world model.

    Args:
        checkpoint: a folder in the diffusers layout, the id of a repository on the Hugging Face Hub, or a folder of
            LoRA adapters that training has written. None takes the embedded Push-T model. A URL is a service:
            `http://host:8000` (or https) a server of this library, `nim://host:8000`, `baseten://MODEL_ID`, `fal://`,
            `pixazo://`, `cosmic://BUCKET_SLUG` the hosted interfaces; the last four also with a host, as in
            `fal://host:8000`, and all with `+http` or `+https`, as in `nim+https://host`. Nothing is sent, and no torch
            imported, before it is asked.
        device: "cpu", "cuda" or "cuda:N"; None takes CUDA where there is one.
        dtype: "float32" or "bfloat16"; None takes bfloat16 on CUDA and float32 on the CPU.
        reasoner: what upsamples prompts and judges candidates, as `ChatReasoner`; None is the checkpoint's own.
        safety: what looks at prompts and frames: "off", "words", "guardrail" (NVIDIA's), or a `SafetyChecker`.
        preset: "exact", or what is quicker and changes the answer: "few-steps", "step-cache", "fp8", "preview", or
            several joined by "+". The notes of an answer name it.
        exact: what makes the engine quick without changing the answer, such as
            `ExactSteps(offload_understanding=True)` for a card with little memory; None is everything that the
            device has.
        service: see `RemoteOptions`; for URLs alone.

    Raises:
        InvalidInputError: if an argument is not for such a checkpoint, or a service's key is missing.
        MissingDependencyError: if the safety checker is not installed; the message says what to install.
        CheckpointError: if it is not found or not whole.
        DeviceError: if the device is not there or has too little memory.
    """
    checker = choose_safety(safety)
    if is_service(checkpoint):
        if any(given is not None for given in (device, dtype, reasoner, exact)) or preset != "exact":
            raise InvalidInputError(
                "device, dtype, reasoner, preset and exact are for checkpoints on this machine, not for a service."
            )
        from cosmos_robot.remote.remote_world_model import RemoteWorldModel

        return RemoteWorldModel(str(checkpoint), safety=checker, **service)
    if service:
        raise InvalidInputError(f"{', '.join(sorted(service))}: for the URL of a service, not for a checkpoint.")
    from cosmos_robot.engine.checkpoint import load_checkpoint

    if checkpoint is None:
        if not EMBEDDED.is_dir():
            raise CheckpointError("this build carries no embedded checkpoint; name a folder or a Hub id.")
        checkpoint = EMBEDDED
    loaded = load_checkpoint(checkpoint, device=device, dtype=dtype, exact=exact, preset=preset)
    return LocalWorldModel(loaded, reasoner=reasoner, safety=checker)


def is_service(checkpoint: object) -> bool:
    """Whether what names a world model is the URL of a service."""
    return isinstance(checkpoint, str) and "://" in checkpoint


def _actions(request: ActionRequest, prediction: Prediction) -> FloatArray:
    if request.actions is not None:
        return request.actions.values
    if prediction.actions is None:
        raise InvalidInputError(f"{request.mode} gave no actions.")
    return answered_actions(request, prediction.actions)


def _first[Value](*values: Value | None) -> Value | None:
    """The first value that is not None, if there is one."""
    return next((value for value in values if value is not None), None)
