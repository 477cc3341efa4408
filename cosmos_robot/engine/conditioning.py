"""How a picture is brought to the canvas of image-to-video."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from cosmos_robot.types import Frames


def cover_pixels(image: Frames, size: tuple[int, int]) -> Tensor:
    """Scale a picture until it covers the canvas, and crop its middle, as diffusers does it.

    Args:
        image: uint8 `[H, W, 3]`.
        size: height and width of the canvas.

    Returns:
        float32 `[1, 3, 1, height, width]` in [-1, 1], on 8-bit levels.
    """
    pixels = torch.from_numpy(image.copy()).permute(2, 0, 1).unsqueeze(0).float()
    scale = max(size[1] / image.shape[1], size[0] / image.shape[0])
    resized = math.ceil(scale * image.shape[0]), math.ceil(scale * image.shape[1])
    pixels = F.interpolate(pixels, size=resized, mode="bilinear", align_corners=False, antialias=True)
    top, left = round((resized[0] - size[0]) / 2), round((resized[1] - size[1]) / 2)
    pixels = pixels[:, :, top : top + size[0], left : left + size[1]]
    return (pixels.round().clamp(0, 255) / 127.5 - 1.0).unsqueeze(2)
