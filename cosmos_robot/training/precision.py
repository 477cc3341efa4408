"""Matrix products in bfloat16, where they are faster than in float32."""

import torch


def bfloat16_pays(device_type: str) -> bool:
    """Whether a device multiplies in bfloat16 with instructions of its own.

    A processor without them works bfloat16 out in float32, several times as slowly as float32 itself.

    Args:
        device_type: "cpu", "cuda" and so on.
    """
    if device_type != "cpu":
        return True
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def bfloat16_where_it_pays(device_type: str, *, wanted: bool = True) -> torch.autocast:
    """Autocast to bfloat16 on devices where that is faster.

    Args:
        device_type: "cpu", "cuda" and so on.
        wanted: False leaves everything as it is.
    """
    return torch.autocast(device_type, dtype=torch.bfloat16, enabled=wanted and bfloat16_pays(device_type))
