"""Flow-matching training of a `Cosmos3OmniTransformer` on cached windows, all modes at once.

One optimiser step draws a batch of every mode, runs the understanding tower once over each distinct prompt and the
generation tower once for each mode: the engine's own forward pass, under autograd.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import Progress
from torch import Tensor

from cosmos_robot.engine.understanding import PromptKeys, UnderstandingTower
from cosmos_robot.training.ema import Ema
from cosmos_robot.training.flow_matching import (
    FlowMatching,
    ModeBatch,
    mode_layout,
    mode_loss,
)
from cosmos_robot.training.muon import Muon
from cosmos_robot.training.precision import bfloat16_where_it_pays
from cosmos_robot.training.prompt_mix import ModeShare, TextEncoder, draw_prompts, draw_windows
from cosmos_robot.training.run_folder import RunFolder
from cosmos_robot.training.schedule import Budget, LearningRate
from cosmos_robot.training.state_reading import StateReading
from cosmos_robot.training.training_tower import TrainingTower
from cosmos_robot.training.windows import LatentWindows


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
        self.tower = TrainingTower(transformer, self.reading, compiled=config.compile)
        self.step, self.elapsed = 0, 0.0
        self._by_prompt = _rows_of(windows.prompt_ids, len(windows.prompts))
        goals = windows.prompt_ids if windows.goal_ids is None else windows.goal_ids
        self._by_goal = _rows_of(goals, len(windows.prompts))
        self._resume()

    def run(self) -> None:
        """Train to the end of the budget; the averaged weights are in `ema`."""
        config, began = self.config, time.monotonic() - self.elapsed
        saved = checked = time.monotonic()
        history: list[dict[str, float]] = []
        with Progress() as progress:
            bar = progress.add_task("transformer", total=1.0)
            while (spent := config.budget.spent(self.step, self.elapsed)) < 1.0:
                history.append(self.take_step(spent))
                self.elapsed = time.monotonic() - began
                progress.update(bar, completed=spent, description=f"transformer, loss {history[-1]['loss']:.3f}")
                if self.step % config.log_steps == 0:
                    self._log(history)
                    history = []
                if time.monotonic() - checked > config.check_seconds:
                    self._report()
                    checked = time.monotonic()
                if time.monotonic() - saved > config.save_seconds:
                    self.save()
                    saved = time.monotonic()
        self.save()
        self._report()

    def take_step(self, spent: float) -> dict[str, float]:
        """Take one optimiser step with the share `spent` of the budget behind it; give its losses by name."""
        config = self.config
        rng = np.random.default_rng([config.seed, self.step])
        factor = config.learning_rate.at(self.step, spent) / config.learning_rate.peak
        for optimizer, peak in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = peak * factor
        total, losses = self._losses(rng)
        total.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.trained, config.clip_gradient)
        for optimizer, _ in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.ema.update(self.transformer)
        self.step += 1
        return {"loss": float(total.detach()), "gradient": float(norm), **losses}

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
            }
        )

    def _losses(self, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        config, total, losses = self.config, torch.zeros((), device=self.transformer.device), {}
        known: dict[tuple[int, ...], PromptKeys] = {}
        prompts = draw_prompts(self._by_prompt, self._by_goal, config.prompts, rng)
        due = [share for share in config.modes if self.step % share.every == 0]
        items = sum(share.items for share in config.modes)
        with bfloat16_where_it_pays(self.transformer.device.type, wanted=config.autocast):
            for share in due:
                batch = self._draw(share, prompts, rng, known)
                found = mode_loss(self.tower, batch, self._objective(share), rng)
                for name, value, weight in (
                    ("vision", found.vision, 1.0),
                    ("action", found.action, config.objective.action_weight),
                    ("states", found.states, config.objective.state_weight),
                ):
                    if value is not None:
                        total = total + value * (weight * share.weight * share.items / items)
                        losses[f"{share.mode}_{name}"] = float(value.detach())
        return total, losses

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
        order = sorted(range(share.items), key=lambda i: (len(tokens[i]), tokens[i]))
        rows = rows[order]
        for ids in dict.fromkeys(tokens):
            if ids not in known:
                known[ids] = self.understanding.compute(ids)
        device = self.transformer.device
        shown = 1 if share.mode == "text2image" else None
        latents = torch.from_numpy(self.windows.latents[rows, :, :shown].astype(np.float32)).to(device)
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

    def _log(self, history: list[dict[str, float]]) -> None:
        names = dict.fromkeys(name for entry in history for name in entry)
        means = {name: round(float(np.mean([entry[name] for entry in history if name in entry])), 5) for name in names}
        rate = self.optimizers[0][0].param_groups[0]["lr"]
        self.folder.log(step=self.step, elapsed=round(self.elapsed, 1), learning_rate=rate, **means)

    def _report(self) -> None:
        if self._check is not None:
            with self.ema.applied(self.transformer):
                figures = self._check(self.transformer)
            self.folder.log(step=self.step, elapsed=round(self.elapsed, 1), **figures)

    def _resume(self) -> None:
        state = self.folder.load()
        if state is None:
            return
        self.transformer.load_state_dict(state["trained"], strict=False)
        self.ema.load(state["ema"])
        if self.reading is not None:
            self.reading.load_state_dict(state["reading"])
        for (optimizer, _), saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.step, self.elapsed = state["step"], state["elapsed"]


def build_optimizers(
    transformer: Any, config: PostTraining, heads: Sequence[Tensor] = ()
) -> list[tuple[torch.optim.Optimizer, float]]:
    """The optimisers with their peak learning rates: AdamW (`heads` too), and Muon where it is wanted."""
    named = [(name, p) for name, p in transformer.named_parameters() if p.requires_grad]
    matrices = [p for name, p in named if config.muon_rate is not None and _is_generation_matrix(name, p)]
    known = {id(p) for p in matrices}
    peak = config.learning_rate.peak
    others = [*(p for _, p in named if id(p) not in known), *heads]
    optimizers: list[tuple[torch.optim.Optimizer, float]] = [
        (torch.optim.AdamW(others, lr=peak, betas=(0.9, 0.99), weight_decay=config.weight_decay), peak)
    ]
    if config.muon_rate is not None:
        muon = Muon(matrices, lr=config.muon_rate, weight_decay=config.weight_decay)
        optimizers.append((muon, config.muon_rate))
    return optimizers


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
