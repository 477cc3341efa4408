"""Tells checkpoints apart, so that rows of one are not taken for those of another that lies at the same place."""

import hashlib
from pathlib import Path

from cosmos_robot.world_model import EMBEDDED

_PART = 1 << 20


def weights_digest(checkpoint: str | None) -> str | None:
    """A digest of a local checkpoint's weights: of each file's name, size, first and last MiB. None for one elsewhere.

    Args:
        checkpoint: as for `load_world_model`; None is the embedded one.
    """
    folder = EMBEDDED if checkpoint is None else Path(checkpoint).expanduser()
    if not folder.is_dir():
        return None
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.safetensors")):
        size = path.stat().st_size
        digest.update(f"{path.relative_to(folder).as_posix()} {size}\n".encode())
        with path.open("rb") as file:
            digest.update(file.read(_PART))
            file.seek(max(0, size - _PART))
            digest.update(file.read(_PART))
    return digest.hexdigest()[:16]
