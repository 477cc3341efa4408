"""A small decoder for previews: pixels as a linear function of the latent cells around them.

Each latent frame gives its four video frames by one convolution over itself and the latent frame before it, some sixty
times less work than the checkpoint's decoder. It is not trained but solved for, by least squares against what the
checkpoint's own decoder makes of the same latents (`python -m cosmos_robot.benchmarks.fit_preview`), so that every
checkpoint can have one. Its frames are blurred; nothing ever goes on from them.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from cosmos_robot.errors import CheckpointError

FILE = "preview_decoder.safetensors"
"""Beside a checkpoint's `model_index.json`."""

REACH = 3
"""Cells along each side that a cell's pixels are a function of."""

DAMPING = 1.0
"""Of the least squares: what the squares of the weights count beside those of the errors."""


@dataclass(frozen=True, eq=False)
class PreviewDecoder:
    """Two linear maps: `[C x 9 + 1, 3 s s]` of the first latent frame, `[2 C x 9 + 1, 4 x 3 s s]` of each other.

    Attributes:
        first: of the first latent frame of a clip.
        later: of each that follows.
        side: s, pixels of a latent cell.
        vae: digest of the autoencoder whose latents it reads.
    """

    first: Tensor
    later: Tensor
    side: int
    vae: str = ""

    @torch.no_grad()
    def stream(self, latents_BCTHW: Tensor) -> Iterator[Tensor]:
        """Decode latent frame after latent frame, as `Autoencoder.stream` does.

        Yields:
            float32 `[B, t, H, W, 3]` in [0, 1]: the first frame, then four at a time.
        """
        latents = latents_BCTHW.float()
        for index in range(latents.shape[2]):
            weight = self.later if index else self.first
            rows = _neighbourhoods(latents, index) @ weight.to(latents.device)
            yield self._pixels(rows, latents).clamp_(0, 1)

    def _pixels(self, rows: Tensor, latents: Tensor) -> Tensor:
        batch, height, width = latents.shape[0], latents.shape[-2], latents.shape[-1]
        cells = rows.view(batch, height, width, -1, self.side, self.side, 3)
        return cells.permute(0, 3, 1, 4, 2, 5, 6).reshape(batch, -1, height * self.side, width * self.side, 3)

    def save(self, folder: Path) -> Path:
        """Write it beside a checkpoint, in half precision, and return the path."""
        tensors = {"first": self.first.half().contiguous(), "later": self.later.half().contiguous()}
        save_file(tensors, folder / FILE, metadata={"side": str(self.side), "vae": self.vae})
        return folder / FILE

    @classmethod
    def load(cls, folder: Path) -> "PreviewDecoder":
        """Read the one beside a checkpoint.

        Raises:
            CheckpointError: if there is none, or it was made for another autoencoder.
        """
        how = f"make one: python -m cosmos_robot.benchmarks.fit_preview {folder} EPISODES."
        if not (folder / FILE).is_file():
            raise CheckpointError(f"{folder} has no {FILE}, which the preset 'preview' needs; {how}")
        with safe_open(folder / FILE, framework="pt") as file:
            facts = file.metadata() or {}
            found = cls(file.get_tensor("first").float(), file.get_tensor("later").float(), int(facts["side"]))
        if facts["vae"] != component_digest(folder / "vae"):
            raise CheckpointError(f"{folder / FILE} was made for another autoencoder than the one there; {how}")
        return found


def fit_preview(latents: Sequence[Tensor], frames: Sequence[Tensor], *, vae: str = "") -> PreviewDecoder:
    """Solve for the decoder that comes nearest to the given frames.

    Args:
        latents: clips `[B, C, T, h, w]`, normalised.
        frames: what the checkpoint's decoder makes of them: `[B, 4 T - 3, H, W, 3]` in [0, 1].
        vae: digest of the autoencoder.
    """
    side = frames[0].shape[2] // latents[0].shape[3]
    sums: list[tuple[Tensor, Tensor] | None] = [None, None]
    for clip, seen in zip(latents, frames, strict=True):
        for index in range(clip.shape[2]):
            start = 4 * index - 3 if index else 0
            rows = _neighbourhoods(clip.float(), index).flatten(0, 1).double()
            cells = _cells(seen[:, start : start + (4 if index else 1)], side).double()
            gram, moment = rows.T @ rows, rows.T @ cells
            before = sums[min(index, 1)]
            sums[min(index, 1)] = (gram, moment) if before is None else (before[0] + gram, before[1] + moment)
    solved = []
    for both in sums:
        if both is None:
            raise ValueError("a preview decoder is fitted on clips of at least two latent frames.")
        gram, moment = both
        solved.append(torch.linalg.solve(gram + DAMPING * torch.eye(len(gram), dtype=gram.dtype), moment).float())
    return PreviewDecoder(solved[0], solved[1], side, vae)


def component_digest(folder: Path) -> str:
    """A digest of a component's weights, file by file."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


def _neighbourhoods(latents: Tensor, index: int) -> Tensor:
    """What the pixels of each cell of a latent frame are a function of: `[B, h w, features]`, the last of them 1."""
    frames = latents[:, :, index] if index == 0 else latents[:, :, index - 1 : index + 1].flatten(1, 2)
    around = F.unfold(frames, REACH, padding=REACH // 2).transpose(1, 2)
    return torch.cat([around, torch.ones_like(around[..., :1])], dim=-1)


def _cells(frames: Tensor, side: int) -> Tensor:
    """Gather the pixels of each cell: `[B, t, H, W, 3]` -> `[B h w, t s s 3]`."""
    batch, count, height, width, _ = frames.shape
    cells = frames.reshape(batch, count, height // side, side, width // side, side, 3)
    return cells.permute(0, 2, 4, 1, 3, 5, 6).reshape(-1, count * side * side * 3).float()
