"""What openpi's clients send for a robot, and what they want back: keys, grippers and rotations as its examples have.

A robot without a row here is shown one picture, `observation/image`, and its actions are in its own units.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosmos_robot.datasets.camera_canvas import compose
from cosmos_robot.domains.domain import Domain
from cosmos_robot.domains.poses import axis_angle_from_matrix, matrix_from_rot6d
from cosmos_robot.serving.nim import open_is_zero
from cosmos_robot.serving.nim_question import require_float32
from cosmos_robot.serving.problems import RequestError
from cosmos_robot.types import FloatArray, Frames

IMAGE, PROMPT = "observation/image", "prompt"
JOINTS, GRIPPER = "observation/joint_position", "observation/gripper_position"
_DROID_CAMERAS = (
    "observation/wrist_image_left",
    "observation/exterior_image_1_left",
    "observation/exterior_image_2_left",
)


def _as_they_are(actions: FloatArray) -> FloatArray:
    return actions


def _libero_commands(actions: FloatArray) -> FloatArray:
    """Robot units `[T, 10]` as commands of LIBERO's controller `[T, 7]`: its gripper opens below 0 and closes above."""
    rotation = axis_angle_from_matrix(matrix_from_rot6d(actions[:, 3:9]))
    gripper = np.clip(1 - 2 * actions[:, 9:], -1, 1)
    commands: FloatArray = np.concatenate([actions[:, :3], rotation, gripper], axis=1).astype(np.float32)
    return commands


@dataclass(frozen=True)
class OpenpiForm:
    """What clients send for one robot.

    Attributes:
        cameras: keys of the pictures, in the order of the places on the domain's canvas.
        canvas: key of a picture that has all of them already, or None.
        state: keys of the state and how many numbers each has, in the order of the domain's channels; the last is a
            gripper as DROID counts it, 1 is closed.
        actions: turns robot units `[T, D]` into what the clients want.
        told: what `actions` gives, in a sentence.
    """

    cameras: tuple[str, ...] = ()
    canvas: str | None = IMAGE
    state: tuple[tuple[str, int], ...] = ()
    actions: Callable[[FloatArray], FloatArray] = _as_they_are
    told: str = "the domain's own units"

    @property
    def keys(self) -> tuple[str, ...]:
        """All keys that a client may send; where there is a key of the whole canvas, it stands for the cameras."""
        return (*self.cameras, *filter(None, (self.canvas,)), *(key for key, _ in self.state), PROMPT)

    def picture(self, observation: Mapping[str, Any], domain: Domain) -> Frames:
        """The picture that the model is shown: uint8 `[H, W, 3]`.

        Raises:
            RequestError: if a picture is missing, or is none.
            MediaError: if the pictures do not fit together.
        """
        if self.canvas is not None and self.canvas in observation:
            return read_picture(observation, self.canvas)
        wanted = self.cameras or (IMAGE,)
        missing = [key for key in wanted if key not in observation]
        if missing:
            whole = f", or {self.canvas} with all of them on it" if self.cameras and self.canvas else ""
            raise RequestError.of_field(
                missing[0],
                f"the observation lacks it; domain {domain.name} is shown {', '.join(wanted)}{whole}.",
            )
        pictures = [read_picture(observation, key)[None] for key in self.cameras]
        canvas: Frames = compose(pictures, domain.recorded.arrangement, domain.recorded.tile)[0]
        return canvas

    def read_state(self, observation: Mapping[str, Any]) -> FloatArray | None:
        """The robot's state float32 `[S]` in the domain's units, or None where its policy starts from none.

        Raises:
            RequestError: if it is missing, or of another length.
        """
        if not self.state:
            return None
        state = np.concatenate([_numbers(observation, key, count) for key, count in self.state])
        turned: FloatArray = open_is_zero(state[None])[0]
        return turned


DROID = OpenpiForm(
    _DROID_CAMERAS,
    state=((JOINTS, 7), (GRIPPER, 1)),
    actions=open_is_zero,
    told="joint angles in rad; gripper, 1 is closed",
)
FORMS: dict[str, OpenpiForm] = {
    "droid_lerobot_joint": DROID,
    "droid_lerobot": OpenpiForm(
        _DROID_CAMERAS, actions=open_is_zero, told="the domain's own units; gripper, 1 is closed"
    ),
    "libero": OpenpiForm(
        (IMAGE, "observation/wrist_image"),
        canvas=None,
        actions=_libero_commands,
        told="the simulator's commands: translation, axis-angle, gripper, -1 is open",
    ),
}
"""By domain. LIBERO's pictures are turned by 180 degrees by the client, as openpi's own example does."""


def form_of(domain: Domain) -> OpenpiForm:
    """The form of a domain."""
    return FORMS.get(domain.name, OpenpiForm())


def read_picture(observation: Mapping[str, Any], key: str) -> Frames:
    """Read a picture of an observation: uint8 `[H, W, 3]`.

    openpi also takes `[3, H, W]`, as lerobot has it, and floating point from 0 to 1.

    Raises:
        RequestError: if it is none of these.
    """
    given = observation[key]
    picture: NDArray[Any] = given if isinstance(given, np.ndarray) else np.zeros(0)
    if picture.ndim == 3 and picture.shape[2] != 3 and picture.shape[0] == 3:
        picture = picture.transpose(1, 2, 0)
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.size == 0:
        raise RequestError.of_field(key, "expected a picture of uint8 numbers with 3 channels, [H, W, 3] or [3, H, W].")
    if picture.dtype.kind == "f":
        if not (np.isfinite(picture).all() and picture.min() >= 0 and picture.max() <= 1):
            raise RequestError.of_field(key, "a picture of floating point numbers has them from 0 to 1.")
        picture = (255 * picture).round()
    elif picture.dtype != np.uint8:
        raise RequestError.of_field(key, f"expected uint8, or floating point from 0 to 1; got {picture.dtype}.")
    return np.ascontiguousarray(picture, dtype=np.uint8)


def _numbers(observation: Mapping[str, Any], key: str, count: int) -> FloatArray:
    """Some numbers of the state; of a history `[N, count]` the last row."""
    if key not in observation:
        raise RequestError.of_field(key, f"the observation lacks it; expected {count} number(s).")
    given = observation[key]
    try:
        values = np.atleast_1d(np.asarray(given, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise RequestError.of_field(key, f"expected {count} number(s).") from error
    values = values[-1] if values.ndim == 2 and len(values) else values
    if values.shape != (count,) or not np.isfinite(values).all():
        raise RequestError.of_field(key, f"expected {count} finite number(s); got an array of shape {values.shape}.")
    require_float32(values, key)
    return values.astype(np.float32)
