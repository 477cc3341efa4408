"""The prompts' keys and values as a step's attention reads them, with room for the step's own behind them.

Neighbours in a batch whose prompts are equally long form a group: their attention is one dense call, with no mask and
no padding. Prompts of several lengths in one batch make as many calls a layer, everything else stays one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from cosmos_robot.engine.understanding import PromptKeys

ROOM_BYTES = 4 << 30
"""The most that rooms may take. Beyond it attention costs far more than the copy that they save."""


@dataclass(frozen=True, eq=False)
class PromptGroup:
    """Neighbours in the batch whose prompts are equally long.

    Attributes:
        start: first item.
        stop: one past the last item.
        length: L, tokens of a prompt.
        keys: for each layer `[stop - start, L + room, kv_heads, head_dim]`, the prompt's first.
        values: likewise.
        room: generation tokens that there is memory for behind the prompt's; 0 is none.
    """

    start: int
    stop: int
    length: int
    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
    room: int = 0

    def with_room(self, tokens: int) -> "PromptGroup":
        """Copy the prompts' part into memory that has room for so many generation tokens behind it; 0 is none."""

        def roomy(layers: Sequence[Tensor]) -> tuple[Tensor, ...]:
            made = []
            for layer in layers:
                buffer = layer.new_empty((layer.shape[0], self.length + tokens, *layer.shape[2:]))
                buffer[:, : self.length] = layer
                made.append(buffer)
            return tuple(made)

        return PromptGroup(self.start, self.stop, self.length, roomy(self.keys), roomy(self.values), tokens)

    def load(self, other: "PromptGroup") -> None:
        """Take over the prompts of a group of the same size and length, in place."""
        for mine, theirs in ((self.keys, other.keys), (self.values, other.values)):
            for buffer, layer in zip(mine, theirs, strict=True):
                buffer[:, : self.length] = layer[:, : self.length]

    def behind(self, index: int) -> tuple[Tensor, Tensor]:
        """Where a layer's own keys and values go: each `[stop - start, room, kv_heads, head_dim]`."""
        return self.keys[index][:, self.length :], self.values[index][:, self.length :]

    @property
    def bytes_a_token(self) -> int:
        """Of the keys and values of one token of every item."""
        layer = self.keys[0]
        return 2 * len(self.keys) * layer.shape[0] * layer.shape[2] * layer.shape[3] * layer.element_size()


def group_by_length(prompts: Sequence[PromptKeys]) -> tuple[PromptGroup, ...]:
    """Group neighbours; nothing is copied for a prompt that they share."""
    groups, start = [], 0
    for length, run in groupby(prompts, key=lambda prompt: prompt.length):
        members = list(run)
        stop = start + len(members)
        keys = _gather([member.keys for member in members])
        values = _gather([member.values for member in members])
        groups.append(PromptGroup(start, stop, length, keys, values))
        start = stop
    return tuple(groups)


def fits_in_room(groups: Sequence[PromptGroup], tokens: int) -> bool:
    """Whether rooms for so many generation tokens stay within `ROOM_BYTES`."""
    return sum(group.bytes_a_token * (group.length + tokens) for group in groups) <= ROOM_BYTES


def _gather(members: list[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    """Put the items' tensors of each layer on a batch axis; one prompt shared by all is expanded, not copied."""
    if all(member is members[0] for member in members):
        return tuple(layer.unsqueeze(0).expand(len(members), -1, -1, -1) for layer in members[0])
    return tuple(torch.stack(layers) for layers in zip(*members, strict=True))
