"""Camera frames that are stored as images in parquet rows: a struct of the file's bytes and its path."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image, UnidentifiedImageError

from cosmos_robot.errors import EpisodeError
from cosmos_robot.types import Frames


def decode_images(values: pa.ChunkedArray, where: str, start: int, local: Callable[[str], Path]) -> Frames:
    """Decode images of one size.

    Args:
        values: rows of struct `{bytes, path}`, or of plain bytes.
        where: the episode, for errors.
        start: number of the first row in the episode, for errors.
        local: gives the file of a path that the dataset names, where a row has no bytes.

    Returns:
        uint8 RGB `[N, H, W, 3]`.

    Raises:
        EpisodeError: if an image is missing, damaged, or of another size; it names the frame.
    """
    struct = pa.types.is_struct(values.type)
    contents = pc.struct_field(values, "bytes") if struct else values
    paths = pc.struct_field(values, "path") if struct and values.type.get_field_index("path") >= 0 else None
    frames: Frames | None = None
    for row in range(len(values)):
        content = contents[row].as_py()
        path = None if paths is None else paths[row].as_py()
        try:
            pixels = _decode(content, path, local)
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:  # Pillow raises all for damage
            raise EpisodeError(f"{where}, frame {start + row}: the image does not decode: {error}.") from error
        if frames is None:
            frames = np.empty((len(values), *pixels.shape), dtype=np.uint8)
        if pixels.shape != frames.shape[1:]:
            raise EpisodeError(
                f"{where}, frame {start + row}: the image is {pixels.shape[0]}x{pixels.shape[1]} (HxW), the frames "
                f"before it are {frames.shape[1]}x{frames.shape[2]}."
            )
        frames[row] = pixels
    assert frames is not None, "no rows"
    return frames


def _decode(content: bytes | None, path: str | None, local: Callable[[str], Path]) -> Frames:
    if content is None and path is None:
        raise ValueError("the row has neither bytes nor a path")
    file: io.BytesIO | Path = local(str(path)) if content is None else io.BytesIO(content)
    with Image.open(file) as image:
        return np.asarray(image.convert("RGB"))
