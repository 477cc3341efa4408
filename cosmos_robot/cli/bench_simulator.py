"""What a benchmark command settles before gym-pusht is imported."""

import os
import warnings


def prepare_simulator() -> None:
    """Have gym-pusht play without a display, and keep its dependencies' own affairs off the screen."""
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
    os.environ.setdefault("PYTHONWARNINGS", "ignore:pkg_resources is deprecated")  # of processes that record
