"""The canvas: which size a camera frame is brought to before a world model sees it, and which size comes back.

Cosmos 3 was trained at a few resolution tiers, each with a few aspect ratios. A conditioning frame is floored to the
autoencoder's grid, scaled down (never up) into the tier's nearest canvas, padded at right and bottom, encoded, and the
latent is cropped to the content again. Source: diffusers' `Cosmos3OmniPipeline._prepare_action_video_conditioning`.
"""

from cosmos_robot.errors import InvalidInputError
from cosmos_robot.types import Canvas

TIERS: dict[int, tuple[tuple[int, int], ...]] = {
    256: ((256, 256), (256, 320), (320, 256), (192, 320), (320, 192)),
    480: ((640, 640), (544, 736), (736, 544), (480, 832), (832, 480)),
    704: ((960, 960), (832, 1088), (1088, 832), (704, 1280), (1280, 704)),
    720: ((960, 960), (832, 1104), (1104, 832), (720, 1280), (1280, 720)),
}
"""Canvases `(height, width)` of each resolution tier, in diffusers' order (the first of two equally near ones wins)."""

SPATIAL_MULTIPLE = 16
"""Pixels of one latent cell: the Wan 2.2 autoencoder's spatial factor."""


def parse_tier(image_size: int | str) -> int:
    """Read a resolution tier given as a number or a string (`480`, `"480"`, `"480p"`).

    Raises:
        InvalidInputError: if there is no such tier.
    """
    text = str(image_size).strip().lower().removesuffix("p")
    if not text.isdecimal() or int(text) not in TIERS:
        raise InvalidInputError(
            f"unknown resolution tier {image_size!r}; expected one of {', '.join(map(str, TIERS))}."
        )
    return int(text)


def action_canvas(height: int, width: int, tier: int | str, *, multiple: int = SPATIAL_MULTIPLE) -> Canvas:
    """Find the canvas for a frame of `height` x `width` pixels in a resolution tier.

    Args:
        height: of the source frame, in pixels.
        width: of the source frame, in pixels.
        tier: 256, 480, 704 or 720; the aspect ratio nearest to the frame's is chosen in it.
        multiple: pixels of one latent cell.

    Raises:
        InvalidInputError: if the tier is unknown or the frame is smaller than one latent cell.
    """
    floored = _floor_to(height, width, multiple)
    ratio = floored[0] / floored[1]
    padded = min(TIERS[parse_tier(tier)], key=lambda size: abs(size[0] / size[1] - ratio))
    return _fit((height, width), floored, padded, multiple)


def native_canvas(height: int, width: int, native: tuple[int, int], *, multiple: int = SPATIAL_MULTIPLE) -> Canvas:
    """Find the canvas for a frame on a checkpoint that knows a single canvas, `native` `(height, width)`.

    A frame of another size is resized to it, larger or smaller, so that the answer is always at the native canvas.
    """
    if native[0] % multiple or native[1] % multiple:
        raise InvalidInputError(f"a native canvas must be a multiple of {multiple}; got {native[0]}x{native[1]}.")
    return Canvas(
        source=(height, width),
        floored=native,
        content=native,
        padded=native,
        output=native,
        multiple=multiple,
    )


def _floor_to(height: int, width: int, multiple: int) -> tuple[int, int]:
    floored = height // multiple * multiple, width // multiple * multiple
    if 0 in floored:
        raise InvalidInputError(f"a frame must be at least {multiple}x{multiple} pixels; got {height}x{width} (HxW).")
    return floored


def _fit(source: tuple[int, int], floored: tuple[int, int], padded: tuple[int, int], multiple: int) -> Canvas:
    scale = min(padded[1] / floored[1], padded[0] / floored[0], 1.0)
    content = max(1, int(scale * floored[0] + 0.5)), max(1, int(scale * floored[1] + 0.5))
    output = max(content[0] // multiple, 1) * multiple, max(content[1] // multiple, 1) * multiple
    return Canvas(source=source, floored=floored, content=content, padded=padded, output=output, multiple=multiple)
