"""What a world model gave for a job, as files in its folder and a few facts about them."""

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cosmos_robot.datasets.images import write_image
from cosmos_robot.datasets.lossless_video import write_lossless_video
from cosmos_robot.datasets.video import write_video
from cosmos_robot.interface.generation import Generation
from cosmos_robot.serving.question import Question
from cosmos_robot.types import FloatArray, Frames, Rollout, Sound

FOLDER = "answer"
_FACTS = "answer.json"

MEDIA_TYPES = {
    ".mp4": "video/mp4",
    ".mkv": "video/x-matroska",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
}


@dataclass(frozen=True)
class AnsweredItem:
    """One request's answer.

    Attributes:
        media: name of its image or video, or None where there are no frames.
        actions: name of its `.npy` of actions float32 `[T, D]`, or None for the modes without.
        shape: `[N, H, W, 3]` of the frames, or None.
        fps: frames a second.
        seed: that gave it.
        prompt_used: the words that the model was given.
        safety: the safety checker that looked at it.
        notes: sentences about what was answered otherwise than asked.
    """

    media: str | None
    actions: str | None
    shape: tuple[int, ...] | None
    fps: float
    seed: int
    prompt_used: str
    safety: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """A job's answer.

    Attributes:
        folder: where its files are.
        items: one for each request.
        seconds: that generation took; of a batch, the whole batch's.
    """

    folder: Path
    items: tuple[AnsweredItem, ...]
    seconds: float

    @property
    def notes(self) -> tuple[str, ...]:
        """The notes of all items, each once."""
        return tuple(dict.fromkeys(note for item in self.items for note in item.notes))

    def media(self, index: int = 0) -> bytes:
        """The image or video of an item."""
        name = self.items[index].media
        return b"" if name is None else (self.folder / name).read_bytes()

    def actions(self, index: int = 0) -> FloatArray | None:
        """The actions of an item, float32 `[T, D]`, or None."""
        name = self.items[index].actions
        if name is None:
            return None
        found: FloatArray = np.load(self.folder / name, allow_pickle=False)
        return found


def write_answer(
    job_folder: Path,
    question: Question,
    results: Sequence[Rollout | Generation],
    seconds: float,
    *,
    hide: Callable[[str], str],
) -> Answer:
    """Write what was given into a job's folder; the answer appears there whole or not at all.

    Args:
        job_folder: of the job.
        question: that was asked.
        results: one for each of its requests.
        seconds: that generation took.
        hide: takes out of a note what clients are not told.

    Raises:
        InvalidInputError: if a file cannot be written, because the disk is full for instance.
        OSError: likewise.
    """
    folder, partial = job_folder / FOLDER, job_folder / f".{FOLDER}"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    items = tuple(_write_item(partial, index, question, result, hide) for index, result in enumerate(results))
    facts = {"items": [asdict(item) for item in items], "seconds": seconds}
    with (partial / _FACTS).open("w", encoding="utf-8") as file:
        json.dump(facts, file)
        file.flush()
        os.fsync(file.fileno())
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    return Answer(folder, items, seconds)


def read_answer(job_folder: Path) -> Answer | None:
    """Read a job's answer, or None where there is none yet."""
    folder = job_folder / FOLDER
    if not (folder / _FACTS).is_file():
        return None
    facts = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
    return Answer(folder, tuple(_item(row) for row in facts["items"]), facts["seconds"])


def _write_item(
    folder: Path, index: int, question: Question, result: Rollout | Generation, hide: Callable[[str], str]
) -> AnsweredItem:
    frames, sound = _kept(question, result)
    actions, used = (None, result.prompt_used) if isinstance(result, Generation) else (result.actions, result.prompt)
    media = None
    if frames is not None:
        media = f"{index}.{question.image_format if question.image else question.video_format}"
        if question.image:
            write_image(folder / media, frames[0])
        else:
            write = write_video if question.video_format == "mp4" else write_lossless_video
            write(folder / media, frames, result.fps, sound=sound)
    if actions is not None:
        np.save(folder / f"{index}.npy", np.asarray(actions, dtype=np.float32), allow_pickle=False)
    return AnsweredItem(
        media=media,
        actions=None if actions is None else f"{index}.npy",
        shape=None if frames is None else tuple(frames.shape),
        fps=result.fps,
        seed=result.seed,
        prompt_used=used,
        safety=result.safety,
        notes=tuple(map(hide, result.notes)),
    )


def _kept(question: Question, result: Rollout | Generation) -> tuple[Frames | None, Sound | None]:
    """What of the frames and of the sound belongs to the answer."""
    if not isinstance(result, Generation):
        return result.frames, None
    frames, sound, begin = result.numpy(), result.sound, question.skip
    if question.still:
        return frames[-1:], None
    if sound is not None and begin:
        sound = replace(sound, samples=sound.samples[:, round(begin / result.fps * sound.sample_rate) :])
    return frames[begin:], sound


def _item(row: Mapping[str, Any]) -> AnsweredItem:
    shape = row["shape"]
    return AnsweredItem(**{**row, "shape": None if shape is None else tuple(shape), "notes": tuple(row["notes"])})
