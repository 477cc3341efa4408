"""A window that shows frames at their own speed, for `render_mode="human"`."""

from typing import Any

from cosmos_robot.errors import MissingDependencyError
from cosmos_robot.types import Frames

SMALLEST = 384
"""Frames are enlarged by a whole number until a side has at least so many pixels."""


class Window:
    """Opens at the first frame.

    Args:
        fps: frames a second that are shown.
    """

    def __init__(self, fps: float) -> None:
        self._fps = fps
        self._screen: Any = None
        self._clock: Any = None

    def show(self, frames: Frames) -> None:
        """Show frames uint8 `[N, H, W, 3]` one after another.

        Raises:
            MissingDependencyError: if pygame is not installed.
        """
        try:
            import pygame
        except ImportError as error:
            raise MissingDependencyError(
                "render_mode='human' needs pygame, which comes with the extra cosmos-robot[pusht]."
            ) from error
        height, width = frames.shape[1:3]
        scale = max(1, -(-SMALLEST // min(height, width)))
        if self._screen is None:
            pygame.display.init()
            pygame.display.set_caption("cosmos_robot")
            self._screen = pygame.display.set_mode((width * scale, height * scale))
            self._clock = pygame.time.Clock()
        for frame in frames:
            picture = pygame.surfarray.make_surface(frame.transpose(1, 0, 2))
            self._screen.blit(pygame.transform.scale(picture, self._screen.get_size()), (0, 0))
            pygame.event.pump()
            pygame.display.flip()
            self._clock.tick(self._fps)

    def close(self) -> None:
        """Close the window; calling it again does nothing."""
        if self._screen is not None:
            import pygame

            pygame.display.quit()
            self._screen = self._clock = None
