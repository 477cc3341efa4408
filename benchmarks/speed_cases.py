"""What the speed benchmark asks: requests of a mode on frames of one size, of this engine and of the pipeline."""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from diffusers import UniPCMultistepScheduler
from diffusers.pipelines.cosmos.pipeline_cosmos3_omni import CosmosActionCondition
from PIL import Image

from cosmos_robot.domains.canvas import action_canvas
from cosmos_robot.domains.caption import action_caption
from cosmos_robot.domains.registry import get_domain
from cosmos_robot.domains.view_points import VIEW_SENTENCES
from cosmos_robot.engine.engine import Engine
from cosmos_robot.engine.media import MediaInput, generate_media
from cosmos_robot.interface.media_prompt import finish_prompt
from cosmos_robot.types import ActionMode, ModelInput

TASK = "Put the pot to the left of the purple item"
SHIFT = 5.0


@dataclass(frozen=True)
class Case:
    """One comparison: a mode on frames of one size, in a batch.

    Attributes:
        mode: an action mode, or text2video.
        domain: the robot; of a text2video it gives the frames a second.
        height: of the frames.
        width: likewise.
        tier: resolution tier.
        chunk: transitions; of a text2video its frames are one more.
        num_steps: denoising steps of a whole answer.
        batch: items.
    """

    mode: ActionMode | str
    domain: str
    height: int
    width: int
    tier: int
    chunk: int
    num_steps: int
    batch: int = 1

    @property
    def name(self) -> str:
        """For people and file names."""
        return f"{self.mode} {self.height}x{self.width} {self.chunk + 1}f x{self.batch}"

    @property
    def single(self) -> "Case":
        """The same with one item."""
        return replace(self, batch=1)

    @property
    def seconds(self) -> float:
        """Of robot time, in one chunk of the whole batch."""
        return self.batch * self.chunk / get_domain(self.domain).fps


def ask_engine(engine: Engine, case: Case, num_steps: int) -> list[Any]:
    """Give this engine the whole batch; frames come to the host."""
    if case.mode == "text2video":
        outputs = generate_media(engine, [media_request(case, seed, num_steps) for seed in range(case.batch)])
        return [output.frames for output in outputs]
    return engine.generate([action_request(case, seed, num_steps) for seed in range(case.batch)])


def ask_pipeline(pipeline: Any, case: Case, num_steps: int, *, items: int | None = None) -> list[Any]:
    """Give diffusers' pipeline the batch, item after item: it takes one a call."""
    ask = _pipeline_video if case.mode == "text2video" else _pipeline_actions
    return [ask(pipeline, case, seed, num_steps) for seed in range(items or case.batch)]


def action_request(case: Case, seed: int, num_steps: int) -> ModelInput:
    """Make item `seed` of a case: random frames and actions, its domain's caption."""
    return replace(_action_request(case.single, seed), num_steps=num_steps)


@lru_cache(maxsize=64)
def _action_request(case: Case, seed: int) -> ModelInput:
    """Made once: drawing the frames of a long clip takes as long as some answers."""
    rng = np.random.default_rng(seed)
    domain = get_domain(case.domain)
    canvas = action_canvas(case.height, case.width, case.tier)
    count = case.chunk + 1 if case.mode == "inverse_dynamics" else 1
    actions = np.zeros((case.chunk, 64), np.float32)
    actions[:, : domain.raw_action_dim] = rng.uniform(-1, 1, (case.chunk, domain.raw_action_dim))
    return ModelInput(
        mode=case.mode,  # type: ignore[arg-type]
        frames=rng.integers(0, 256, (count, case.height, case.width, 3), dtype=np.uint8),
        canvas=canvas,
        prompt=action_caption(
            TASK,
            view_sentence=VIEW_SENTENCES["third_person_view"],
            action_chunk_size=case.chunk,
            fps=domain.fps,
            height=canvas.padded[0],
            width=canvas.padded[1],
        ),
        domain_id=domain.domain_id,
        raw_action_dim=domain.raw_action_dim,
        action_chunk_size=case.chunk,
        fps=domain.fps,
        num_steps=case.num_steps,
        shift=SHIFT,
        seed=seed,
        actions=actions if case.mode == "forward_dynamics" else None,
    )


def media_request(case: Case, seed: int, num_steps: int) -> MediaInput:
    """Make item `seed` of a text2video case."""
    form = {
        "num_frames": case.chunk + 1,
        "fps": get_domain(case.domain).fps,
        "size": (case.height, case.width),
    }
    return MediaInput(
        mode="text2video",
        prompt=finish_prompt(TASK, **form),  # type: ignore[arg-type]
        **form,  # type: ignore[arg-type]
        num_steps=num_steps,
        shift=SHIFT,
        seed=seed,
    )


def with_shift(pipeline: Any) -> Any:
    """Set the pipeline's noise schedule to the one that the engine is asked for."""
    pipeline.scheduler = UniPCMultistepScheduler.from_config(
        pipeline.scheduler.config, flow_shift=SHIFT, use_karras_sigmas=False, use_flow_sigmas=True
    )
    return pipeline


def _pipeline_actions(pipeline: Any, case: Case, seed: int, num_steps: int) -> Any:
    request = action_request(case, seed, num_steps)
    domain = get_domain(case.domain)
    images = [Image.fromarray(frame) for frame in request.frames]
    actions = None if request.actions is None else torch.from_numpy(request.actions[:, : domain.raw_action_dim])
    whole_clip = case.mode == "inverse_dynamics"
    condition = CosmosActionCondition(
        mode=case.mode,
        chunk_size=case.chunk,
        domain_name=domain.name,
        resolution_tier=case.tier,
        raw_actions=actions,
        video=images if whole_clip else None,
        image=None if whole_clip else images[0],
        view_point="third_person_view",
    )
    return pipeline(
        TASK,
        action=condition,
        fps=request.fps,
        num_inference_steps=num_steps,
        guidance_scale=1.0,
        generator=torch.Generator("cpu").manual_seed(seed),
        output_type="np",
        use_system_prompt=False,
    )


def _pipeline_video(pipeline: Any, case: Case, seed: int, num_steps: int) -> Any:
    return pipeline(
        TASK,
        num_frames=case.chunk + 1,
        height=case.height,
        width=case.width,
        fps=get_domain(case.domain).fps,
        num_inference_steps=num_steps,
        guidance_scale=1.0,
        generator=torch.Generator("cpu").manual_seed(seed),
        output_type="np",
    )


def difference(case: Case, ours: list[Any], theirs: list[Any]) -> float:
    """Greatest difference of the first item: of frames in levels of 255, of inverse dynamics in model space."""
    if case.mode == "inverse_dynamics":
        return float(np.abs(ours[0].actions - theirs[0].action[0].float().cpu().numpy()).max())
    frames = ours[0] if case.mode == "text2video" else ours[0].frames
    expected = (np.asarray(theirs[0].video, np.float32) * 255).round()
    return float(np.abs(frames.astype(np.float32) - expected.reshape(frames.shape)).max())


def smaller(case: Case) -> Case:
    """The same on frames so small that a test can run it."""
    return replace(case, height=64, width=96, tier=256, chunk=4, num_steps=4, batch=min(case.batch, 2))
