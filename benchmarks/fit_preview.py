"""Make the preview decoder of a checkpoint from recorded episodes: some seconds for the embedded model.

    python -m cosmos_robot.benchmarks.fit_preview CHECKPOINT EPISODES

CHECKPOINT is a folder; "embedded" is the embedded model. EPISODES is what open_episodes opens, or "pusht" for the
simulator's own.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from torch import Tensor

import cosmos_robot as cr
from cosmos_robot.domains.canvas import action_canvas, native_canvas
from cosmos_robot.engine.checkpoint import LoadedCheckpoint, load_checkpoint
from cosmos_robot.engine.preview_decoder import PreviewDecoder, component_digest, fit_preview
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.training.pusht_recording import open_simulator, record_episode
from cosmos_robot.types import Frames
from cosmos_robot.world_model import EMBEDDED

PIECE = 17
"""Frames of a clip."""

FIRST_SEED = 50_000
"""Of the simulator's episodes."""


def main(
    checkpoint: Annotated[str, typer.Argument(help='A checkpoint\'s folder, or "embedded".')],
    episodes: Annotated[str, typer.Argument(help='What open_episodes opens, or "pusht".')],
    *,
    clips: Annotated[int, typer.Option(min=2, help="Clips of 17 frames that are fitted.")] = 64,
    out: Annotated[Path | None, typer.Option(help="Another folder for the result.", show_default="beside it")] = None,
    tier: Annotated[int, typer.Option(help="Resolution tier, for a checkpoint without a canvas of its own.")] = 256,
) -> None:
    """Fit on three quarters of the clips, tell the error on the rest, and write the file."""
    folder = EMBEDDED if checkpoint == "embedded" else Path(checkpoint)
    loaded = load_checkpoint(folder, device="cpu", dtype="float32")
    found = list(zip(range(clips), pieces(episodes), strict=False))
    if len(found) < 2:
        raise InvalidInputError(f"{episodes} has {len(found)} clip(s) of {PIECE} frames; at least 2 are needed.")
    pairs = [encode(loaded, frames, tier) for _, frames in found]
    kept = max(1, len(pairs) * 3 // 4)
    latents, frames = [latent for latent, _ in pairs], [seen for _, seen in pairs]
    preview = fit_preview(latents[:kept], frames[:kept], vae=component_digest(folder / "vae"))
    typer.echo(f"{psnr(preview, latents[kept:], frames[kept:]):.1f} dB beside the checkpoint's decoder, on other clips")
    typer.echo(f"wrote {preview.save(out or folder)}")


def pieces(episodes: str) -> Iterator[Frames]:
    """Cut episodes into clips `[17, H, W, 3]`, one behind the other."""
    if episodes == "pusht":
        simulator = open_simulator()
        for seed in range(FIRST_SEED, FIRST_SEED + 10_000):
            recorded = record_episode(simulator, seed, 3 * (PIECE - 1))
            yield from _cut(np.asarray(recorded.frames))
        return
    with cr.open_episodes(episodes) as opened:
        for episode in opened:
            yield from _cut(episode.frames())


def _cut(frames: Frames) -> Iterator[Frames]:
    for start in range(0, len(frames) - PIECE + 1, PIECE - 1):
        yield frames[start : start + PIECE]


@torch.no_grad()
def encode(loaded: LoadedCheckpoint, frames: Frames, tier: int) -> tuple[Tensor, Tensor]:
    """A clip's latents, and what the checkpoint's own decoder makes of them."""
    native, (height, width) = loaded.facts.native_canvas, frames.shape[1:3]
    canvas = action_canvas(height, width, tier) if native is None else native_canvas(height, width, native)
    autoencoder = loaded.engine.autoencoder
    latents = autoencoder.encode(autoencoder.pixels(frames, canvas), canvas)
    return latents, torch.cat(list(autoencoder.stream(latents)), dim=1)


def psnr(preview: PreviewDecoder, latents: list[Tensor], frames: list[Tensor]) -> float:
    """PSNR of previews beside the decoder's frames, over all clips."""
    errors = [
        (torch.cat(list(preview.stream(clip)), dim=1) - seen).square().mean()
        for clip, seen in zip(latents, frames, strict=True)
    ]
    return float(-10 * torch.stack(errors).mean().log10())


if __name__ == "__main__":
    typer.run(main)
