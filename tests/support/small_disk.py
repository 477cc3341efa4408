"""A disk that is full soon."""

import subprocess
from contextlib import contextmanager

import pytest


@contextmanager
def small_disk(place, kilobytes):
    """Mount a file system of its own for the time of a block; without the right to, the test is skipped."""
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a file system of its own needs the right to mount")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)
