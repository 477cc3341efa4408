"""The flow-matching objective of Cosmos 3, for one batch of one mode.

`x_sigma = sigma * noise + (1 - sigma) * x0`, and the model predicts the velocity `noise - x0` at the noisy tokens.
One noise level holds for all noisy tokens of an item, vision and action alike.

Shape letters: B items, C latent channels, T latent frames, A action rows, D the checkpoint's action channels.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cosmos_robot.engine.generation import Latents
from cosmos_robot.engine.layout import SequenceLayout
from cosmos_robot.engine.understanding import PromptKeys
from cosmos_robot.training.state_reading import reading_loss
from cosmos_robot.training.training_tower import TrainingTower

type TrainingMode = Literal["forward_dynamics", "inverse_dynamics", "policy", "image2video", "text2video", "text2image"]
VISUAL_MODES: tuple[TrainingMode, ...] = ("image2video", "text2video", "text2image")
"""The modes without actions."""

_WAVER = 1.29


@dataclass(frozen=True)
class FlowMatching:
    """Noise levels and loss weights.

    Attributes:
        shift: the noise levels are shifted by it, as the sampler's schedule is.
        waver: whether the levels of videos are not logit-normal but Waver's, of which more are at both ends; those of
            actions and images are logit-normal, and in a joint mode actions have the video's.
        uniform_share: share of the items whose noise level is uniform instead, so that none is never seen.
        pure_noise_share: share of the items that are noise and nothing else: only there can nothing but the first
            frame and the actions say what comes, so that a model in training learns to listen to them.
        moving_weight: added to the weight 1 of latent cells that differ from the first frame.
        moving_threshold: mean absolute difference over channels (of unit variance) from which a cell counts as moved.
        action_weight: of the action loss beside the vision loss.
        state_weight: of the error of the states that are read, where windows have states.
        channel_weights: of the latent channels, of mean 1: how much each of them shows in the pixels; () for all alike.
    """

    shift: float = 5.0
    waver: bool = False
    uniform_share: float = 0.1
    pure_noise_share: float = 0.0
    moving_weight: float = 4.0
    moving_threshold: float = 0.2
    action_weight: float = 10.0
    state_weight: float = 2.0
    channel_weights: tuple[float, ...] = ()

    def draw_sigmas(self, rng: np.random.Generator, count: int, *, video: bool = False) -> Tensor:
        """Draw noise levels in 0..1: float32 `[count]`.

        Args:
            rng: source.
            count: how many.
            video: whether a video is what is generated, and not an image or actions alone.
        """
        if video and self.waver:
            plain = _waver(rng.uniform(0.0, 1.0, count))
        else:
            plain = 1.0 / (1.0 + np.exp(-rng.standard_normal(count)))
        shifted = self.shift * plain / (1.0 + (self.shift - 1.0) * plain)
        uniform = rng.uniform(0.0, 1.0, count)
        kind = rng.random(count)
        levels = np.where(kind < self.uniform_share, uniform, shifted)
        levels = np.where(kind >= 1.0 - self.pure_noise_share, 1.0, levels)
        return torch.from_numpy(levels.astype(np.float32))

    def cell_weights(self, latents_BCTHW: Tensor) -> Tensor:
        """Weights `[B, C or 1, T, H, W]` of mean 1: of cells that differ from the first frame, and of the channels."""
        difference = (latents_BCTHW - latents_BCTHW[:, :, :1]).abs().mean(1, keepdim=True)
        moved = (difference > self.moving_threshold).any(dim=2, keepdim=True).float()
        weights = (1.0 + self.moving_weight * moved).expand(-1, -1, latents_BCTHW.shape[2], -1, -1)
        weights = weights / weights.mean()
        if self.channel_weights:
            weights = weights * weights.new_tensor(self.channel_weights).view(1, -1, 1, 1, 1)
        return weights


@dataclass(frozen=True, eq=False)
class ModeBatch:
    """Clean data of one mode.

    Attributes:
        layout: what is given and what is generated.
        latents: float32 `[B, C, T, H, W]`.
        actions: float32 `[B, A, D]` zero-padded, or None for a mode without actions.
        prompts: for each item its keys and values.
        raw_action_dim: how many action channels mean something.
        domain_id: of all items.
        fps: of all items.
        states: float32 `[B, A + 1, S]` of a simulator at the video frames, or None.
    """

    layout: SequenceLayout
    latents: Tensor
    actions: Tensor | None
    prompts: list[PromptKeys]
    raw_action_dim: int
    domain_id: int
    fps: float
    states: Tensor | None = None

    def split(self, items: int | None) -> Iterator["ModeBatch"]:
        """Give the same windows in batches of at most `items`; None leaves them together."""
        size = items or len(self.latents)
        for start in range(0, len(self.latents), size):
            part = slice(start, start + size)
            yield replace(
                self,
                latents=self.latents[part],
                actions=None if self.actions is None else self.actions[part],
                prompts=self.prompts[part],
                states=None if self.states is None else self.states[part],
            )


@dataclass(frozen=True, eq=False)
class ModeLoss:
    """Mean squared errors of the velocities, None where a mode does not generate the modality, and of the states read.

    Attributes:
        vision: of the vision tokens.
        action: of the action tokens.
        states: mean absolute error, None where no states are known.
    """

    vision: Tensor | None
    action: Tensor | None
    states: Tensor | None

    def named(self) -> list[tuple[str, Tensor]]:
        """Those that there are, by name."""
        return [(name, value) for name, value in vars(self).items() if value is not None]


def mode_layout(mode: TrainingMode, latent_grid: tuple[int, int, int], rows: int, patch_size: int) -> SequenceLayout:
    """The layout of a training mode for windows of `rows` actions."""
    clean_frames = {"inverse_dynamics": latent_grid[0], "text2video": 0, "text2image": 0}.get(mode, 1)
    with_actions = mode not in VISUAL_MODES
    return SequenceLayout(
        latent_grid=latent_grid,
        patch_size=patch_size,
        clean_latent_frames=clean_frames,
        action_rows=rows if with_actions else 0,
        clean_action_rows=rows if mode == "forward_dynamics" else 0,
    )


def mode_loss(tower: TrainingTower, batch: ModeBatch, objective: FlowMatching, rng: np.random.Generator) -> ModeLoss:
    """Noise a batch, predict its velocities, and measure them."""
    layout, count = batch.layout, len(batch.latents)
    video = layout.generates_vision and layout.latent_grid[0] > 1
    sigma = objective.draw_sigmas(rng, count, video=video).to(batch.latents.device)
    vision_noise = _noise(rng, batch.latents)
    vision = _mix(batch.latents, vision_noise, sigma)
    vision[:, :, : layout.clean_latent_frames] = batch.latents[:, :, : layout.clean_latent_frames]
    action = action_noise = None
    if batch.actions is not None:
        action_noise = _noise(rng, batch.actions)
        action_noise[..., batch.raw_action_dim :] = 0
        action = _mix(batch.actions, action_noise, sigma)
        action[:, : layout.clean_action_rows] = batch.actions[:, : layout.clean_action_rows]
    context = tower.prepare(layout, batch.prompts, fps=[batch.fps] * count, domain_ids=[batch.domain_id] * count)
    time = tower.time_embeddings(sigma * 1000.0).unsqueeze(1)
    velocities, read = tower.step(context, Latents(vision, action=action), time)
    vision_loss = action_loss = None
    if velocities.vision is not None:
        error = (velocities.vision.float() - (vision_noise - batch.latents)).square()
        weighted = error * objective.cell_weights(batch.latents)
        vision_loss = weighted[:, :, layout.clean_latent_frames :].mean()
    if velocities.action is not None and batch.actions is not None and action_noise is not None:
        error = (velocities.action.float() - (action_noise - batch.actions)).square()
        action_loss = error[:, layout.clean_action_rows :, : batch.raw_action_dim].mean()
    states_loss = None if read is None or batch.states is None else reading_loss(*read, batch.states)
    return ModeLoss(vision_loss, action_loss, states_loss)


def _waver(uniform: NDArray[np.float64]) -> NDArray[np.float64]:
    """Noise levels from numbers that are uniform in 0..1.

    Source: "mode sampling with heavy tails", section 3.1 of Esser et al., "Scaling Rectified Flow Transformers", with
    the scale that Waver and Cosmos 3 take for videos.
    """
    levels: NDArray[np.float64] = 1.0 - uniform - _WAVER * (np.cos(np.pi / 2.0 * uniform) ** 2 - 1.0 + uniform)
    return levels


def _noise(rng: np.random.Generator, like: Tensor) -> Tensor:
    return torch.from_numpy(rng.standard_normal(tuple(like.shape), dtype=np.float32)).to(like.device)


def _mix(clean: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    level = sigma.view(-1, *([1] * (clean.ndim - 1)))
    return level * noise + (1.0 - level) * clean
