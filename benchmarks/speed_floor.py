"""What a device could do at best: its peak rates, measured, and the least time that a case's work takes at them."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from cosmos_robot.benchmarks.random_checkpoint import RandomCheckpoint
from cosmos_robot.benchmarks.speed_cases import Case, action_request
from cosmos_robot.engine.causal_blocks import History, norm_silu
from cosmos_robot.engine.causal_decoder import CausalDecoder
from cosmos_robot.engine.causal_encoder import CausalEncoder
from cosmos_robot.engine.layout import SequenceLayout

PROMPT_TOKENS = 125
"""About what an action caption has; its share of the work is small."""


@dataclass(frozen=True)
class Peaks:
    """Rates that were reached on this device, in this run.

    Attributes:
        matmul: FLOP/s of large matrix products, in the precision of the run.
        float8: likewise in 8-bit floating point; None where the device has none.
        attention: FLOP/s of long attention.
        bandwidth: bytes a second, read and written, of a copy that no cache holds.
    """

    matmul: float
    float8: float | None
    attention: float
    bandwidth: float


@dataclass(frozen=True)
class Work:
    """What a case has to compute at least.

    Attributes:
        step: FLOPs of one denoising step of the whole batch.
        weights: bytes of the generation tower, which every step reads.
        autoencoder: FLOPs of what is encoded and decoded.
        attention: FLOPs of attention, which are in `step` too.
    """

    step: float
    weights: float
    autoencoder: float
    attention: float = 0.0

    def of(self, batch: int) -> "Work":
        """So many times what one item takes; the weights are read once."""
        return Work(batch * self.step, self.weights, batch * self.autoencoder, batch * self.attention)

    def step_floor(self, peaks: Peaks, *, float8: bool = False) -> float:
        """Least seconds of a denoising step; in 8-bit floating point of one whose linear layers are."""
        if float8 and peaks.float8 is not None:
            computing = (self.step - self.attention) / peaks.float8 + self.attention / peaks.matmul
            return max(computing, self.weights / 2 / peaks.bandwidth)
        return max(self.step / peaks.matmul, self.weights / peaks.bandwidth)

    def rest_floor(self, peaks: Peaks) -> float:
        """Least seconds of what is no denoising step."""
        return self.autoencoder / peaks.matmul

    def chunk_floor(self, peaks: Peaks, num_steps: int, *, float8: bool = False) -> float:
        """Least seconds of a whole answer."""
        return num_steps * self.step_floor(peaks, float8=float8) + self.rest_floor(peaks)


def measure_peaks(
    device: torch.device,
    dtype: torch.dtype,
    *,
    tiny: bool = False,
    now: Callable[[], float] = time.perf_counter,
) -> Peaks:
    """Measure the rates; a second or two on a GPU."""
    cuda = device.type == "cuda"
    side, tokens = (8192, 8192) if cuda else (256, 256) if tiny else (1024, 1024)
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    heads = torch.randn(1, 32 if cuda else 4, tokens, 128, device=device, dtype=dtype)
    block = torch.empty((1 << 30) if cuda else (1 << 23) if tiny else (1 << 27), device=device, dtype=torch.uint8)
    other = torch.empty_like(block)
    return Peaks(
        matmul=2 * side**3 / best_time(lambda: left @ right, device, now=now),
        float8=_float8(side, device) if cuda and torch.cuda.get_device_capability(device) >= (8, 9) else None,
        attention=4
        * heads.shape[1]
        * tokens**2
        * 128
        / best_time(lambda: F.scaled_dot_product_attention(heads, heads, heads), device, now=now),
        bandwidth=2 * block.numel() / best_time(lambda: other.copy_(block), device, now=now),
    )


def _float8(side: int, device: torch.device) -> float:
    left = torch.randn(side, side, device=device).to(torch.float8_e4m3fn)
    right = torch.randn(side, side, device=device).to(torch.float8_e4m3fn).t()
    rows = torch.ones(side, 1, device=device)
    columns = torch.ones(1, side, device=device)

    def product() -> object:
        return torch._scaled_mm(left, right, scale_a=rows, scale_b=columns, out_dtype=torch.bfloat16)

    return 2 * side**3 / best_time(product, device)


def best_time(
    work: Callable[[], object],
    device: torch.device,
    repeats: int = 8,
    now: Callable[[], float] = time.perf_counter,
) -> float:
    """Least seconds of a repetition, after one that is not counted."""
    work()
    times = []
    for _ in range(repeats):
        wait(device)
        start = now()
        work()
        wait(device)
        times.append(now() - start)
    return min(times)


def wait(device: torch.device) -> None:
    """Wait for what the device still has to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def work_of(case: Case, form: RandomCheckpoint, itemsize: int) -> Work:
    """Count a case's FLOPs: the generation tower's by its formula, the autoencoder's on tensors without memory."""
    if case.mode == "text2video":
        grid, rows = (case.chunk // 4 + 1, case.height // 16, case.width // 16), 0
        pixels = (case.height, case.width)
    else:
        request = action_request(case, 0, case.num_steps)
        layout = SequenceLayout.of(request, patch_size=2)
        grid, rows, pixels = layout.latent_grid, layout.action_rows, request.canvas.padded
    layout = SequenceLayout(latent_grid=grid, patch_size=2, clean_latent_frames=1, action_rows=rows)
    width, kv_width = form.heads * form.head_dim, form.kv_heads * form.head_dim
    linear = form.hidden * (2 * width + 2 * kv_width + 3 * form.intermediate)
    attention = 2 * layout.length * (layout.length + PROMPT_TOKENS) * width
    step = 2.0 * case.batch * form.layers * (layout.length * linear + attention)
    attending = 2.0 * case.batch * form.layers * attention
    encoded = {"text2video": 0, "inverse_dynamics": case.chunk + 1}.get(case.mode, 1)
    decoded = 0 if case.mode == "inverse_dynamics" else grid[0]
    flops = case.batch * _autoencoder_flops(form, encoded, pixels, decoded, grid[1:])
    return Work(step, form.layers * linear * itemsize, flops, attending)


def _autoencoder_flops(
    form: RandomCheckpoint, encoded: int, pixels: tuple[int, int], decoded: int, cells: tuple[int, int]
) -> float:
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        vae = form.autoencoder()
        if encoded:
            CausalEncoder(vae, norm_silu)(torch.empty(1, 3, encoded, *pixels))
        decoder, history = CausalDecoder(vae, norm_silu), History()
        for _ in range(decoded):
            decoder(torch.empty(1, form.z_dim, *cells), history)
    return float(counter.get_total_flops())
