"""Post-trains any checkpoint of the Cosmos 3 form on episodes of a robot: all of its generation tower, or LoRA on it.

The checkpoint's own autoencoder makes the latents, once. What is trained follows the published recipes: the generation
tower, the timestep embedder, and the projections in and out; the understanding tower is left as it is.
"""

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cosmos_robot.domains.domain import Domain
from cosmos_robot.engine.checkpoint import CheckpointFacts
from cosmos_robot.engine.engine import Engine
from cosmos_robot.errors import InvalidInputError, UnsupportedModeError, UntrainedDomainWarning
from cosmos_robot.training.finished_training import write_adapter, write_checkpoint
from cosmos_robot.training.flow_matching import FlowMatching
from cosmos_robot.training.post_training import PostTrainer, PostTraining
from cosmos_robot.training.prompt_mix import ModeShare, TextEncoder
from cosmos_robot.training.run_folder import RunFolder
from cosmos_robot.training.schedule import Budget
from cosmos_robot.training.window_cutter import TrainingEpisode, WindowCutter
from cosmos_robot.types import Canvas, require_chunk_size

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


PUBLISHED_MODES = (
    ModeShare("forward_dynamics", 24),
    ModeShare("inverse_dynamics", 8),
    ModeShare("policy", 16),
    ModeShare("image2video", 8, every=4),
    ModeShare("text2video", 8, every=8),
)
PUBLISHED_OBJECTIVE = FlowMatching(waver=True, uniform_share=0.0, moving_weight=0.0)
PUBLISHED_SHIFTS = {256: 3.0, 480: 5.0}
"""How far noise levels are shifted, by the largest resolution tier that it holds for; above them it is 10."""
TEXT_DROPOUT = 0.1
"""Share of the batches with the prompt of the unguided pass."""


@dataclass(frozen=True)
class Lora:
    """Low-rank adapters in place of full weights.

    Attributes:
        rank: of the adapters.
        alpha: their scale is `alpha / rank`.
    """

    rank: int = 16
    alpha: int = 32


def published_training(budget: Budget, **changes: Any) -> PostTraining:
    """A training with the modes, noise levels, loss weights and text dropout of the published recipes.

    Args:
        budget: its length.
        changes: to anything else that `PostTraining` has.
    """
    recipe = {"modes": PUBLISHED_MODES, "objective": PUBLISHED_OBJECTIVE, "dropped": TEXT_DROPOUT, "weight_decay": 0.05}
    return PostTraining(budget=budget, **{**recipe, **changes})


@dataclass(frozen=True)
class FineTuning:
    """How a checkpoint is post-trained.

    Attributes:
        training: length, learning rate, modes and loss.
        lora: adapters, or None for the generation tower's own weights.
        chunk: actions of a window; None takes the domain's.
        stride: actions between the starts of two windows.
        shift: of the noise levels; None takes the checkpoint's own, where it says one, or that of the domain's tier.
        understanding: whether the understanding tower is trained too.
    """

    training: PostTraining = field(default_factory=lambda: published_training(Budget(seconds=3_600.0)))
    lora: Lora | None = None
    chunk: int | None = None
    stride: int = 4
    shift: float | None = None
    understanding: bool = False


def fine_tune(
    pipeline: Any,
    start: Path,
    episodes: Iterable[TrainingEpisode],
    *,
    domain: Domain,
    out: Path,
    config: FineTuning,
    name: str | None = None,
    check: Callable[[Any], dict[str, float]] | None = None,
) -> Path:
    """Post-train a checkpoint and write the result; a stopped training goes on where it was.

    Args:
        pipeline: a loaded `Cosmos3OmniPipeline`, on the device to train on; its transformer is trained in place.
        start: the folder that it was loaded from.
        episodes: of one robot; they are read once, on the first call.
        domain: the robot.
        out: folder for the state, the metrics, the cached windows and the result.
        config: how.
        name: what the checkpoint was called, as adapters are to name it; None is its folder.
        check: called with the averaged transformer now and then; what it returns goes into the metrics.

    Returns:
        The folder of the result: a whole checkpoint, or the adapters alone with `lora`.

    Raises:
        InvalidInputError: if episodes do not fit the domain, the checkpoint or each other, or no window is found.
        UnsupportedModeError: if the checkpoint cannot be trained on actions.
        TrainingStopped: on Ctrl-C or SIGTERM, after the state was saved.
        TrainingError: if the loss is no number any more.
        RecordingError: if the disk is full.
    """
    chunk, facts, folder = (
        require_chunk_size(config.chunk or domain.action_chunk_size),
        CheckpointFacts.read(start),
        RunFolder(out),
    )
    transformer = pipeline.transformer
    require_fits(transformer.config, domain)
    if config.lora is not None:
        _warn_of_heads_that_know_nothing(facts, domain)
    cutter = WindowCutter(Engine.from_pipeline(pipeline).autoencoder, facts, domain, chunk, config.stride)
    windows, canvas = cutter.cached(episodes, out / "windows")
    prepare_weights(transformer, config)
    trainer = PostTrainer(
        folder,
        transformer,
        prompts_of(pipeline, facts, domain, canvas, chunk),
        windows,
        domain_id=domain.domain_id,
        fps=domain.fps,
        config=_shifted(config, facts, domain),
        check=check,
    )
    trainer.run()
    trained = _facts_of_result(facts, domain, chunk)
    with trainer.ema.applied(transformer):
        if config.lora is not None:
            write_adapter(out / "lora", transformer, checkpoint=name or str(start.resolve()), facts=trained)
            return out / "lora"
        write_checkpoint(out / "checkpoint", transformer, start=start, facts=trained)
    return out / "checkpoint"


def require_fits(config: Any, domain: Domain) -> None:
    """Check that a transformer can be trained on a robot's actions.

    Raises:
        UnsupportedModeError: if it has no action heads.
        InvalidInputError: if the robot has more channels than they, or a domain id that they do not know.
    """
    if not config.action_gen:
        raise UnsupportedModeError(
            "this checkpoint has no action heads, so it cannot be trained on actions; start from one that has (its "
            "transformer/config.json says action_gen: true)."
        )
    if domain.raw_action_dim > config.action_dim:
        raise InvalidInputError(
            f"domain {domain.name!r} has {domain.raw_action_dim} action channels, this checkpoint {config.action_dim}."
        )
    if not 0 <= domain.domain_id < config.num_embodiment_domains:
        raise InvalidInputError(
            f"domain {domain.name!r} has the id {domain.domain_id}; this checkpoint has 0 to "
            f"{config.num_embodiment_domains - 1}."
        )


def _warn_of_heads_that_know_nothing(facts: CheckpointFacts, domain: Domain) -> None:
    known = facts.domain_ids
    if known is not None and domain.domain_id not in known:
        warnings.warn(
            f"adapters leave the action heads as they are, and those of domain {domain.name!r} (id {domain.domain_id}) "
            f"are not among those that were trained, {', '.join(map(str, known))}; train the weights themselves first.",
            UntrainedDomainWarning,
            stacklevel=3,
        )


def prepare_weights(transformer: Any, config: FineTuning) -> None:
    """Say which weights are trained: adapters are added with `lora`, the rest is frozen.

    What is trained becomes float32, because an optimiser moves it by small steps; the rest stays as it was loaded.
    """
    transformer.requires_grad_(False)
    if config.lora is not None:
        from peft import LoraConfig

        transformer.add_adapter(
            LoraConfig(r=config.lora.rank, lora_alpha=config.lora.alpha, target_modules=list(LORA_TARGETS))
        )
    else:
        for name, parameter in transformer.named_parameters():
            parameter.requires_grad_(is_trained(name, understanding=config.understanding))
    for parameter in transformer.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()


def is_trained(name: str, *, understanding: bool = False) -> bool:
    """Whether a transformer's parameter is trained, where its own weights are.

    Args:
        name: of the parameter.
        understanding: whether the understanding tower is trained too.
    """
    generation = any(part in name for part in GENERATION_PARTS)
    return generation or (understanding and not name.startswith("lm_head"))


def prompts_of(pipeline: Any, facts: CheckpointFacts, domain: Domain, canvas: Canvas, chunk: int) -> TextEncoder:
    """The prompts as the engine will have them when the result is asked."""
    return TextEncoder(
        pipeline.text_tokenizer,
        domain,
        canvas.padded,
        chunk,
        output=canvas.output,
        system_prompt=bool(pipeline.config.default_use_system_prompt),
        denies=facts.native_canvas is None,
    )


def _shifted(config: FineTuning, facts: CheckpointFacts, domain: Domain) -> PostTraining:
    shift = config.shift or facts.shift
    if shift is None:
        shift = next((known for tier, known in PUBLISHED_SHIFTS.items() if domain.tier <= tier), 10.0)
    return replace(config.training, objective=replace(config.training.objective, shift=shift))


def _facts_of_result(facts: CheckpointFacts, domain: Domain, chunk: int) -> CheckpointFacts:
    """What the old checkpoint knew, and where it lists domains and chunk lengths, the new ones."""
    known, longest = facts.domain_ids, facts.max_action_chunk_size
    return replace(
        facts,
        domain_ids=None if known is None else tuple(sorted({*known, domain.domain_id})),
        max_action_chunk_size=None if longest is None else max(longest, chunk),
    )
