"""What a job asks of the world model, in a form that outlives the process: plain words in JSON, arrays in one file."""

import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np

from cosmos_robot.domains.registry import get_domain
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.interface.media_request import MediaRequest
from cosmos_robot.interface.request import ActionRequest
from cosmos_robot.types import Actions, ActionSpace

ImageFormat = Literal["jpg", "png", "webp"]
VideoFormat = Literal["mp4", "mkv"]

type Request = ActionRequest | MediaRequest

_ARRAYS = ("frames", "actions", "state")
_OWN_WORDS = ("image_format", "video_format", "skip", "still")
_WORDS, _NUMBERS = "question.json", "question.npz"


@dataclass(frozen=True, eq=False)
class Question:
    """What one job asks: requests of one mode, answered together.

    Attributes:
        requests: of one mode.
        image_format: what images are written as.
        video_format: what videos are written as: "mp4" for the eye, "mkv" without loss.
        skip: frames at a video's beginning that are no part of the answer: what it goes on from.
        still: whether of a video the last frame alone is the answer, as an image.
    """

    requests: tuple[Request, ...]
    image_format: ImageFormat = "jpg"
    video_format: VideoFormat = "mp4"
    skip: int = 0
    still: bool = False

    def __post_init__(self) -> None:
        if len({request.mode for request in self.requests}) != 1:
            raise InvalidInputError("the requests of one job are of one mode, at least one of them.")

    @property
    def mode(self) -> str:
        """The mode of all requests."""
        return self.requests[0].mode

    @property
    def image(self) -> bool:
        """Whether the answers are images."""
        return self.still or self.mode == "text2image"

    @property
    def batch_key(self) -> str:
        """Jobs with equal keys can share a forward pass."""
        return " ".join(sorted({_batch_key(request) for request in self.requests}))

    def write(self, folder: Path) -> None:
        """Write it into a folder."""
        arrays: dict[str, Any] = {}
        rows = []
        for index, request in enumerate(self.requests):
            words = {item.name: getattr(request, item.name) for item in fields(request)}
            for name in _ARRAYS:
                value = words.pop(name, None)
                if value is not None:
                    arrays[f"{index}.{name}"] = value.values if isinstance(value, Actions) else value
            if isinstance(request, ActionRequest):
                words["domain"] = request.domain.name
                words["given_space"] = None if request.actions is None else request.actions.space
            rows.append(words)
        own = {name: getattr(self, name) for name in _OWN_WORDS}
        text = json.dumps({"requests": rows, **own}, ensure_ascii=True)
        (folder / _WORDS).write_text(text, encoding="utf-8")
        with (folder / _NUMBERS).open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    @classmethod
    def read(cls, folder: Path) -> "Question":
        """Read what `write` wrote."""
        found = json.loads((folder / _WORDS).read_text(encoding="utf-8"))
        with np.load(folder / _NUMBERS, allow_pickle=False) as arrays:
            requests = tuple(_request(row, index, arrays) for index, row in enumerate(found["requests"]))
        return cls(requests, **{name: found[name] for name in _OWN_WORDS if name in found})

    @staticmethod
    def drop_media(folder: Path) -> None:
        """Remove the arrays of a question that is not asked again: they take more room than all else."""
        with contextlib.suppress(OSError):  # the folder is forgotten with its job in the end
            (folder / _NUMBERS).unlink()


def _request(words: dict[str, Any], index: int, arrays: Mapping[str, Any]) -> Request:
    given = {name: arrays[key] for name in _ARRAYS if (key := f"{index}.{name}") in arrays}
    words["notes"] = tuple(words["notes"])
    make: Callable[..., Request]
    if "domain" in words:
        make = ActionRequest
        space = words.pop("given_space")
        words["domain"] = get_domain(words["domain"])
        words["action_space"] = ActionSpace(words["action_space"])
        if "actions" in given:
            given["actions"] = Actions(given["actions"], ActionSpace(space), words["domain"].name)
    else:
        make = MediaRequest
        words["condition_frame_indexes_vision"] = tuple(words["condition_frame_indexes_vision"])
        interval = words["guidance_interval"]
        words["guidance_interval"] = None if interval is None else tuple(interval)
    return make(**words, **given)


_OWN = {"prompt", "upsampled_prompt", "negative_prompt", "seed", "notes", *_ARRAYS, "domain", "action_space"}
"""What may differ within a forward pass, or stands in the key in another form."""


def _batch_key(request: Request) -> str:
    shared = {item.name: getattr(request, item.name) for item in fields(request) if item.name not in _OWN}
    shared["size"] = None if request.frames is None else request.frames.shape[-3:-1]
    if isinstance(request, ActionRequest):
        shared["domain"] = request.domain.name
    return json.dumps(shared, sort_keys=True, separators=(",", ":"))
