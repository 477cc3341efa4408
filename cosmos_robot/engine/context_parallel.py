"""One long video on several devices: each holds a part of the tokens, diffusers' attention exchanges them.

    transformer.enable_parallelism(config=ContextParallelConfig(ulysses_degree=4, ulysses_anything=True), cp_plan={})

is diffusers' own switch, in processes that torchrun has started; the engine sees it and splits its tokens. The prompts'
keys and values are split alike. Every process draws the same noise and has the whole result.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from cosmos_robot.engine.prompt_group import PromptGroup


@dataclass(frozen=True, eq=False)
class SequenceShards:
    """How a sequence is split among processes: in one piece for each, as equal as they can be.

    Attributes:
        parallel: diffusers' `ParallelConfig`, which its attention is called with.
        group: the processes.
    """

    parallel: Any
    group: Any

    @classmethod
    def of(cls, transformer: Any) -> "SequenceShards | None":
        """Find what diffusers was told; None without context parallelism."""
        parallel = transformer._parallel_config
        context = None if parallel is None else parallel.context_parallel_config
        return None if context is None else cls(parallel, context._flattened_mesh.get_group())

    @property
    def count(self) -> int:
        """Number of processes."""
        return dist.get_world_size(self.group)

    def mine(self, x: Tensor) -> Tensor:
        """This process's part of the tokens: `[B, N, ...]` -> `[B, n, ...]`."""
        return torch.tensor_split(x, self.count, dim=1)[dist.get_rank(self.group)]

    def of_prompts(self, group: PromptGroup) -> PromptGroup:
        """This process's part of the prompts' keys and values."""
        keys, values = (tuple(self.mine(layer) for layer in layers) for layers in (group.keys, group.values))
        return PromptGroup(group.start, group.stop, keys[0].shape[1], keys, values)

    def whole(self, x: Tensor, length: int) -> Tensor:
        """Gather what every process has: `[B, n, ...]` -> `[B, length, ...]`."""
        widest = -(-length // self.count)
        padded = x.new_zeros((x.shape[0], widest, *x.shape[2:]))
        padded[:, : x.shape[1]] = x
        parts = [torch.empty_like(padded) for _ in range(self.count)]
        dist.all_gather(parts, padded, group=self.group)
        sizes = [len(part) for part in torch.tensor_split(torch.arange(length), self.count)]
        return torch.cat([part[:, :size] for part, size in zip(parts, sizes, strict=True)], dim=1)
