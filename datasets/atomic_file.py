"""A file that appears whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cosmos_robot.errors import InvalidInputError


@contextmanager
def replaced_when_complete(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; move it there when the block ends without an exception.

    The temporary file lies in the same folder, because a move is atomic only within one file system, and
    keeps the suffix, because writers choose a container format by it.

    Args:
        path: where the finished file shall be. Its folder must exist. A file that is there is replaced.

    Yields:
        the temporary path to write to.

    Raises:
        InvalidInputError: if the file cannot be written, for instance because the disk is full.
    """
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=path.suffix, dir=path.parent)
    except OSError as error:
        raise InvalidInputError(f"cannot write {path}: {error.strerror}.") from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())  # mkstemp makes files that only their owner may read
        temporary.replace(path)
    except OSError as error:
        raise InvalidInputError(f"cannot write {path}: {error.strerror or error}.") from error
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    # There is no way to read the mask but to set it.
    mask = os.umask(0)
    os.umask(mask)
    return mask
