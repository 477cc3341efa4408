"""Flow-matching training of a `Cosmos3OmniTransformer` on cached windows, all modes at once.

One optimiser step draws a batch of every mode, runs the understanding tower once over each distinct prompt and the
generation tower once for each mode: the engine's own forward pass, under autograd.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cosmos_robot.engine.offload import is_understanding
from cosmos_robot.engine.understanding import PromptKeys, UnderstandingTower
from cosmos_robot.errors import TrainingError
from cosmos_robot.training.ema import Ema
from cosmos_robot.training.flow_matching import (
    FlowMatching,
    ModeBatch,
    ModeLoss,
    mode_layout,
    mode_loss,
)
from cosmos_robot.training.muon import Muon
from cosmos_robot.training.precision import bfloat16_where_it_pays
from cosmos_robot.training.prompt_mix import ModeShare, TextEncoder, draw_prompts, draw_windows
from cosmos_robot.training.run_folder import RunFolder
from cosmos_robot.training.run_loop import train_to_the_end
from cosmos_robot.training.schedule import Budget, LearningRate
from cosmos_robot.training.state_reading import StateReading
from cosmos_robot.training.training_tower import TrainingTower
from cosmos_robot.training.windows import LatentWindows

_LARGE = 1_000_000_000


@dataclass(frozen=True)
class PostTraining:
    """How a transformer is trained.

    Attributes:
        budget: its length.
        learning_rate: of AdamW, over the budget.
        muon_rate: peak learning rate of Muon, which trains the generation tower's matrices, and a small model faster;
            None leaves all to AdamW, as LoRA and large models want it.
        modes: what an optimiser step holds.
        prompts: distinct prompts in one step, beside the empty one.
        objective: noise levels and loss weights.
        weight_decay: of AdamW.
        clip_gradient: largest norm of the gradient.
        ema_decay: of the averaged weights.
        seed: of every batch.
        autocast: whether matrix products run in bfloat16, on devices where that is faster.
        dropped: share of the batches that have the prompt of the sampler's unguided pass, which is another than no
            prompt; without it guidance means nothing.
        items_at_once: windows of a mode that are in memory at once; None is all of its batch. The gradients are added
            up: the step is that of the whole batch.
        recompute: whether a layer's activations are computed again in the backward pass and not kept, which takes a
            third more time and a fraction of the memory; None does so for transformers of a billion weights and more.
        compile: whether the generation tower is compiled: twice as fast on a CPU, minutes of start-up. Every step
            then has one prompt for all its modes (`prompts` 1), so that a mode has one shape.
        log_steps: steps between two lines of metrics, each a mean over them.
        save_seconds, check_seconds: between two saved states and between two checks.
    """

    budget: Budget = field(default_factory=lambda: Budget(seconds=3_600.0))
    learning_rate: LearningRate = field(default_factory=lambda: LearningRate(peak=1e-3))
    muon_rate: float | None = None
    modes: tuple[ModeShare, ...] = (
        ModeShare("forward_dynamics", 24, told=0.2),
        ModeShare("inverse_dynamics", 8, told=0.2),
        ModeShare("policy", 16),
        ModeShare("image2video", 8, every=4),
        ModeShare("text2video", 8, every=8),
    )
    prompts: int = 3
    objective: FlowMatching = field(default_factory=FlowMatching)
    weight_decay: float = 0.01
    clip_gradient: float = 1.0
    ema_decay: float = 0.999
    seed: int = 0
    autocast: bool = True
    dropped: float = 0.0
    items_at_once: int | None = None
    recompute: bool | None = None
    compile: bool = False
    log_steps: int = 100
    save_seconds: float = 120.0
    check_seconds: float = 600.0

    def with_batch(self, items: int) -> "PostTraining":
        """The same with `items` windows in a batch of the first mode and the others in proportion."""
        first = self.modes[0].items
        modes = tuple(replace(mode, items=max(1, round(mode.items * items / first))) for mode in self.modes)
        return replace(self, modes=modes)


class PostTrainer:
    """Trains a transformer; goes on from the saved state in its folder.

    Args:
        folder: where state and metrics are kept.
        transformer: trained in place; its parameters that require gradients, so that LoRA holds.
        text: turns prompts into token ids.
        windows: training data.
        domain_id: of the windows.
        fps: of the windows.
        config: how.
        check: called with the averaged transformer now and then; what it returns goes into the metrics.
    """

    def __init__(
        self,
        folder: RunFolder,
        transformer: Any,
        text: TextEncoder,
        windows: LatentWindows,
        *,
        domain_id: int,
        fps: float,
        config: PostTraining,
        check: Callable[[Any], dict[str, float]] | None = None,
    ) -> None:
        self.folder, self.transformer, self.text, self.windows = folder, transformer, text, windows
        self.domain_id, self.fps, self.config, self._check = domain_id, fps, config, check
        self.ema = Ema(transformer, config.ema_decay)
        self.reading = _state_reading(transformer, windows)
        heads = [] if self.reading is None else list(self.reading.parameters())
        self.trained = [*(p for p in transformer.parameters() if p.requires_grad), *heads]
        self.optimizers = build_optimizers(transformer, config, heads)
        self.understanding = UnderstandingTower(transformer)
        self.tower = TrainingTower(
            transformer, self.reading, compiled=config.compile, recompute=_recompute(transformer, config)
        )
        self._understanding_learns = any(
            p.requires_grad for name, p in transformer.named_parameters() if is_understanding(name)
        )
        self.step, self.elapsed = 0, 0.0
        self._history: list[dict[str, float]] = []
        self._by_prompt = _rows_of(windows.prompt_ids, len(windows.prompts))
        goals = windows.prompt_ids if windows.goal_ids is None else windows.goal_ids
        self._by_goal = _rows_of(goals, len(windows.prompts))
        self._resume()

    def run(self) -> None:
        """Train to the end of the budget; the averaged weights are in `ema`. See `train_to_the_end`."""
        config = self.config
        train_to_the_end(
            self,
            "transformer",
            budget=config.budget,
            save_seconds=config.save_seconds,
            check_seconds=config.check_seconds,
        )

    def advance(self, spent: float) -> float:
        """Take one step, and log the means of the last ones when they are due, or it was the last."""
        self._history.append(self.take_step(spent))
        loss = self._history[-1]["loss"]
        if self.step % self.config.log_steps == 0 or self.config.budget.spent(self.step, self.elapsed) >= 1.0:
            self._log()
        return loss

    def take_step(self, spent: float) -> dict[str, float]:
        """Take one optimiser step with the share `spent` of the budget behind it; give its losses by name.

        Raises:
            TrainingError: if the gradient is no number; no weight has moved then.
        """
        config = self.config
        rng = np.random.default_rng([config.seed, self.step])
        factor = config.learning_rate.at(self.step, spent) / config.learning_rate.peak
        for optimizer, peak in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = peak * factor
        losses = self._backward(rng)
        norm = float(torch.nn.utils.clip_grad_norm_(self.trained, config.clip_gradient))
        if not math.isfinite(norm):
            raise TrainingError(
                f"the gradient of step {self.step + 1} is {norm}, and so is no step to take; go on from the last saved "
                f"state with a smaller learning rate than {config.learning_rate.peak:g}."
            )
        for optimizer, _ in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.ema.update(self.transformer)
        self.step += 1
        return {"gradient": norm, **losses}

    def save(self) -> None:
        """Save everything that the next run needs to go on."""
        self.folder.save(
            {
                "trained": {n: p.detach() for n, p in self.transformer.named_parameters() if p.requires_grad},
                "ema": self.ema.state(),
                "reading": None if self.reading is None else self.reading.state_dict(),
                "optimizers": [optimizer.state_dict() for optimizer, _ in self.optimizers],
                "step": self.step,
                "elapsed": self.elapsed,
                "history": self._history,
            }
        )

    def check(self) -> None:
        """Let the caller's check measure the averaged weights."""
        if self._check is not None:
            with self.ema.applied(self.transformer):
                figures = self._check(self.transformer)
            self.folder.log(step=self.step, elapsed=round(self.elapsed, 1), **figures)

    def _backward(self, rng: np.random.Generator) -> dict[str, float]:
        """Add up the gradients of every mode that is due, and give the losses by name.

        Where the understanding tower learns, all modes wait for one backward pass through the prompts that they share.
        Where it does not, each part has its own, so that one part's activations are held at a time.
        """
        config, losses, waiting = self.config, {"loss": 0.0}, torch.zeros((), device=self.transformer.device)
        prompts = draw_prompts(self._by_prompt, self._by_goal, config.prompts, rng)
        items, known = sum(share.items for share in config.modes), dict[tuple[int, ...], PromptKeys]()
        for share in config.modes:
            if self.step % share.every:
                continue
            with bfloat16_where_it_pays(self.transformer.device.type, wanted=config.autocast):
                drawn = self._draw(share, prompts, rng, known)
            for batch in drawn.split(config.items_at_once):
                with bfloat16_where_it_pays(self.transformer.device.type, wanted=config.autocast):
                    found = mode_loss(self.tower, batch, self._objective(share), rng)
                    part = self._weighted(found, share.weight * len(batch.latents) / items)
                for name, value in found.named():
                    of_mode = float(value.detach()) * len(batch.latents) / share.items
                    losses[f"{share.mode}_{name}"] = losses.get(f"{share.mode}_{name}", 0.0) + of_mode
                losses["loss"] += float(part.detach())
                if self._understanding_learns:
                    waiting = waiting + part
                elif part.requires_grad:
                    part.backward()  # type: ignore[no-untyped-call]
        if waiting.requires_grad:
            waiting.backward()  # type: ignore[no-untyped-call]
        return losses

    def _weighted(self, found: ModeLoss, share: float) -> Tensor:
        objective = self.config.objective
        weights = {"vision": 1.0, "action": objective.action_weight, "states": objective.state_weight}
        total = torch.zeros((), device=self.transformer.device)
        for name, value in found.named():
            total = total + value * (weights[name] * share)
        return total

    def _draw(
        self,
        share: ModeShare,
        prompts: NDArray[np.intp],
        rng: np.random.Generator,
        known: dict[tuple[int, ...], PromptKeys],
    ) -> ModeBatch:
        by_prompt = self._by_goal if share.mode == "policy" else self._by_prompt
        rows, told = draw_windows(share, prompts, by_prompt, rng)
        tokens = [self.text(share.mode, self.windows.prompts[i] if i >= 0 else "") for i in told]
        if self.config.dropped and rng.random() < self.config.dropped:
            tokens = [self.text.unconditional(share.mode)] * share.items
        order = sorted(range(share.items), key=lambda i: (len(tokens[i]), tokens[i]))
        rows = rows[order]
        understand = self.understanding.compute if self._understanding_learns else self.understanding
        for ids in dict.fromkeys(tokens):
            if ids not in known:
                known[ids] = understand(ids)
        device = self.transformer.device
        shown = 1 if share.mode == "text2image" else None
        latents = torch.from_numpy(self.windows.latents_of(rows)[:, :, :shown].astype(np.float32)).to(device)
        actions = self.windows.actions[rows]
        config = self.transformer.config
        _, _, frames, height, width = latents.shape
        layout = mode_layout(share.mode, (frames, height, width), actions.shape[1], int(config.latent_patch_size))
        padded = torch.zeros(share.items, actions.shape[1], config.action_dim, device=device)
        padded[..., : actions.shape[2]] = torch.from_numpy(actions).to(device)
        # What a policy will do is not known from its first frame, and so no state after that.
        known_states = self.windows.states if share.mode != "policy" else None
        return ModeBatch(
            layout=layout,
            latents=latents,
            actions=padded if layout.action_rows else None,
            prompts=[known[tokens[i]] for i in order],
            raw_action_dim=actions.shape[2],
            domain_id=self.domain_id,
            fps=self.fps,
            states=None if known_states is None else torch.from_numpy(known_states[rows]).to(device),
        )

    def _objective(self, share: ModeShare) -> FlowMatching:
        objective = self.config.objective
        if share.pure_noise_share is None:
            return objective
        return replace(objective, pure_noise_share=share.pure_noise_share)

    def _log(self) -> None:
        history, self._history = self._history, []
        names = dict.fromkeys(name for entry in history for name in entry)
        means = {name: round(float(np.mean([entry[name] for entry in history if name in entry])), 5) for name in names}
        rate = self.optimizers[0][0].param_groups[0]["lr"]
        self.folder.log(step=self.step, elapsed=round(self.elapsed, 1), learning_rate=rate, **means)

    def _resume(self) -> None:
        state = self.folder.load()
        self.folder.forget_after(0 if state is None else state["step"])
        if state is None:
            return
        self.transformer.load_state_dict(state["trained"], strict=False)
        self.ema.load(state["ema"])
        if self.reading is not None:
            self.reading.load_state_dict(state["reading"])
        for (optimizer, _), saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.step, self.elapsed = state["step"], state["elapsed"]
        self._history = state.get("history", [])


def build_optimizers(
    transformer: Any, config: PostTraining, heads: Sequence[Tensor] = ()
) -> list[tuple[torch.optim.Optimizer, float]]:
    """The optimisers with their peak learning rates: AdamW (`heads` too), and Muon where it is wanted."""
    named = [(name, p) for name, p in transformer.named_parameters() if p.requires_grad]
    matrices = [p for name, p in named if config.muon_rate is not None and _is_generation_matrix(name, p)]
    known = {id(p) for p in matrices}
    peak = config.learning_rate.peak
    others = [*(p for _, p in named if id(p) not in known), *heads]
    optimizers: list[tuple[torch.optim.Optimizer, float]] = [(_adamw(others, peak, config.weight_decay), peak)]
    if config.muon_rate is not None:
        muon = Muon(matrices, lr=config.muon_rate, weight_decay=config.weight_decay)
        optimizers.append((muon, config.muon_rate))
    return optimizers


def _adamw(weights: Sequence[Tensor], rate: float, decay: float) -> torch.optim.AdamW:
    """AdamW; on an accelerator in one kernel, without the copies of all weights that the default makes."""
    fused = True if weights and weights[0].device.type != "cpu" else None
    return torch.optim.AdamW(weights, lr=rate, betas=(0.9, 0.99), weight_decay=decay, fused=fused)


def _recompute(transformer: Any, config: PostTraining) -> bool:
    if config.recompute is not None:
        return config.recompute
    return bool(sum(parameter.numel() for parameter in transformer.parameters()) >= _LARGE)


def _state_reading(transformer: Any, windows: LatentWindows) -> StateReading | None:
    if windows.states is None:
        return None
    config = transformer.config
    reading = StateReading(config.hidden_size, windows.states.shape[-1], config.num_hidden_layers)
    return reading.to(transformer.device)


def _rows_of(prompt_ids: NDArray[np.int64], prompts: int) -> list[NDArray[np.intp]]:
    return [np.flatnonzero(prompt_ids == i) for i in range(prompts)]


def _is_generation_matrix(name: str, parameter: Tensor) -> bool:
    return parameter.ndim == 2 and name.startswith("layers.") and ("add_" in name or "moe_gen" in name)
