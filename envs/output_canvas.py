"""The pixels that an environment shows: their size, known before any weight is loaded, and how they are made."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from cosmos_robot.domains.canvas import action_canvas, native_canvas
from cosmos_robot.domains.domain import Domain
from cosmos_robot.errors import CheckpointError
from cosmos_robot.interface.world_model import WorldModel
from cosmos_robot.types import Canvas, Frames
from cosmos_robot.world_model import EMBEDDED, LocalWorldModel

type CanvasOf = Callable[[int, int], Canvas]
"""The canvas of a frame of some height and width."""


def canvas_rule(
    world_model: str | Path | WorldModel | None,
    domain: Domain,
    image_size: int | str | None,
    canvas: tuple[int, int] | None = None,
) -> tuple[CanvasOf, tuple[int, int] | None]:
    """Find out how a world model sizes frames, from what lies beside its weights.

    Args:
        world_model: what is asked.
        domain: whose resolution tier holds where no other is known.
        image_size: resolution tier, or None.
        canvas: the canvas, where the caller knows better.

    Returns:
        The canvas of a frame, and the native canvas `(height, width)` where the checkpoint knows only one.

    Raises:
        CheckpointError: if the checkpoint is not there.
    """
    native = _native_canvas(world_model) if canvas is None else canvas
    if native is not None:
        return lambda height, width: native_canvas(height, width, native), native
    tier = domain.tier if image_size is None else image_size
    return lambda height, width: action_canvas(height, width, tier), None


def fit(frame: Frames, canvas: Canvas) -> Frames:
    """Bring a camera frame to the output canvas as the engine does on the way in, without the padding.

    Args:
        frame: uint8 `[H, W, 3]`.
        canvas: the sizes that it passes through.

    Returns:
        uint8 `[output height, output width, 3]`, a new array.
    """
    image = Image.fromarray(frame)
    if canvas.floored != frame.shape[:2]:
        image = image.resize(canvas.floored[::-1], Image.Resampling.BILINEAR)
    if canvas.content != canvas.floored:
        image = image.resize(canvas.content[::-1], Image.Resampling.BICUBIC)
    height, width = canvas.output
    return np.array(image)[:height, :width].copy()


def _native_canvas(world_model: str | Path | WorldModel | None) -> tuple[int, int] | None:
    if isinstance(world_model, LocalWorldModel):
        return world_model.facts.native_canvas
    if isinstance(world_model, WorldModel):
        return None
    from cosmos_robot.engine.checkpoint import CheckpointFacts

    if world_model is None:
        if not EMBEDDED.is_dir():
            raise CheckpointError("this build carries no embedded checkpoint; name a folder or a Hub id.")
        return CheckpointFacts.read(EMBEDDED).native_canvas
    if "://" in str(world_model):
        return None
    folder = Path(world_model).expanduser()
    if not folder.is_dir():
        folder = _facts_folder_of_hub_id(str(world_model))
    return CheckpointFacts.read(folder).native_canvas


def _facts_folder_of_hub_id(repository: str) -> Path:
    """The cached folder of a Hub repository with at least its facts, where it has them; no weight is downloaded."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    from cosmos_robot.engine.checkpoint import FACTS_FILE

    try:
        return Path(snapshot_download(repository, allow_patterns=["model_index.json", FACTS_FILE]))
    except HFValidationError:
        raise CheckpointError(
            f"no checkpoint at {repository!r}: it is neither a folder nor a Hub id such as nvidia/Cosmos3-Nano."
        ) from None
    except (HfHubHTTPError, LocalEntryNotFoundError) as error:
        raise CheckpointError(
            f"what {repository} was trained for cannot be read from the Hub, and it is not in the local cache: {error}"
        ) from error
