"""The understanding tower in the host's memory: half of a checkpoint's weights, read only when a prompt is new.

A prompt's keys and values are kept, so that the tower's own weights are idle from then on. Here they stay with the
host, and a layer's are lent to the device while that layer is computed: a new prompt costs one trip of the weights over
the bus, the device never holds more than one layer. Super's generation tower then fits on one card of 141 GB, Nano's on
one of 24 GB.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

UNDERSTANDING = re.compile(
    r"(embed_tokens|norm|lm_head)\.|layers\.\d+\."
    r"(input_layernorm\.|post_attention_layernorm\.|mlp\.|self_attn\.(to_[qkv]|to_out|norm_[qk]|k_norm_und_for_gen)\.)"
)
"""Names, from their beginning, of the understanding tower's parameters and of the reasoner's head."""


def is_understanding(name: str) -> bool:
    """Whether a parameter of `Cosmos3OmniTransformer` belongs to the understanding tower."""
    return UNDERSTANDING.match(name) is not None


def place_towers(transformer: nn.Module, device: torch.device) -> None:
    """Move the generation tower to a device and the understanding tower to the host, each parameter once."""
    for name, parameter in transformer.named_parameters():
        parameter.data = parameter.data.to("cpu" if is_understanding(name) else device)
    for buffer_name, buffer in list(transformer.named_buffers()):
        owner, _, leaf = buffer_name.rpartition(".")
        transformer.get_submodule(owner)._buffers[leaf] = buffer.to(device)


def understanding_parts(layer: Any) -> list[nn.Module]:
    """The modules of a decoder layer that the understanding tower calls."""
    attention = layer.self_attn
    names = ("to_q", "to_k", "to_v", "to_out", "norm_q", "norm_k", "k_norm_und_for_gen")
    parts = [layer.input_layernorm, layer.post_attention_layernorm, layer.mlp]
    return parts + [part for name in names if isinstance(part := getattr(attention, name, None), nn.Module)]


@contextmanager
def lent(modules: Sequence[nn.Module], device: torch.device) -> Iterator[None]:
    """Give modules their weights on a device for a while; afterwards they have the host's again, the very same."""
    parameters = [parameter for module in modules for parameter in module.parameters()]
    own = [parameter.data for parameter in parameters]
    try:
        for parameter in parameters:
            parameter.data = parameter.data.to(device, non_blocking=True)
        yield
    finally:
        for parameter, tensor in zip(parameters, own, strict=True):
            parameter.data = tensor
