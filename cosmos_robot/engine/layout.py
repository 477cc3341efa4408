"""The sequence that the generation tower reads: which tokens stand where, at which positions, clean or noisy.

The joint sequence of Cosmos 3 is `[text | vision | sound | action]`. The text is the understanding tower's; what is
laid out here follows it. Positions are diffusers' own (`get_3d_mrope_ids_vae_tokens`): height and width start at 0,
time starts a margin after the text and runs in units of 24 frames a second, so that action `i` lines up with video
frame `i + 1`, and a sound frame with what is seen while it is heard.
"""

import math
from dataclasses import dataclass

import torch
from diffusers.pipelines.cosmos.pipeline_cosmos3_omni import get_3d_mrope_ids_vae_tokens
from torch import Tensor

from cosmos_robot.types import ModelInput

TEMPORAL_FACTOR = 4
"""Video frames of one latent frame; the first latent frame holds one."""


@dataclass(frozen=True)
class SequenceLayout:
    """What is generated in one pass, without the text.

    Attributes:
        latent_grid: (T, H, W) of the vision latent.
        patch_size: latent cells along each side of one vision token.
        clean_latent_frames: the leading latent frames that are given; the rest is noise.
        clean_later_frames: indices of given latent frames behind those, as video-to-video may name them.
        sound_frames: sound tokens, 0 for a silent mode; all of them are noise.
        action_rows: action tokens, 0 for a mode without actions.
        clean_action_rows: the leading action tokens that are given.
        action_offset: video frame of action row 0: 1, or 0 where row 0 is the initial state.
    """

    latent_grid: tuple[int, int, int]
    patch_size: int
    clean_latent_frames: int
    clean_later_frames: tuple[int, ...] = ()
    sound_frames: int = 0
    action_rows: int = 0
    clean_action_rows: int = 0
    action_offset: int = 1

    @classmethod
    def of(cls, request: ModelInput, *, patch_size: int) -> "SequenceLayout":
        """Lay out an action mode (facts: masks of section 2.1, alignment of section 2.2)."""
        chunk = request.action_chunk_size
        latent_frames = chunk // TEMPORAL_FACTOR + 1
        state_rows = 0 if request.state is None else 1
        return cls(
            latent_grid=(latent_frames, *request.canvas.latent),
            patch_size=patch_size,
            clean_latent_frames=latent_frames if request.mode == "inverse_dynamics" else 1,
            action_rows=chunk + state_rows,
            clean_action_rows=chunk + state_rows if request.mode == "forward_dynamics" else state_rows,
            action_offset=1 - state_rows,
        )

    @property
    def patch_grid(self) -> tuple[int, int, int]:
        """(T, H, W) in vision tokens; odd latent sides are padded up to a whole token."""
        frames, height, width = self.latent_grid
        return frames, math.ceil(height / self.patch_size), math.ceil(width / self.patch_size)

    @property
    def vision_tokens(self) -> int:
        """Number of vision tokens."""
        return math.prod(self.patch_grid)

    @property
    def length(self) -> int:
        """Number of generation tokens."""
        return self.vision_tokens + self.sound_frames + self.action_rows

    @property
    def clean_frames(self) -> tuple[int, ...]:
        """Indices of the latent frames that are given."""
        return (*range(self.clean_latent_frames), *self.clean_later_frames)

    @property
    def generates_vision(self) -> bool:
        """Whether any latent frame is noise."""
        return len(self.clean_frames) < self.latent_grid[0]

    @property
    def generates_actions(self) -> bool:
        """Whether any action row is noise."""
        return self.clean_action_rows < self.action_rows

    def noisy_tokens(self) -> Tensor:
        """Mask of the noisy generation tokens: bool `[length]`."""
        frames = torch.ones(self.latent_grid[0], dtype=torch.bool)
        frames[list(self.clean_frames)] = False
        vision = frames.repeat_interleave(self.patch_grid[1] * self.patch_grid[2])
        sound = torch.ones(self.sound_frames, dtype=torch.bool)
        action = torch.arange(self.action_rows) >= self.clean_action_rows
        return torch.cat([vision, sound, action])

    def positions(self, *, prompt_length: int, fps: float, config: "PositionConfig") -> Tensor:
        """3-D mRoPE positions of the generation tokens after a prompt: float32 `[3, length]`."""

        def segment(grid: tuple[int, int, int], rate: float, **timing: int) -> Tensor:
            ids: Tensor = get_3d_mrope_ids_vae_tokens(
                *grid,
                temporal_offset=prompt_length + config.margin,
                reset_spatial_indices=config.reset_spatial,
                fps=rate if config.fps_modulation else None,
                base_fps=config.base_fps,
                **timing,
            )[0]
            return ids.float()

        segments = [segment(self.patch_grid, fps, temporal_compression_factor=TEMPORAL_FACTOR)]
        if self.sound_frames:
            segments.append(segment((self.sound_frames, 1, 1), config.sound_fps, temporal_compression_factor=1))
        if self.action_rows:
            segments.append(
                segment(
                    (self.action_rows, 1, 1),
                    fps,
                    temporal_compression_factor=1,
                    base_temporal_compression_factor=TEMPORAL_FACTOR,
                    start_frame_offset=self.action_offset,
                )
            )
        return torch.cat(segments, dim=1)


@dataclass(frozen=True)
class PositionConfig:
    """The part of a transformer's configuration that decides positions."""

    margin: int
    base_fps: float
    fps_modulation: bool
    reset_spatial: bool
    sound_fps: float = 25.0
