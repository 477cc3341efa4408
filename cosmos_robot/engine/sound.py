"""Sound latents to samples, through the checkpoint's `Cosmos3AVAEAudioTokenizer`."""

from typing import Any

from torch import Tensor


class SoundTokenizer:
    """The checkpoint's sound decoder and its rates.

    Args:
        tokenizer: a `Cosmos3AVAEAudioTokenizer`.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    @property
    def sample_rate(self) -> int:
        """Samples a second."""
        return int(self._tokenizer.config.sampling_rate)

    @property
    def hop(self) -> int:
        """Samples of one sound frame."""
        return int(self._tokenizer._hop_size)

    def frames(self, num_frames: int, fps: float) -> int:
        """Sound frames beside a video: whole ones, so that the last may reach past its end."""
        return -(-self.samples(num_frames, fps) // self.hop)

    def samples(self, num_frames: int, fps: float) -> int:
        """Samples that a video lasts."""
        return int(num_frames / fps * self.sample_rate)

    def decode(self, latents_BCS: Tensor) -> Tensor:
        """Decode to float32 `[B, channels, N]` in [-1, 1]."""
        dtype = next(self._tokenizer.parameters()).dtype
        samples: Tensor = self._tokenizer.decode(latents_BCS.to(dtype)).float()
        return samples
