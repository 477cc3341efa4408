"""Post-trains any checkpoint of the Cosmos 3 form on episodes of a robot: all of its generation tower, or LoRA on it.

The checkpoint's own autoencoder makes the latents, once. What is trained follows the published recipes: the generation
tower, the timestep embedder, and the projections in and out; the understanding tower is left as it is.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track

from cosmos_robot.domains.canvas import action_canvas, native_canvas
from cosmos_robot.domains.domain import Domain
from cosmos_robot.engine.checkpoint import CheckpointFacts
from cosmos_robot.engine.engine import Engine
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.training.portable_config import forget_origin
from cosmos_robot.training.post_training import PostTrainer, PostTraining
from cosmos_robot.training.prompt_mix import TextEncoder
from cosmos_robot.training.run_folder import RunFolder
from cosmos_robot.training.windows import LatentWindows
from cosmos_robot.types import Canvas, FloatArray, Frames, require_chunk_size

GENERATION_PARTS = (
    "moe_gen",
    "add_q_proj",
    "add_k_proj",
    "add_v_proj",
    "to_add_out",
    "norm_added",
    "time_embedder",
    "proj_in",
    "proj_out",
    "action_proj",
    "action_modality_embed",
)
LORA_TARGETS = ("add_q_proj", "add_k_proj", "add_v_proj", "to_add_out")


@dataclass(frozen=True, eq=False)
class TrainingEpisode:
    """One episode to train on.

    Attributes:
        frames: uint8 `[T + 1, H, W, 3]`.
        actions: float32 `[T, D]` in robot units.
        prompt: what happens in it.
    """

    frames: Frames
    actions: FloatArray
    prompt: str = ""

    def __post_init__(self) -> None:
        if len(self.frames) != len(self.actions) + 1:
            raise InvalidInputError(
                f"an episode has one frame more than actions; got {len(self.frames)} and {len(self.actions)}."
            )


@dataclass(frozen=True)
class Lora:
    """Low-rank adapters in place of full weights.

    Attributes:
        rank: of the adapters.
        alpha: their scale is `alpha / rank`.
    """

    rank: int = 16
    alpha: int = 32


@dataclass(frozen=True)
class FineTuning:
    """How a checkpoint is post-trained.

    Attributes:
        training: length, learning rate, modes and loss.
        lora: adapters, or None for the generation tower's own weights.
        chunk: actions of a window; None takes the domain's.
        stride: actions between the starts of two windows.
        understanding: whether the understanding tower is trained too.
    """

    training: PostTraining = field(default_factory=PostTraining)
    lora: Lora | None = None
    chunk: int | None = None
    stride: int = 4
    understanding: bool = False


def fine_tune(
    pipeline: Any,
    facts: CheckpointFacts,
    episodes: Iterable[TrainingEpisode],
    *,
    domain: Domain,
    out: Path,
    config: FineTuning,
    check: Callable[[Any], dict[str, float]] | None = None,
) -> Path:
    """Post-train a checkpoint and write the result; a stopped training goes on where it was.

    Args:
        pipeline: a loaded `Cosmos3OmniPipeline`, on the device to train on.
        facts: what it was trained for so far.
        episodes: of one robot, all of the same frame size.
        domain: the robot.
        out: folder for the state, the metrics, the cached windows and the result.
        config: how.
        check: called with the averaged transformer now and then; what it returns goes into the metrics.

    Returns:
        The folder of the result: a whole checkpoint, or the adapters alone with `lora`.
    """
    chunk = require_chunk_size(config.chunk or domain.action_chunk_size)
    cutter = _WindowCutter(Engine.from_pipeline(pipeline), facts, domain, chunk, config.stride)
    windows, canvas = cutter.cached(episodes, out / "windows")
    transformer = pipeline.transformer
    prepare_weights(transformer, config)
    trainer = PostTrainer(
        RunFolder(out),
        transformer,
        TextEncoder(pipeline.text_tokenizer, domain, canvas.padded, chunk),
        windows,
        domain_id=domain.domain_id,
        fps=domain.fps,
        config=config.training,
        check=check,
    )
    trainer.run()
    with trainer.ema.applied(transformer):
        if config.lora is not None:
            transformer.save_lora_adapter(out / "lora")
            return out / "lora"
        pipeline.save_pretrained(out / "checkpoint")
        forget_origin(out / "checkpoint")
    return out / "checkpoint"


def prepare_weights(transformer: Any, config: FineTuning) -> None:
    """Say which weights are trained: adapters are added with `lora`, the rest is frozen."""
    transformer.requires_grad_(False)
    if config.lora is not None:
        from peft import LoraConfig

        transformer.add_adapter(
            LoraConfig(r=config.lora.rank, lora_alpha=config.lora.alpha, target_modules=list(LORA_TARGETS))
        )
        return
    for name, parameter in transformer.named_parameters():
        generation = any(part in name for part in GENERATION_PARTS)
        parameter.requires_grad_(generation or (config.understanding and not name.startswith("lm_head")))


@dataclass(frozen=True, eq=False)
class _WindowCutter:
    """Cuts episodes into windows and encodes them with the checkpoint's own autoencoder."""

    engine: Engine
    facts: CheckpointFacts
    domain: Domain
    chunk: int
    stride: int

    def cached(self, episodes: Iterable[TrainingEpisode], folder: Path) -> tuple[LatentWindows, Canvas]:
        """One shard for each episode; those that are there already are not made again."""
        folder.mkdir(parents=True, exist_ok=True)
        canvases: set[Canvas] = set()
        for number, episode in enumerate(track(episodes, description="encoding windows")):
            canvas = self.canvas(*episode.frames.shape[1:3])
            canvases.add(canvas)
            path = folder / f"windows_{number:07d}.npz"
            if not path.exists() and len(episode.actions) >= self.chunk:
                self.cut(episode, canvas).save(path)
        if len(canvases) != 1:
            raise InvalidInputError(f"training episodes must be of one frame size; got {len(canvases)} canvases.")
        return LatentWindows.load_folder(folder), canvases.pop()

    def canvas(self, height: int, width: int) -> Canvas:
        """The sizes that frames pass through."""
        multiple = self.engine.autoencoder.spatial_factor
        if self.facts.native_canvas is not None:
            return native_canvas(height, width, self.facts.native_canvas, multiple=multiple)
        return action_canvas(height, width, self.domain.tier, multiple=multiple)

    @torch.no_grad()
    def cut(self, episode: TrainingEpisode, canvas: Canvas) -> LatentWindows:
        """The windows of one episode."""
        starts = range(0, len(episode.actions) - self.chunk + 1, self.stride)
        latents: list[NDArray[np.float16]] = []
        for start in starts:
            pixels = self.engine.autoencoder.pixels(episode.frames[start : start + self.chunk + 1], canvas)
            latents.append(self.engine.autoencoder.encode(pixels, canvas)[0].half().cpu().numpy())
        actions = [self.domain.encode(episode.actions[start : start + self.chunk]).values for start in starts]
        return LatentWindows(
            latents=np.stack(latents),
            actions=np.stack(actions),
            prompt_ids=np.zeros(len(starts), dtype=np.int64),
            prompts=(episode.prompt,),
        )
