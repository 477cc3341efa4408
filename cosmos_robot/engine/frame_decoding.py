"""From clean latents to frames, on the host or left on the device: what every mode ends with."""

from dataclasses import dataclass

import torch
from torch import Tensor

from cosmos_robot.engine.autoencoder import Autoencoder
from cosmos_robot.engine.host_copy import collect, to_uint8
from cosmos_robot.engine.preview_decoder import PreviewDecoder
from cosmos_robot.types import FloatArray, Frames


@dataclass(frozen=True, eq=False)
class FrameDecoder:
    """Decodes batches, as many items at once as the memory holds.

    Attributes:
        autoencoder: the checkpoint's.
        previews: what decodes in its place, by the preset "preview".
        overlap: whether frames go to the host while the next are decoded.
    """

    autoencoder: Autoencoder
    previews: PreviewDecoder | None
    overlap: bool

    def to_host(self, latents_BCTHW: Tensor, *, as_float: bool) -> list[Frames | FloatArray]:
        """Decode to one clip `[T, H, W, 3]` for each item: uint8, or float32 in [0, 1]."""
        clips: list[Frames | FloatArray] = []
        for part in self._parts(latents_BCTHW):
            clips += collect(self._decoder.stream(part), as_float=as_float, overlap=self.overlap)
        return clips

    def on_device(self, latents_BCTHW: Tensor, *, as_float: bool) -> list[Tensor]:
        """The same as tensors where they were decoded."""
        clips: list[Tensor] = []
        for part in self._parts(latents_BCTHW):
            pieces = [piece if as_float else to_uint8(piece) for piece in self._decoder.stream(part)]
            clips += torch.cat(pieces, dim=1)
        return clips

    @property
    def _decoder(self) -> Autoencoder | PreviewDecoder:
        return self.previews or self.autoencoder

    def _parts(self, latents: Tensor) -> tuple[Tensor, ...]:
        return torch.split(latents, self.autoencoder.items_at_once(latents)) if len(latents) else ()
