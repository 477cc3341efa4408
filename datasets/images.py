"""Single images: png, jpg and webp, in and out."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from cosmos_robot.datasets.atomic_file import replaced_when_complete
from cosmos_robot.errors import MediaError
from cosmos_robot.types import Frames, require_frame

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")

_FORMATS = ("PNG", "JPEG", "WEBP")
_JPEG: tuple[str, dict[str, Any]] = ("JPEG", {"quality": 95})
_WRITTEN = {".png": ("PNG", {}), ".jpg": _JPEG, ".jpeg": _JPEG, ".webp": ("WEBP", {"lossless": True})}
_EIGHT_BIT_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")
_MAX_PIXELS = 50_000_000
"""An 8K frame has 33 million; far more is a mistake or a decompression bomb."""


def read_image(path: str | Path) -> Frames:
    """Read one image as RGB.

    The orientation in the EXIF data is applied. An alpha channel is dropped, not composited: the colours
    under it are what the camera or the renderer wrote, and this is what the field's own loaders do. A grey
    channel is repeated three times.

    Args:
        path: a png, jpg or webp file.

    Returns:
        uint8 RGB `[H, W, 3]`.

    Raises:
        MediaError: if the file is missing, empty, truncated, of another format, of more than 8 bits a
            channel, smaller than 16x16 or larger than 50 megapixels.
    """
    path = Path(path)
    try:
        pixels = _decode(path)
    except MediaError:
        raise
    except FileNotFoundError as error:
        raise MediaError(f"there is no image {path}; check the path.") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(path, "a decompression bomb") from error
    except UnidentifiedImageError as error:
        raise MediaError(f"the file {path} is not a png, jpg or webp image, or it is damaged.") from error
    except (OSError, SyntaxError, ValueError) as error:  # Pillow raises all three for damaged files
        raise MediaError(f"the image {path} does not decode: {error}. Is the file whole?") from error
    try:
        return require_frame(pixels)
    except MediaError as error:
        raise MediaError(f"the image {path} cannot be used: {error}") from error


def write_png(path: str | Path, frame: Frames) -> None:
    """Write one image as a png file, which appears only when it is complete.

    Args:
        path: the file to write; its folder must exist.
        frame: uint8 RGB `[H, W, 3]`.

    Raises:
        MediaError: if `frame` is not a uint8 RGB image.
        InvalidInputError: if the file cannot be written.
    """
    _write(Path(path), frame, "PNG", {})


def write_image(path: str | Path, frame: Frames) -> None:
    """Write one image as png, jpg or webp, by the path's suffix; it appears only when it is complete.

    JPEG is written at quality 95, as the field's own program does; WebP without loss.

    Args:
        path: the file to write; its folder must exist.
        frame: uint8 RGB `[H, W, 3]`.

    Raises:
        MediaError: if `frame` is not a uint8 RGB image, or the suffix is none of these.
        InvalidInputError: if the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in _WRITTEN:
        raise MediaError(f"an image is written as one of {', '.join(IMAGE_SUFFIXES)}; got {path.name!r}.")
    _write(path, frame, *_WRITTEN[path.suffix.lower()])


def _write(path: Path, frame: Frames, name: str, options: dict[str, Any]) -> None:
    image = Image.fromarray(require_frame(frame))
    with replaced_when_complete(path) as temporary:
        image.save(temporary, format=name, **options)


def _decode(path: Path) -> Frames:
    with Image.open(path, formats=_FORMATS) as image:
        if image.width * image.height > _MAX_PIXELS:  # known from the header, before anything is decoded
            raise _too_large(path, f"{image.width}x{image.height} pixels")
        if image.mode not in _EIGHT_BIT_MODES:
            raise MediaError(
                f"the image {path} has pixels of mode {image.mode!r}; expected 8 bits a channel. "
                f"Convert a depth or 16-bit image to 8-bit RGB first."
            )
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


def _too_large(path: Path, what: str) -> MediaError:
    return MediaError(
        f"the image {path} is too large ({what}); expected at most {_MAX_PIXELS // 1_000_000} megapixels. "
        f"Scale it down first."
    )
