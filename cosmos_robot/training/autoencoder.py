"""Trains a small `AutoencoderKLWan` (Wan 2.2 form: 16x in space, 4x in time) on recorded clips.

First single frames, which are cheap, then clips with some single frames among them. The error is weighted towards
pixels that are not background, because the background is most of a frame and is learned at once.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from cosmos_robot.errors import TrainingError
from cosmos_robot.training.autoencoder_check import latent_statistics, psnr_of_clips
from cosmos_robot.training.autoencoder_forward import decode_latents, encode_moments
from cosmos_robot.training.ema import Ema
from cosmos_robot.training.muon import Muon
from cosmos_robot.training.precision import bfloat16_where_it_pays
from cosmos_robot.training.pusht_clips import ClipSource, colour_bins, to_pixels
from cosmos_robot.training.run_folder import RunFolder
from cosmos_robot.training.run_loop import train_to_the_end
from cosmos_robot.training.schedule import Budget, LearningRate


@dataclass(frozen=True)
class AutoencoderForm:
    """The size of the autoencoder; names as `AutoencoderKLWan` has them."""

    base_dim: int = 16
    decoder_base_dim: int = 24
    z_dim: int = 32
    dim_mult: tuple[int, ...] = (1, 2, 4, 4)
    num_res_blocks: int = 1


@dataclass(frozen=True)
class AutoencoderTraining:
    """How the autoencoder is trained.

    Attributes:
        form: its size.
        budget: its length.
        learning_rate: of AdamW, over the budget.
        muon_rate: peak learning rate of Muon, which trains the convolutions; None leaves them to AdamW.
        clip_length: frames of a clip, 4k + 1.
        clip_batch, frame_batch: samples in a step of clips and in one of single frames.
        frames_until: share of the budget before which every step is one of single frames.
        frame_share: share of single-frame steps after that.
        foreground_weight: added to the weight 1 of the error at pixels that are not background.
        rare_weight: added at pixels of a colour that is rare among them, by how rare it is.
        moving_weight: added where a pixel differs from the frame before: small things that move fast are lost first.
        kl_weight: of the divergence of the latents (mean over elements) from a unit Gaussian.
        clip_gradient: largest norm of the gradient.
        ema_decay: of the averaged weights.
        seed: of the initial weights and of every batch.
        decoder_only: keep the encoder as it is (a transformer may be in training on its latents) and train the decoder
            on its mean, with some noise.
        decoder_noise: with `decoder_only`: largest standard deviation of that noise, in units of the latents'; each
            item draws its own from 0 up, so that the decoder bears a transformer's errors.
        compile: whether the step is compiled: about 3 times as fast on a CPU, a minute or two of start-up.
        save_seconds, check_seconds: between two saved states and between two checks on held-out clips.
    """

    form: AutoencoderForm = field(default_factory=AutoencoderForm)
    budget: Budget = field(default_factory=lambda: Budget(seconds=4_200.0))
    learning_rate: LearningRate = field(default_factory=lambda: LearningRate(peak=2e-3))
    muon_rate: float | None = 0.02
    clip_length: int = 17
    clip_batch: int = 4
    frame_batch: int = 32
    frames_until: float = 0.35
    frame_share: float = 0.25
    foreground_weight: float = 8.0
    rare_weight: float = 40.0
    moving_weight: float = 16.0
    kl_weight: float = 1e-4
    clip_gradient: float = 1.0
    ema_decay: float = 0.998
    seed: int = 0
    decoder_only: bool = False
    decoder_noise: float = 0.2
    compile: bool = True
    save_seconds: float = 120.0
    check_seconds: float = 300.0


def build_autoencoder(form: AutoencoderForm, seed: int = 0) -> Any:
    """A fresh `AutoencoderKLWan` with weights drawn from `seed`."""
    from diffusers import AutoencoderKLWan

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return AutoencoderKLWan(
            **{**asdict(form), "dim_mult": list(form.dim_mult)},
            temperal_downsample=[False, True, True],
            is_residual=True,
            patch_size=2,
            in_channels=12,
            out_channels=12,
            scale_factor_spatial=16,
            scale_factor_temporal=4,
            latents_mean=[0.0] * form.z_dim,
            latents_std=[1.0] * form.z_dim,
        )


def train_autoencoder(
    out: Path,
    train: ClipSource,
    held_out: ClipSource,
    config: AutoencoderTraining,
    start: Any | None = None,
) -> Any:
    """Train to the end of the budget, going on from a saved state in `out`, and write diffusers' form to `out/vae`.

    Args:
        out: folder of the state, the metrics and the result.
        train: training episodes.
        held_out: episodes for the checks.
        config: how.
        start: an autoencoder to begin with instead of a fresh one; needed for `decoder_only`.

    Returns:
        The averaged autoencoder, with `latents_mean` and `latents_std` measured on training clips; with
        `decoder_only` they stay as they are.
    """
    trainer = _Trainer(RunFolder(out), train, held_out, config, start)
    trainer.run()
    vae = trainer.vae
    with trainer.ema.applied(vae):
        averaged = copy.deepcopy(vae).eval()
    if not config.decoder_only:
        mean, std = latent_statistics(averaged, train, config.clip_length)
        averaged.register_to_config(latents_mean=mean, latents_std=std)
    averaged.save_pretrained(out / "vae")
    return averaged


class _Trainer:
    def __init__(
        self,
        folder: RunFolder,
        train: ClipSource,
        held_out: ClipSource,
        config: AutoencoderTraining,
        start: Any | None,
    ) -> None:
        self.folder, self.train, self.held_out, self.config = folder, train, held_out, config
        self.vae = build_autoencoder(config.form, config.seed) if start is None else start
        for fixed in (self.vae.encoder, self.vae.quant_conv):
            fixed.requires_grad_(not config.decoder_only)
        self.trained = [p for p in self.vae.parameters() if p.requires_grad]
        self.ema = Ema(self.vae, config.ema_decay)
        self.optimizers = _build_optimizers(self.trained, config)
        self.background = to_pixels(torch.from_numpy(train.background)[None, None])
        self.step, self.elapsed = 0, 0.0
        self.losses: list[float] = []
        self._resume()
        loss: Callable[..., Tensor] = _decoder_loss if config.decoder_only else _loss
        # One graph each for single frames and for clips: a break in it would be compiled anew at every step.
        self.loss = torch.compile(loss, dynamic=False, fullgraph=True) if config.compile else loss

    def run(self) -> None:
        config = self.config
        train_to_the_end(
            self,
            "autoencoder",
            budget=config.budget,
            save_seconds=config.save_seconds,
            check_seconds=config.check_seconds,
        )

    def advance(self, spent: float) -> float:
        self.losses.append(self.take_step(spent))
        return self.losses[-1]

    def take_step(self, spent: float) -> float:
        config = self.config
        rng = np.random.default_rng([config.seed, self.step])
        single = spent < config.frames_until or rng.random() < config.frame_share
        batch, length = (config.frame_batch, 1) if single else (config.clip_batch, config.clip_length)
        frames = self.train.draw(rng, batch, length)
        pixels = to_pixels(frames)
        latent_shape = (batch, config.form.z_dim, (length + 3) // 4, pixels.shape[3] // 16, pixels.shape[4] // 16)
        noise = torch.from_numpy(rng.standard_normal(latent_shape, dtype=np.float32))
        weight = error_weight(pixels, self.background, config.foreground_weight, config.moving_weight)
        rarity = torch.from_numpy(self.train.rarity[colour_bins(frames.numpy())]).unsqueeze(1)
        weight = torch.where(weight > 1.0, weight + config.rare_weight * rarity, weight)
        factor = config.learning_rate.at(self.step, spent) / config.learning_rate.peak
        for optimizer, peak in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = peak * factor
        loss = self._loss_of(rng, pixels, noise, weight)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = float(torch.nn.utils.clip_grad_norm_(self.trained, config.clip_gradient))
        if not math.isfinite(norm):
            raise TrainingError(
                f"the gradient of step {self.step + 1} of the autoencoder is {norm}; go on from the last saved state "
                f"with a smaller learning rate than {config.learning_rate.peak:g}."
            )
        for optimizer, _ in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.ema.update(self.vae)
        self.step += 1
        return float(loss.detach())

    def _loss_of(self, rng: np.random.Generator, pixels: Tensor, noise: Tensor, weight: Tensor) -> Tensor:
        """The loss of a batch; bfloat16 inside where the processor has it."""
        config = self.config
        with bfloat16_where_it_pays(pixels.device.type):
            if not config.decoder_only:
                return self.loss(self.vae, pixels, noise, weight, config.kl_weight)
            scale = torch.from_numpy(rng.uniform(0.0, config.decoder_noise, len(pixels)).astype(np.float32))
            std = torch.tensor(self.vae.config.latents_std).view(1, -1, 1, 1, 1)
            return self.loss(self.vae, pixels, noise * std * scale.view(-1, 1, 1, 1, 1), weight)

    def check(self) -> None:
        losses, self.losses = self.losses, []
        with self.ema.applied(self.vae):
            frames = psnr_of_clips(self.vae, self.held_out, length=1, clips=64)
            clips = psnr_of_clips(self.vae, self.held_out, length=self.config.clip_length, clips=16)
        self.folder.log(
            step=self.step,
            elapsed=round(self.elapsed, 1),
            loss=float(np.mean(losses)) if losses else float("nan"),
            learning_rate=self.optimizers[0][0].param_groups[0]["lr"],
            psnr_frames=frames,
            psnr_clips=clips,
        )

    def save(self) -> None:
        self.folder.save(
            {
                "vae": self.vae.state_dict(),
                "ema": self.ema.state(),
                "optimizers": [optimizer.state_dict() for optimizer, _ in self.optimizers],
                "step": self.step,
                "elapsed": self.elapsed,
                "losses": self.losses,
            }
        )

    def _resume(self) -> None:
        state = self.folder.load()
        self.folder.forget_after(0 if state is None else state["step"])
        if state is None:
            return
        self.vae.load_state_dict(state["vae"])
        self.ema.load(state["ema"])
        for (optimizer, _), saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.step, self.elapsed = state["step"], state["elapsed"]
        self.losses = state.get("losses", [])


def error_weight(pixels_BCTHW: Tensor, background_BCTHW: Tensor, foreground: float, moving: float) -> Tensor:
    """Weight `[B, 1, T, H, W]` of the error: 1, and more at and around what differs.

    Args:
        pixels_BCTHW: in -1..1.
        background_BCTHW: likewise, broadcast over items and frames.
        foreground: added within two pixels of what differs from the background.
        moving: added within a pixel of what differs from the frame before.
    """
    differs = ((pixels_BCTHW - background_BCTHW).abs().amax(1, keepdim=True) > 0.1).float()
    weight = 1.0 + foreground * F.max_pool3d(differs, (1, 5, 5), stride=1, padding=(0, 2, 2))
    if pixels_BCTHW.shape[2] > 1:
        moves = (pixels_BCTHW.diff(dim=2).abs().amax(1, keepdim=True) > 0.1).float()
        weight[:, :, 1:] += moving * F.max_pool3d(moves, (1, 3, 3), stride=1, padding=(0, 1, 1))
    return weight


def _build_optimizers(
    weights: list[torch.nn.Parameter], config: AutoencoderTraining
) -> list[tuple[torch.optim.Optimizer, float]]:
    """The optimisers with their peak learning rates."""
    peak = config.learning_rate.peak
    kernels = [w for w in weights if config.muon_rate is not None and w.ndim >= 4 and min(w.shape[:2]) > 1]
    known = {id(w) for w in kernels}
    others = [w for w in weights if id(w) not in known]
    optimizers: list[tuple[torch.optim.Optimizer, float]] = [
        (torch.optim.AdamW(others, lr=peak, betas=(0.9, 0.99), weight_decay=1e-4), peak)
    ]
    if config.muon_rate is not None:
        optimizers.append((Muon(kernels, lr=config.muon_rate), config.muon_rate))
    return optimizers


def _loss(vae: Any, pixels: Tensor, noise: Tensor, weight: Tensor, kl_weight: float) -> Tensor:
    """Weighted L1 and squared error, and the divergence of the latents."""
    mean, log_variance = encode_moments(vae, pixels).float().chunk(2, dim=1)
    log_variance = log_variance.clamp(-30.0, 20.0)
    decoded = decode_latents(vae, mean + (0.5 * log_variance).exp() * noise)
    reconstruction = _weighted_error(decoded, pixels, weight)
    divergence = 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).mean()
    return reconstruction + kl_weight * divergence


def _decoder_loss(vae: Any, pixels: Tensor, noise: Tensor, weight: Tensor) -> Tensor:
    """Weighted error of the decoder alone, on the encoder's mean with `noise` added."""
    with torch.no_grad():
        mean = encode_moments(vae, pixels).float().chunk(2, dim=1)[0]
    decoded = decode_latents(vae, mean + noise)
    return _weighted_error(decoded, pixels, weight)


def _weighted_error(decoded: Tensor, pixels: Tensor, weight: Tensor) -> Tensor:
    error = decoded.float() - pixels
    return (weight * (error.abs() + 2.0 * error.square())).mean()
