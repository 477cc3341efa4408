"""The generation tower's linear layers in 8-bit floating point, by torchao."""

import re
from typing import Any

import torch
from torch import nn

from cosmos_robot.errors import DeviceError, InvalidInputError, MissingDependencyError

CAPABILITY = (8, 9)
"""The least compute capability with 8-bit floating-point matrix products (Ada, Hopper)."""

INSIDE = re.compile(r"layers\.(\d+)\.(self_attn\.(add_[qkv]_proj|to_add_out)|mlp_moe_gen\.(gate|up|down)_proj)")


def float8_layers(transformer: Any) -> list[str]:
    """Names of the linear layers that are quantised: the generation tower's, but for the first and the last layer."""
    last = len(transformer.layers) - 1
    named = ((name, INSIDE.fullmatch(name)) for name, module in transformer.named_modules() if _is_linear(module))
    return [name for name, match in named if match and 0 < int(match[1]) < last]


def quantise(transformer: Any) -> None:
    """Quantise weights now and activations as they come, both scaled by row.

    Raises:
        DeviceError: if the device has no 8-bit matrix products.
        InvalidInputError: if the weights are not bfloat16, which torchao asks for.
        MissingDependencyError: if torchao is not installed.
    """
    weight = transformer.proj_in.weight
    if weight.device.type != "cuda" or torch.cuda.get_device_capability(weight.device) < CAPABILITY:
        raise DeviceError(
            "the preset 'fp8' needs a CUDA device of compute capability 8.9 or more (H100, H200, L40S, RTX 4090); "
            "use the preset 'exact' here."
        )
    if weight.dtype != torch.bfloat16:
        raise InvalidInputError(f"the preset 'fp8' needs dtype='bfloat16'; got {weight.dtype}.")
    try:
        from torchao.quantization import Float8DynamicActivationFloat8WeightConfig, PerRow, quantize_
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "the preset 'fp8' needs torchao; get it with pip install 'cosmos-robot[fp8]'."
        ) from error
    chosen = set(float8_layers(transformer))
    config = Float8DynamicActivationFloat8WeightConfig(granularity=PerRow())
    quantize_(transformer, config, filter_fn=lambda module, name: name in chosen)


def _is_linear(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear)
