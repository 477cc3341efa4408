"""Tells checkpoints apart, so that rows of one are not taken for those of another that lies at the same place."""

import hashlib
from pathlib import Path

from cosmos_robot.world_model import EMBEDDED


def weights_digest(checkpoint: str | None) -> str | None:
    """A digest of a local checkpoint's weights, of each file's name and every byte of it. None for one elsewhere.

    Of a part of each file it would not do: post-training that leaves the first and the last layers alone changes
    neither the beginning nor the end.

    Args:
        checkpoint: as for `load_world_model`; None is the embedded one.
    """
    folder = EMBEDDED if checkpoint is None else Path(checkpoint).expanduser()
    if not folder.is_dir():
        return None
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.safetensors")):
        digest.update(f"{path.relative_to(folder).as_posix()} {path.stat().st_size}\n".encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]
