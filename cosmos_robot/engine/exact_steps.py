"""What makes the engine quick without changing what it answers, each step by itself.

All of them are on where the device has them; `benchmarks/speed.py` adds them one by one. None changes a figure beyond
the order of floating-point sums. What does is a preset; see `presets`.
"""

import logging
import shutil
from dataclasses import dataclass, fields, replace
from importlib.util import find_spec

import torch

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExactSteps:
    """Which steps are taken. None decides by the device.

    Attributes:
        causal_autoencoder: the autoencoder channels last, frame by frame; else diffusers' own passes.
        merged_projections: query, key and value in one matrix product, gate and up in another.
        key_value_buffers: the step's keys and values are written behind the prompt's, not concatenated.
        graphs: a denoising step is recorded as a CUDA graph when its shapes come for the second time. None: on CUDA.
        compiled: norms, rotary embedding and activations are compiled with torch. None: on CUDA where triton and a C
            compiler are installed, which torch needs for that.
        overlapped_copies: frames go to the host while the next are decoded.
        graph_capacity: recorded loops that are kept, the least recently used given up first.
        offload_understanding: the understanding tower stays in the host's memory and comes to the device a layer at a
            time, when a new prompt is read: half of the weights. On request only, because a new prompt then waits.
    """

    causal_autoencoder: bool = True
    merged_projections: bool = True
    key_value_buffers: bool = True
    graphs: bool | None = None
    compiled: bool | None = None
    overlapped_copies: bool = True
    graph_capacity: int = 8
    offload_understanding: bool = False

    @classmethod
    def none(cls) -> "ExactSteps":
        """No step: what the others are measured against."""
        switches = {field.name: False for field in fields(cls) if field.name != "graph_capacity"}
        return cls(**switches)

    def on(self, device: torch.device) -> "ExactSteps":
        """Decide what is left to the device."""
        cuda = device.type == "cuda"
        compiled = self.compiled
        if compiled is None:
            compiled = cuda and _can_compile()
            if cuda and not compiled:
                logger.info("no triton or no C compiler is installed: norms and activations run uncompiled")
        return replace(self, graphs=cuda if self.graphs is None else self.graphs, compiled=compiled)


def _can_compile() -> bool:
    return find_spec("triton") is not None and any(shutil.which(name) for name in ("cc", "gcc", "clang"))
