"""One sample: what is asked of a world model, in the field's own JSON words.

The files are those of the published examples (`inputs/omni/action_*.json` of cosmos-framework), taken as they
are.
"""

import math
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from cosmos_robot.domains.nearest_names import did_you_mean
from cosmos_robot.errors import InvalidInputError, UnsupportedModeError
from cosmos_robot.types import HIGHEST_FPS, LOWEST_FPS

type SampleMode = Literal["forward_dynamics", "inverse_dynamics", "policy", "rollout"]
type Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
type FramesASecond = Annotated[float, Field(ge=LOWEST_FPS, le=HIGHEST_FPS)]
type Count = Annotated[int, Field(ge=1)]

SAMPLE_MODES: tuple[SampleMode, ...] = ("forward_dynamics", "inverse_dynamics", "policy", "rollout")

_MODE_ALIASES = {"wam": "policy"}
MEDIA_SAMPLE_MODES = ("text2image", "text2video", "image2video", "video2video", "extend_video")
"""Modes without actions; their samples are read elsewhere. `extend_video` is ours."""

REASONER = "reasoner"
_OTHER_MODES = ("image2image", "audio_image2video")
_ALL_MODES = ", ".join((*SAMPLE_MODES, *MEDIA_SAMPLE_MODES, REASONER))


class Sample(BaseModel):
    """One thing to generate. What is None is the domain's or the checkpoint's to decide.

    Attributes:
        name: of the sample, and of its folder.
        model_mode: the question; `wam` is read as `policy`. `rollout` is ours: forward dynamics of any
            length.
        domain_name: name or alias of a domain, or the path of a domain file.
        vision_path: path or URL of an image or a video; of a video the first frame is taken where a frame is
            wanted.
        action_path: path or URL of the actions of forward dynamics and rollout. The other modes ignore it, as
            the field does: its policy samples name the recorded actions there.
        action_chunk_size: transitions of one generation.
        raw_action_dim: must be the domain's, if it is given.
        action_space: units of the actions, in and out. The field's files hold model space.
        fps: frames a second.
        image_size: resolution tier of the canvas.
        resolution: the same, where there is no `image_size`.
        aspect_ratio: accepted and without effect: the canvas follows the frame.
        num_frames: must be `action_chunk_size + 1`, if it is given.
        view_point: where the camera stands.
        prompt: what the robot does or should do.
        negative_prompt: prompt of the unconditional pass.
        seed: of the noise.
        num_steps: denoising steps.
        guidance: classifier-free guidance scale.
        shift: flow shift of the noise schedule.
        state: the robot's state at the start, for policies whose form has one. Ours, as `rollout`.
        extra: anything; kept and not looked at.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: str
    model_mode: SampleMode
    domain_name: str
    vision_path: str
    action_path: str | None = None
    action_chunk_size: Count | None = None
    raw_action_dim: Count | None = None
    action_space: Literal["robot", "model"] = "model"
    fps: FramesASecond | None = None
    image_size: int | str | None = None
    resolution: int | str | None = None
    aspect_ratio: str | None = None
    num_frames: Count | None = None
    view_point: str | None = None
    prompt: str = ""
    negative_prompt: str = ""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    num_steps: Count | None = None
    guidance: Annotated[float, Field(ge=1, allow_inf_nan=False)] | None = None
    shift: Positive | None = None
    state: list[float] | None = None
    extra: dict[str, Any] = {}

    @field_validator("name")
    @classmethod
    def _is_a_folder_name(cls, name: str) -> str:
        return folder_name(name)

    @field_validator("aspect_ratio")
    @classmethod
    def _is_a_ratio(cls, ratio: str | None) -> str | None:
        if ratio is not None and not re.fullmatch(r"[1-9]\d*[,:][1-9]\d*", ratio):
            raise ValueError("expected width and height as in '16,9'")
        return ratio

    @field_validator("state")
    @classmethod
    def _is_finite(cls, state: list[float] | None) -> list[float] | None:
        if state is not None and not all(map(math.isfinite, state)):
            raise ValueError("expected finite numbers")
        return state

    @model_validator(mode="after")
    def _fits_the_mode(self) -> Self:
        if self.takes_actions and self.action_path is None:
            raise ValueError(f"{self.model_mode} needs action_path, a json, npy or npz file of actions")
        if self.state is not None and self.model_mode != "policy":
            raise ValueError(f"a state is for policy, not for {self.model_mode}")
        return self

    @property
    def takes_actions(self) -> bool:
        """Whether the caller gives the actions."""
        return self.model_mode in ("forward_dynamics", "rollout")

    @property
    def tier(self) -> int | str | None:
        """The resolution tier asked for, or None."""
        return self.resolution if self.image_size is None else self.image_size


def parse_sample(raw: object, *, place: str, folder: Path) -> Sample:
    """Read one sample.

    Args:
        raw: what the JSON holds.
        place: where it stands, for messages.
        folder: what relative paths are relative to.

    Returns:
        The sample, with absolute paths.

    Raises:
        InvalidInputError: if a key is unknown, missing or of a wrong value; the message names it.
        UnsupportedModeError: if the mode is not one with actions.
    """
    if not isinstance(raw, dict):
        raise InvalidInputError(f"{place}: a sample must be a json object; got {type(raw).__name__}.")
    require_known_keys(raw, list(Sample.model_fields), place)
    given = {key: value for key, value in raw.items() if value is not None}
    try:
        sample = Sample.model_validate({**given, "model_mode": _mode(given.get("model_mode"), place)})
    except ValidationError as error:
        raise InvalidInputError(f"{place}: {say_first(error)}") from error
    return sample.model_copy(
        update={
            "vision_path": absolute_location(sample.vision_path, folder),
            "action_path": sample.action_path and absolute_location(sample.action_path, folder),
            "domain_name": absolute_location(sample.domain_name, folder)
            if sample.domain_name.endswith(".toml")
            else sample.domain_name,
        }
    )


def checked[Model: BaseModel](kind: type[Model], raw: dict[str, Any], *, place: str) -> Model:
    """Read a sample of a kind; what is None is as if it were not there.

    Raises:
        InvalidInputError: if a key is unknown, missing or of a wrong value; the message names it.
    """
    require_known_keys(raw, list(kind.model_fields), place)
    try:
        return kind.model_validate({key: value for key, value in raw.items() if value is not None})
    except ValidationError as error:
        raise InvalidInputError(f"{place}: {say_first(error)}") from error


def folder_name(name: str) -> str:
    """Check that a sample's name can name its folder, and return it.

    Raises:
        ValueError: if it cannot.
    """
    if not re.fullmatch(r"[^\s./\\:\x00][^/\\:\x00]{0,199}", name):
        raise ValueError("it becomes a folder's name: at most 200 characters, no slash, no dot in front")
    return name


def is_url(location: str) -> bool:
    """Whether a path of a sample is the address of something elsewhere."""
    return "://" in location


def absolute_location(location: str, folder: Path) -> str:
    """Make a relative path absolute; an address elsewhere stays as it is.

    Raises:
        InvalidInputError: if it can be no path, as one in the home folder of a user whom nobody knows.
    """
    if is_url(location):
        return location
    try:
        return str((folder / Path(location).expanduser()).resolve())
    except (RuntimeError, ValueError) as error:
        raise InvalidInputError(
            f"{location!r} cannot be read as a path: {str(error).rstrip('.').lower()}; name a file that is there."
        ) from error


def require_known_keys(raw: dict[Any, Any], keys: list[str], place: str) -> None:
    """Check that a sample has no key that nobody reads.

    Raises:
        InvalidInputError: naming the key, and those that there are.
    """
    for key in raw:
        if key not in keys:
            raise InvalidInputError(
                f"{place}: unknown key {key!r}{did_you_mean(str(key), keys)}; the keys are "
                f"{', '.join(keys)}. Put what is your own under 'extra'."
            )


def _mode(mode: object, place: str) -> object:
    if mode in (*_OTHER_MODES, *MEDIA_SAMPLE_MODES, REASONER):
        raise UnsupportedModeError(
            f"{place}: model_mode {mode!r} is not among the modes that this command has: {_ALL_MODES}."
        )
    if mode is None:
        raise InvalidInputError(f"{place}: model_mode is missing; expected one of {_ALL_MODES}.")
    return _MODE_ALIASES.get(mode, mode) if isinstance(mode, str) else mode


def say_first(error: ValidationError) -> str:
    """Put the first finding of pydantic into one sentence that names the key."""
    first = error.errors(include_url=False)[0]
    key = str(first["loc"][0]) if first["loc"] else ""  # what follows is pydantic's way through a union
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "missing":
        return f"the key {key!r} is missing."
    if not key:
        return f"{message}."
    return f"{key} is {first['input']!r}, which is wrong: {message[0].lower()}{message[1:]}."
