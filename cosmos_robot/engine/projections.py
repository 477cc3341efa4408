"""Projections that read the same tokens, as one matrix product: query, key, value; and gate, up.

The parameters stay diffusers' own. Their values are moved into one piece of memory, and each parameter becomes a view
of its part: a weight that is loaded, trained or saved is the one that is multiplied with, and nothing is held twice.
What is no plain linear layer (an adapter of peft, a quantised weight) is left as it is and called as a module.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

type LayerWeights = tuple[Tensor | None, Tensor | None]
"""A layer's merged weights, `[q + k + v, hidden]` and `[gate + up, hidden]`; None where the modules are called."""

UNMERGED: LayerWeights = (None, None)


class MergedProjections:
    """Merges the generation tower's projections, and notices when they are replaced.

    Args:
        layers: of a `Cosmos3OmniTransformer`.
    """

    def __init__(self, layers: Iterable[Any]) -> None:
        self._layers = list(layers)
        self._merged: dict[tuple[int, str], Tensor] = {}

    def weights(self) -> tuple[LayerWeights, ...]:
        """The merged weights of each layer as they are now.

        Gradients would not flow through them: where they are enabled nothing is merged.
        """
        if torch.is_grad_enabled():
            return (UNMERGED,) * len(self._layers)
        return tuple(self._layer(index, layer) for index, layer in enumerate(self._layers))

    def _layer(self, index: int, layer: Any) -> LayerWeights:
        attention, mlp = layer.self_attn, layer.mlp_moe_gen
        qkv = attention.add_q_proj, attention.add_k_proj, attention.add_v_proj
        gate_up = (mlp.gate_proj, mlp.up_proj) if mlp.hidden_act == "silu" else ()
        return self._merge((index, "qkv"), qkv), self._merge((index, "gate_up"), gate_up)

    def _merge(self, key: tuple[int, str], modules: Sequence[nn.Module]) -> Tensor | None:
        if not modules or not all(is_plain_linear(module) for module in modules):
            self._merged.pop(key, None)
            return None
        parameters = [module.weight for module in modules if isinstance(module, nn.Linear)]
        merged = self._merged.get(key)
        if merged is None or not _are_parts(merged, parameters):
            merged = self._merged[key] = _join(parameters)
        return merged


def _join(parameters: Sequence[Tensor]) -> Tensor:
    """One tensor of all, which the parameters become parts of, unless another engine has joined them before."""
    first = parameters[0].detach()
    rows = sum(len(parameter) for parameter in parameters)
    if (
        _are_parts(first, parameters)
        and first.untyped_storage().nbytes() >= (first.storage_offset() + rows * first.shape[1]) * first.element_size()
    ):
        return first.as_strided((rows, first.shape[1]), first.stride())
    merged = torch.cat([parameter.detach() for parameter in parameters])
    for parameter, part in zip(parameters, torch.split(merged, [len(p) for p in parameters]), strict=True):
        parameter.data = part
    return merged


def is_plain_linear(module: nn.Module) -> bool:
    """Whether calling a module is a product with its weight and nothing else."""
    return (
        type(module) is nn.Linear
        and module.bias is None
        and type(module.weight.data) is Tensor
        and is_untouched(module)
    )


def is_untouched(module: nn.Module) -> bool:
    """Whether a call runs the class's own forward and nothing around it: no hook, none of accelerate's either."""
    return not module._forward_hooks and not module._forward_pre_hooks and "forward" not in vars(module)


def _are_parts(merged: Tensor, parameters: Sequence[Tensor]) -> bool:
    """Whether the parameters still lie in the merged weight, one behind the other."""
    place = merged.data_ptr()
    for parameter in parameters:
        if parameter.data_ptr() != place or parameter.dtype != merged.dtype or parameter.device != merged.device:
            return False
        place += parameter.numel() * parameter.element_size()
    return True


def weights_signature(modules: Iterable[nn.Module]) -> tuple[object, ...] | None:
    """Tell whether recorded kernels still read the right memory: the same signature, the same memory.

    Returns:
        None where a module is not torch's or diffusers' own or has hooks: what it does may depend on switches that no
        pointer shows, such as the scale of an adapter.
    """
    seen: list[object] = []
    for module in modules:
        own = type(module).__module__.startswith(("torch.nn.", "diffusers."))
        if not own or not is_untouched(module):
            return None
        for parameter in module._parameters.values():
            if parameter is not None:
                plain = type(parameter.data) is Tensor
                seen.append((id(parameter), parameter.data_ptr() if plain else 0))
    return tuple(seen)
