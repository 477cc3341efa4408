"""What sets LIBERO's HDF5 files apart from robomimic's: the pictures' orientation and the task's text."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from cosmos_robot.errors import EpisodeError, InvalidInputError
from cosmos_robot.types import Frames

type Orientation = Literal["rotated", "flipped", "stored"]
"""`rotated`: turned by 180 degrees. `flipped`: upside down made upright, left stays left. `stored`: as in the file."""

CAMERAS = ("agentview_rgb", "eye_in_hand_rgb")
_ATTRIBUTES = ("problem_info", "bddl_file_name", "macros_image_convention")
_SCENE = re.compile(r"^[A-Z][A-Z_]*SCENE\d+_")


def is_libero(attributes: Mapping[str, Any], observation_keys: set[str]) -> bool:
    """Whether a file of robomimic's layout is one of LIBERO, by `/data`'s attributes or its two cameras.

    Files that were made again from LIBERO's by replaying them have the cameras but not the attributes.
    """
    return any(name in attributes for name in _ATTRIBUTES) or observation_keys.issuperset(CAMERAS)


def task_text(attributes: Mapping[str, Any], path: Path) -> str:
    """The instruction: `language_instruction` of `problem_info`, or else what the file's name says.

    `KITCHEN_SCENE3_turn_on_the_stove_demo.hdf5` is "turn on the stove".

    Raises:
        EpisodeError: if `problem_info` is no JSON object.
    """
    if "problem_info" in attributes:
        try:
            problem = json.loads(attributes["problem_info"])
            text = problem.get("language_instruction", "")
        except (ValueError, AttributeError, TypeError) as error:
            raise EpisodeError(f"{path}: the attribute 'problem_info' of /data is no JSON object.") from error
        # Some files hold a list of pieces, some a text within quotation marks.
        text = "".join(text) if isinstance(text, list) else str(text)
        if text.strip(' "'):
            return text.strip(' "')
    name = _SCENE.sub("", path.stem.removesuffix("_demo"))
    return name.replace("_", " ").strip()


def turned(pictures: Frames, orientation: Orientation, *, upside_down: bool) -> Frames:
    """Pictures as `orientation` wants them.

    Args:
        pictures: uint8 `[N, H, W, 3]` as stored.
        orientation: see `Orientation`.
        upside_down: whether the stored pictures have their bottom row first (robosuite's image convention `opengl`).

    Returns:
        a view.
    """
    if orientation == "stored":
        return pictures
    rows = slice(None, None, -1) if upside_down else slice(None)
    columns = slice(None, None, -1) if orientation == "rotated" else slice(None)
    return pictures[:, rows, columns]


def require_orientation(orientation: str) -> None:
    """Check the name.

    Raises:
        InvalidInputError: if there is no such orientation.
    """
    known = get_args(Orientation.__value__)
    if orientation not in known:
        raise InvalidInputError(f"unknown orientation {orientation!r}; expected one of {', '.join(known)}.")
