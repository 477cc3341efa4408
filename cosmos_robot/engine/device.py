"""Where to compute and in what precision, and whether the weights will fit."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from cosmos_robot.errors import DeviceError, InvalidInputError

DTYPES = {
    "float32": torch.float32,
    "fp32": torch.float32,
    "bfloat16": torch.bfloat16,
    "bf16": torch.bfloat16,
}


def resolve_device(device: str | torch.device | None) -> torch.device:
    """Turn a device's name into a device that is there; None takes CUDA where there is one.

    Raises:
        DeviceError: if CUDA is asked for where there is none, or a device of that number.
        InvalidInputError: if it is neither "cpu" nor "cuda".
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        wanted = torch.device(device)
    except RuntimeError as error:
        raise InvalidInputError(f"unknown device {device!r}; expected cpu, cuda or cuda:N.") from error
    if wanted.type not in ("cpu", "cuda"):
        raise InvalidInputError(f"device {wanted.type!r} is not supported; use cpu or cuda.")
    if wanted.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (wanted.index or 0) >= count:
            raise DeviceError(
                f"device {str(wanted)!r} was asked for, but this machine has "
                f"{f'only {count} CUDA device(s)' if count else 'no CUDA device'}; use device='cpu'."
            )
    return wanted


def resolve_dtype(dtype: str | torch.dtype | None, device: torch.device) -> torch.dtype:
    """Turn a precision's name into a dtype; None takes bfloat16 on CUDA and float32 on the CPU.

    Raises:
        InvalidInputError: if it is neither float32 nor bfloat16.
    """
    if dtype is None:
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    if isinstance(dtype, torch.dtype):
        dtype = str(dtype).removeprefix("torch.")
    if dtype not in DTYPES:
        raise InvalidInputError(f"unknown dtype {dtype!r}; expected float32 or bfloat16.")
    return DTYPES[dtype]


def free_memory(device: torch.device) -> int:
    """Bytes that can still be had on a device: what is free there, and what torch holds there without using it."""
    if device.type == "cuda":
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + held
    import psutil

    return int(psutil.virtual_memory().available)


def total_memory(device: torch.device) -> int:
    """Bytes of a device's memory."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[1]
    import psutil

    return int(psutil.virtual_memory().total)


def require_memory(needed: int, device: torch.device, *, what: str) -> None:
    """Refuse before loading what will not fit.

    Raises:
        DeviceError: with both figures.
    """
    free = free_memory(device)
    if needed > free:
        raise DeviceError(
            f"{what} takes {say_bytes(needed)} on {device}, where {say_bytes(free)} are free; "
            f"use dtype='bfloat16', a smaller checkpoint or a device with more memory."
        )


@contextmanager
def saying_out_of_memory(device: torch.device, what: str) -> Iterator[None]:
    """Have a generation that does not fit say what was too much, and give back what it took.

    Args:
        device: that computes.
        what: is generated, see `say_work`.

    Raises:
        DeviceError: in place of torch's `OutOfMemoryError`.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        traceback.clear_frames(error.__traceback__)  # whoever keeps the error would keep their tensors
        raise DeviceError(
            f"{device} has too little memory, {say_bytes(total_memory(device))}, for {what}; "
            f"use fewer items at once, fewer frames, a smaller size or a device with more memory."
        ) from None


def say_work(items: int, frames: int, size: tuple[int, int]) -> str:
    """Format what one pass generates: items of so many frames, of so many pixels in height and width."""
    return f"{items} item(s) of {frames} frame(s) at {size[0]}x{size[1]}"


def say_bytes(count: int) -> str:
    """Format a number of bytes for a person."""
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
