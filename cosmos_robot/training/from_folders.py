"""Post-training from folders to a folder: a checkpoint and recordings go in, a checkpoint or adapters come out."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from cosmos_robot.domains.domain import Domain
from cosmos_robot.engine.adapter import Adapter
from cosmos_robot.engine.checkpoint import check_checkpoint, find_checkpoint, read_index
from cosmos_robot.engine.device import require_memory, resolve_device
from cosmos_robot.engine.weights import ComponentHeader
from cosmos_robot.errors import InvalidInputError, UnsupportedModeError
from cosmos_robot.training.fine_tuning import FineTuning, fine_tune, is_trained
from cosmos_robot.training.precision import bfloat16_pays
from cosmos_robot.training.recorded_episodes import episodes_in
from cosmos_robot.training.run_folder import RunFolder
from cosmos_robot.training.window_cutter import TrainingEpisode

_TRAINED_COPIES = 5
"""What a weight that is trained takes, in copies of itself: it, its gradient, two of the optimiser, its average."""


def train_from_folders(
    checkpoint: str | Path,
    data: str | Path | Sequence[str | Path],
    *,
    domain: Domain,
    out: Path,
    config: FineTuning,
    cameras: Sequence[str] | None = None,
    device: str | None = None,
) -> Path:
    """Post-train a checkpoint on recordings; called again, it goes on where it was stopped.

    Args:
        checkpoint: a folder in the diffusers layout, or a Hub id.
        data: recorded data, one or several; see `episodes_in`.
        domain: the robot.
        out: folder for the state, the metrics, the cached windows and the result.
        config: how.
        cameras: of the recordings, those to show; None goes by the names that the domain knows.
        device: "cpu", "cuda" or "cuda:N"; None takes CUDA where there is one.

    Returns:
        The folder of the result.

    Raises:
        CheckpointError: if the checkpoint is not found or not whole.
        InvalidInputError: if the data do not fit the domain, or `out` holds another training.
        DeviceError: if the device has too little memory.
        UnsupportedModeError: if the checkpoint cannot be trained on actions.
    """
    from diffusers import Cosmos3OmniPipeline

    sources = [data] if isinstance(data, str | Path) else list(data)
    where, folder = resolve_device(device), _startable(checkpoint)
    check_checkpoint(folder)
    if read_index(folder)[1]:
        raise UnsupportedModeError(f"checkpoint {checkpoint} is distilled; start from the one that it was made from.")
    frozen = torch.bfloat16 if config.training.autocast and bfloat16_pays(where.type) else torch.float32
    header = ComponentHeader.read(folder, "transformer")
    require_memory(training_bytes(header, config, frozen), where, what=f"the training of {checkpoint}")
    chunk = config.chunk or domain.action_chunk_size
    episodes = _all_episodes(sources, domain, chunk, cameras)
    RunFolder(out).claim(
        {
            **_identity(checkpoint, folder, sources, domain, config),
            "cameras": None if cameras is None else list(cameras),
        }
    )
    pipeline = Cosmos3OmniPipeline.from_pretrained(
        folder,
        dtype={"transformer": frozen, "default": torch.float32},
        enable_safety_checker=False,
        safety_checker=None,
        sound_tokenizer=None,  # not trained, and copied to the result as it is
        local_files_only=True,
    ).to(where)
    name = str(folder.resolve()) if Path(checkpoint).expanduser().is_dir() else str(checkpoint)
    return fine_tune(pipeline, folder, episodes, domain=domain, out=out, config=config, name=name)


def training_bytes(header: ComponentHeader, config: FineTuning, frozen: torch.dtype) -> int:
    """Memory that a transformer's training takes, without the activations.

    Args:
        header: of the transformer.
        config: which of its weights are trained.
        frozen: precision of the others.
    """
    if config.lora is not None:
        return header.bytes_at(frozen)

    def trained(name: str) -> bool:
        return is_trained(name, understanding=config.understanding)

    kept = header.bytes_at(frozen, wanted=lambda name: not trained(name))
    return kept + _TRAINED_COPIES * header.bytes_at(torch.float32, wanted=trained)


def _startable(checkpoint: str | Path) -> Path:
    if Adapter.find(Path(checkpoint).expanduser()) is not None:
        raise InvalidInputError(
            f"{checkpoint} holds LoRA adapters, which are trained on by the command that made them, with more --steps; "
            f"a new training starts from a whole checkpoint."
        )
    return find_checkpoint(checkpoint)


def _all_episodes(
    sources: Sequence[str | Path], domain: Domain, chunk: int, cameras: Sequence[str] | None
) -> Iterator[TrainingEpisode]:
    return chain.from_iterable([episodes_in(source, domain, chunk, cameras) for source in sources])


def _identity(
    checkpoint: str | Path, folder: Path, sources: Sequence[str | Path], domain: Domain, config: FineTuning
) -> dict[str, Any]:
    """What makes it another training; the length and the learning rate do not."""
    paths = [Path(source).expanduser() for source in sources]
    return {
        "checkpoint": str(folder.resolve()) if Path(checkpoint).expanduser().is_dir() else str(checkpoint),
        "data": [
            str(path.resolve()) if path.exists() else str(source) for path, source in zip(paths, sources, strict=True)
        ],
        "domain": f"{domain.name} {hashlib.sha256(repr(domain).encode()).hexdigest()[:12]}",
        "chunk": config.chunk or domain.action_chunk_size,
        "stride": config.stride,
        "lora": None if config.lora is None else asdict(config.lora),
        "understanding": config.understanding,
        "modes": [f"{mode.items} {mode.mode}" for mode in config.training.modes],
        "seed": config.training.seed,
    }
