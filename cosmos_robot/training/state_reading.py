"""Reads a simulator's states off the middle of the generation tower while it is trained.

Pixels tell a young model little about where its actions lead; a simulator's own state tells it in a few numbers. Two
linear heads read it: off each action token, and off the mean of each latent frame's vision tokens. What they need in
order to be right, the layers after them have for drawing. The heads are used in training alone and are not saved with
the checkpoint.
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from cosmos_robot.engine.layout import TEMPORAL_FACTOR, SequenceLayout


class StateReading(nn.Module):
    """The two heads.

    Args:
        hidden_size: H, of the generation tower.
        states: S, numbers of a state.
        layers: depth of the tower; action tokens are read after half of them, frames after two thirds.
    """

    def __init__(self, hidden_size: int, states: int, layers: int) -> None:
        super().__init__()
        self.after_actions, self.after_frames = max(1, layers // 2), max(1, 2 * layers // 3)
        self.from_actions = nn.Linear(hidden_size, states)
        self.from_frames = nn.Linear(hidden_size, TEMPORAL_FACTOR * states)

    def actions(self, tokens_BNH: Tensor, layout: SequenceLayout) -> Tensor:
        """The state after each action, as its token has it: `[B, A, S]`."""
        states: Tensor = self.from_actions(_normed(tokens_BNH[:, layout.length - layout.action_rows :]))
        return states

    def frames(self, tokens_BNH: Tensor, layout: SequenceLayout) -> Tensor:
        """The states at the four video frames of each latent frame: `[B, T, 4 S]`."""
        frames, height, width = layout.patch_grid
        tokens = rearrange(tokens_BNH[:, : layout.vision_tokens], "b (t n) h -> b t n h", t=frames, n=height * width)
        states: Tensor = self.from_frames(_normed(tokens.mean(2)))
        return states


def reading_loss(read_actions_BAS: Tensor, read_frames_BTS: Tensor, states_BFS: Tensor) -> Tensor:
    """Mean absolute errors of both heads, added.

    Args:
        read_actions_BAS: what was read off the action tokens.
        read_frames_BTS: what was read off the latent frames; the first holds one video frame four times.
        states_BFS: the true states at the A + 1 video frames.
    """
    first = states_BFS[:, :1].repeat(1, TEMPORAL_FACTOR, 1)
    by_frame = rearrange(torch.cat([first, states_BFS[:, 1:]], dim=1), "b (t f) s -> b t (f s)", f=TEMPORAL_FACTOR)
    of_actions = F.l1_loss(read_actions_BAS.float(), states_BFS[:, 1:])
    return of_actions + F.l1_loss(read_frames_BTS.float(), by_frame)


def _normed(tokens: Tensor) -> Tensor:
    return F.rms_norm(tokens.float(), tokens.shape[-1:])
