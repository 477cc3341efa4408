"""One layer of the generation tower: what comes before attention, attention, and what follows it.

The two parts around attention are regions that torch can compile: norms, rotary embedding, activation and the writing
of keys and values become few kernels. They take the layer as a module, so that all layers share one compiled form, and
diffusers' parameters, adapters and quantised weights are what is computed with.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from diffusers.models.attention_dispatch import dispatch_attention_fn
from torch import Tensor

from cosmos_robot.engine.compiled import compiled
from cosmos_robot.engine.projections import LayerWeights
from cosmos_robot.engine.prompt_group import PromptGroup
from cosmos_robot.engine.rotary import Rotary, rotate

if TYPE_CHECKING:
    from cosmos_robot.engine.generation import GenerationContext

type Room = tuple[Tensor, Tensor]
"""Where keys and values are written: each `[B, N, kv_heads, head_dim]`."""


def project(
    layer: Any, weights: LayerWeights, tokens: Tensor, rotary: Rotary, room: Room | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values of the tokens `[B, N, H]`, normalised and rotated: each `[B, N, heads, head_dim]`.

    Where there is a room, keys and values are written to it.
    """
    attention = layer.self_attn
    normed = layer.input_layernorm_moe_gen(tokens)
    queries = attention.num_attention_heads, attention.head_dim
    shared = attention.num_key_value_heads, attention.head_dim
    if weights[0] is None:
        query, key, value = attention.add_q_proj(normed), attention.add_k_proj(normed), attention.add_v_proj(normed)
    else:
        widths = [queries[0] * queries[1], shared[0] * shared[1], shared[0] * shared[1]]
        query, key, value = torch.split(F.linear(normed, weights[0]), widths, dim=-1)
    query = rotate(attention.norm_added_q(query.unflatten(-1, queries)), rotary)
    key = rotate(attention.norm_added_k(key.unflatten(-1, shared)), rotary)
    value = value.unflatten(-1, shared)
    if room is not None:
        room[0].copy_(key)
        room[1].copy_(value)
    return query, key, value


def finish(layer: Any, weights: LayerWeights, tokens: Tensor, attended: Tensor) -> Tensor:
    """What follows attention: its output projection and the MLP, each added to the tokens `[B, N, H]`."""
    tokens = tokens + layer.self_attn.to_add_out(attended)
    normed, mlp = layer.post_attention_layernorm_moe_gen(tokens), layer.mlp_moe_gen
    if weights[1] is None:
        out: Tensor = tokens + mlp(normed)
        return out
    gate, up = torch.chunk(F.linear(normed, weights[1]), 2, dim=-1)
    out = mlp.down_proj(mlp.act_fn(gate) * up)
    return tokens + out


@dataclass(frozen=True)
class Regions:
    """The two parts around attention, plain or compiled."""

    project: Callable[..., tuple[Tensor, Tensor, Tensor]] = project
    finish: Callable[..., Tensor] = finish

    @classmethod
    def compiled(cls, *, backend: str = "inductor") -> "Regions":
        """Compile both, without a break; a second shape compiles once more, for any size."""
        return cls(
            compiled(project, fullgraph=True, backend=backend),
            compiled(finish, fullgraph=True, backend=backend),
        )


PLAIN = Regions()


def decoder_layer(
    layer: Any, index: int, tokens: Tensor, context: "GenerationContext", regions: Regions = PLAIN
) -> Tensor:
    """One layer of the generation tower: `[B, N, H]` -> `[B, N, H]`."""
    groups, weights = context.groups, context.weights[index]
    # A group that is the whole batch has its keys written by the region itself.
    room = groups[0].behind(index) if len(groups) == 1 and groups[0].room else None
    query, key, value = regions.project(layer, weights, tokens, context.rotary, room)
    projected, processor = (query, key, value), layer.self_attn.processor
    attended = [_attend(group, index, projected, processor, written=room is not None) for group in groups]
    joined = attended[0] if len(attended) == 1 else torch.cat(attended)
    return regions.finish(layer, weights, tokens, joined.flatten(-2, -1))


def _attend(
    group: PromptGroup, index: int, projected: tuple[Tensor, Tensor, Tensor], processor: Any, *, written: bool
) -> Tensor:
    """Full attention of a group's generation tokens over its prompts and themselves, without a mask."""
    query, key, value = (part[group.start : group.stop] for part in projected)
    if not group.room:
        keys = torch.cat([group.keys[index], key], dim=1)
        values = torch.cat([group.values[index], value], dim=1)
    else:
        keys, values = group.keys[index], group.values[index]
        if not written:
            behind = group.behind(index)
            behind[0].copy_(key)
            behind[1].copy_(value)
    parallel = processor._parallel_config
    if parallel is not None:  # diffusers' exchange between devices takes as many heads of keys as of queries
        keys, values = (x.repeat_interleave(query.shape[2] // x.shape[2], dim=2) for x in (keys, values))
    attended: Tensor = dispatch_attention_fn(
        query,
        keys,
        values,
        is_causal=False,
        enable_gqa=parallel is None,
        backend=processor._attention_backend,
        parallel_config=parallel,
    )
    return attended
