"""What is known of a picture or a video before it is generated, and what its caption has to say of it."""

import math
from dataclasses import dataclass
from typing import Any

from cosmos_robot.interface.media_request import MediaMode
from cosmos_robot.interface.media_size import ASPECT_RATIOS


@dataclass(frozen=True)
class CaptionFacts:
    """Size and length, which no language model may decide.

    Attributes:
        mode: what is generated.
        height: in pixels.
        width: in pixels.
        num_frames: 1 for an image.
        fps: frames a second.
    """

    mode: MediaMode
    height: int
    width: int
    num_frames: int
    fps: float

    @property
    def is_image(self) -> bool:
        """Whether it is a single image, which has no length."""
        return self.mode == "text2image"

    @property
    def seconds(self) -> int:
        """Whole seconds of the video, rounded down, as the training data has them."""
        return int(self.num_frames / self.fps)

    def pins(self) -> dict[str, Any]:
        """The fields of a caption that are set here, in the order of the training data."""
        size: dict[str, Any] = {
            "resolution": {"H": self.height, "W": self.width},
            "aspect_ratio": min(ASPECT_RATIOS, key=self._distance),
        }
        return size if self.is_image else {**size, "duration": f"{self.seconds}s", "fps": self.fps}

    def _distance(self, aspect_ratio: str) -> float:
        width, height = map(int, aspect_ratio.split(","))
        return abs(math.log(self.width / self.height * height / width))
