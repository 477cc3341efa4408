"""What a run was made of, so that its rows are never mixed with others': digests, versions, the machine."""

import hashlib
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from cosmos_robot.benchmarks.run_episodes import run_episodes_folder
from cosmos_robot.benchmarks.weights_digest import weights_digest
from cosmos_robot.datasets.lerobot_files import HUB_ID

_PART = 1 << 20
_WHOLE = 64 * _PART

SERVICE = "a service"
"""The device of a world model that is asked over the network: what it computes on is not known here."""


def checkpoint_digest(checkpoint: str | None) -> str:
    """What tells a checkpoint from every other: a digest of its weights, its commit on the Hub, or "service"."""
    found = weights_digest(checkpoint)
    if found is not None:
        return found
    if checkpoint is None or "://" in checkpoint or not HUB_ID.fullmatch(checkpoint):
        return "service"  # its weights cannot be looked at
    from huggingface_hub import snapshot_download

    return f"hub:{Path(snapshot_download(checkpoint, allow_patterns=['model_index.json'])).name}"


def episodes_digest(source: str) -> str:
    """A digest of all files of a dataset, or its commit on the Hub.

    Files are read whole up to 64 MiB, of larger ones name, size, first and last MiB.
    """
    place = run_episodes_folder(source)
    if place is None:
        from cosmos_robot.datasets.lerobot_files import hub_files

        return f"hub:{hub_files(source).root.name}"
    files = [place] if place.is_file() else sorted(path for path in place.rglob("*") if path.is_file())
    digest = hashlib.sha256()
    for path in files:
        size = path.stat().st_size
        name = path.name if place.is_file() else path.relative_to(place).as_posix()
        digest.update(f"{name} {size}\n".encode())
        with path.open("rb") as file:
            if size <= _WHOLE:
                digest.update(file.read())
            else:
                digest.update(file.read(_PART))
                file.seek(size - _PART)
                digest.update(file.read(_PART))
    return digest.hexdigest()[:16]


@cache
def machine(device: str | None = None) -> dict[str, Any]:
    """The machine, the versions and the commit; in every row, because a run may go on elsewhere.

    Args:
        device: torch device that the rows are measured on, or `SERVICE`; None is the first GPU where there is one.
    """
    import torch

    return {
        "host": platform.node(),
        "device": _device(device, gpu=torch.cuda.is_available()),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "diffusers": _version("diffusers"),
        "cosmos_robot": _version("cosmos-robot"),
        "commit": _commit(),
    }


def _device(device: str | None, *, gpu: bool) -> str:
    if device == SERVICE:
        return SERVICE
    if device == "cpu" or not gpu:
        return _processor()
    import torch

    return torch.cuda.get_device_name(device)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    command = ["git", "-C", str(Path(__file__).resolve().parent), "rev-parse", "--short", "HEAD"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:  # no git here
        return None
    return result.stdout.strip() or None
