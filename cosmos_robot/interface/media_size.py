"""Sizes and frame counts of the modes without actions.

The tables are NVIDIA's (`Output resolution shapes` and `maximum num_output_frames` of the Cosmos 3 generator). Any
size is snapped to the nearest tier and aspect ratio; any frame count is generated at the next 4k + 1 and cut.
"""

import math
import re

from cosmos_robot.domains.canvas import TIERS
from cosmos_robot.errors import InvalidInputError

ASPECT_RATIOS = ("1,1", "4,3", "3,4", "16,9", "9,16")
"""Width and height, in the order of a tier's canvases."""

IMAGE_TIERS = TIERS | {768: ((1024, 1024), (880, 1184), (1184, 880), (768, 1360), (1360, 768))}
"""Canvases `(height, width)` of images: one tier more than videos have."""

MAX_FRAMES = {256: 397, 480: 297, 704: 197, 720: 197}
"""The most frames of a video in each tier."""

FRAMES_OF_A_LATENT = 4


def size_table(*, image: bool) -> dict[int, tuple[tuple[int, int], ...]]:
    """The tiers and their canvases `(height, width)`."""
    return IMAGE_TIERS if image else TIERS


def parse_resolution(resolution: int | str, *, image: bool) -> tuple[int, str | None]:
    """Read a resolution tier, with an aspect ratio or without: `480`, `"480p"`, `"480_16_9"`.

    Raises:
        InvalidInputError: if there is no such tier or ratio; the message names them.
    """
    found = re.fullmatch(r"(\d+)p?(?:_(\d+_\d+))?", str(resolution).strip().lower())
    table = size_table(image=image)
    if found is None or int(found[1]) not in table:
        raise InvalidInputError(
            f"unknown resolution {resolution!r} for {'an image' if image else 'a video'}; expected a tier out of "
            f"{', '.join(map(str, table))}, alone or with an aspect ratio as in '480_16_9'."
        )
    return int(found[1]), None if found[2] is None else parse_aspect_ratio(found[2])


def parse_aspect_ratio(aspect_ratio: str) -> str:
    """Read an aspect ratio, width before height: `"16,9"`, `"16:9"`, `"16_9"`.

    Raises:
        InvalidInputError: if the model does not know it; the message names those that it knows.
    """
    found = re.sub(r"[:_x/]", ",", str(aspect_ratio).strip())
    if found not in ASPECT_RATIOS:
        raise InvalidInputError(
            f"unknown aspect_ratio {aspect_ratio!r}; expected one of {'; '.join(ASPECT_RATIOS)} (width, height)."
        )
    return found


def canvas_of(tier: int, aspect_ratio: str, *, image: bool) -> tuple[int, int]:
    """Height and width of a tier's canvas."""
    return size_table(image=image)[tier][ASPECT_RATIOS.index(aspect_ratio)]


def nearest_aspect_ratio(height: int, width: int, tier: int, *, image: bool) -> str:
    """The aspect ratio of a tier whose canvas is shaped most like a picture."""
    canvases = size_table(image=image)[tier]
    distances = [abs(math.log(canvas[0] / canvas[1] * width / height)) for canvas in canvases]
    return ASPECT_RATIOS[distances.index(min(distances))]


def nearest_canvas(height: int, width: int, *, image: bool) -> tuple[int, tuple[int, int]]:
    """Snap a size to the nearest canvas: its tier, and its height and width.

    Raises:
        InvalidInputError: if a side is not positive, or longer than any canvas's; the message names what is allowed.
    """
    table = size_table(image=image)
    longest = max(side for canvases in table.values() for canvas in canvases for side in canvas)
    if min(height, width) < 1 or max(height, width) > longest:
        raise InvalidInputError(
            f"the size {height}x{width} (HxW) is past the tables: sides of 1 to {longest} pixels are snapped to one "
            f"of {say_sizes(image=image)}."
        )

    def distance(tier: int) -> tuple[float, bool]:
        canvas = canvas_of(tier, nearest_aspect_ratio(height, width, tier, image=image), image=image)
        shape = abs(math.log(canvas[0] / canvas[1] * width / height))
        area = abs(math.log(canvas[0] * canvas[1] / (height * width)))
        return shape + area, tier == 704  # of two equal canvases that of 720, whose table is the published one

    tier = min(table, key=distance)
    return tier, canvas_of(tier, nearest_aspect_ratio(height, width, tier, image=image), image=image)


def say_sizes(*, image: bool) -> str:
    """Name all canvases."""
    table = size_table(image=image)
    return "; ".join(f"{tier}: " + ", ".join(f"{h}x{w}" for h, w in canvases) for tier, canvases in table.items())


def require_num_frames(num_frames: int, tier: int) -> int:
    """Check a video's frame count and return it.

    Raises:
        InvalidInputError: if it is past the table; the message names what is allowed.
    """
    if not 2 <= num_frames <= MAX_FRAMES[tier]:
        limits = ", ".join(f"{limit} at {name}" for name, limit in MAX_FRAMES.items())
        advice = "For an image use text2image." if num_frames == 1 else "For more, chain with extend_video."
        raise InvalidInputError(
            f"num_frames is {num_frames}; a video at resolution {tier} has 2 to {MAX_FRAMES[tier]} frames "
            f"(at most {limits}). {advice}"
        )
    return num_frames


def whole_frames(num_frames: int) -> int:
    """The next frame count that fills whole latent frames: 4k + 1."""
    return -(-(num_frames - 1) // FRAMES_OF_A_LATENT) * FRAMES_OF_A_LATENT + 1


def conditioning_frames(latent_indexes: tuple[int, ...]) -> int:
    """Video frames that the given latent frames reach over."""
    return max(latent_indexes) * FRAMES_OF_A_LATENT + 1
