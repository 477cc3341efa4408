"""The folder of a sample: written whole under a temporary name, then moved.

It holds `sample_args.json` (the sample, which `run` takes again), `sample_outputs.json` and, where there are any,
`actions.json` and `vision.mp4` (or `vision.jpg`, `.png`, `.webp`).
"""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ValidationError

from cosmos_robot.cli.media_answers import CANDIDATE, MediaOutputs, describe_candidates, vision_file, write_media
from cosmos_robot.cli.media_samples import AnySample, MediaSample, parse_any_sample
from cosmos_robot.cli.model_choice import ModelRecord
from cosmos_robot.cli.reason_samples import ReasonOutputs, ReasonSample
from cosmos_robot.cli.samples import Sample
from cosmos_robot.datasets.action_files import write_actions_json
from cosmos_robot.datasets.video import write_video
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.interface.generation import Generation
from cosmos_robot.interface.reason import Reasoning
from cosmos_robot.types import Rollout

ARGUMENTS = "sample_args.json"
OUTPUTS = "sample_outputs.json"
ACTIONS = "actions.json"
VISION = "vision.mp4"
IMAGES = ("vision.jpg", "vision.png", "vision.webp")


TEXT = "text.txt"


class SampleOutputs(ModelRecord):
    """What came of a sample, with what it was generated with.

    Attributes:
        name: of the sample.
        status: always "ok": a sample that failed has no folder.
        mode: the question that was asked.
        domain: canonical name of the domain.
        files: names of the files beside this one.
        frames_shape: `[N, H, W, 3]`, or None where no frames were wanted.
        actions_shape: `[T, D]`.
        action_space: units of `actions.json`.
        fps: frames a second.
        seed: that gave it.
        safety: the safety checker that looked at prompt and frames.
        seconds: that generation took; of a batch, the whole batch's.
        warnings: sentences of doubt, from this sample's batch.
        notes: sentences about what was answered otherwise than asked.
    """

    name: str
    status: Literal["ok"] = "ok"
    mode: str
    domain: str
    files: list[str]
    frames_shape: list[int] | None
    actions_shape: list[int]
    action_space: str
    fps: float
    seed: int
    safety: str
    seconds: float
    warnings: list[str]
    notes: list[str]


type AnyAnswer = Rollout | Generation | Reasoning
type AnyOutputs = SampleOutputs | MediaOutputs | ReasonOutputs

_KINDS: dict[type[AnySample], type[AnyOutputs]] = {
    Sample: SampleOutputs,
    MediaSample: MediaOutputs,
    ReasonSample: ReasonOutputs,
}


def describe_outputs(
    sample: Sample,
    rollout: Rollout,
    record: ModelRecord,
    *,
    seconds: float,
    warnings: Sequence[str],
    notes: Sequence[str],
) -> SampleOutputs:
    """Say what came of a sample; for the arguments see `SampleOutputs`. The rollout's notes come last."""
    frames = rollout.frames
    return SampleOutputs(
        **dict(record),
        name=sample.name,
        mode=sample.model_mode,
        domain=rollout.domain,
        files=[ARGUMENTS, ACTIONS] if frames is None else [ARGUMENTS, ACTIONS, VISION],
        frames_shape=None if frames is None else list(frames.shape),
        actions_shape=list(rollout.actions.shape),
        action_space=rollout.action_space.value,
        fps=rollout.fps,
        seed=rollout.seed,
        safety=rollout.safety,
        seconds=round(seconds, 3),
        warnings=list(warnings),
        notes=[*notes, *rollout.notes],
    )


def describe_media(
    sample: MediaSample,
    generation: Generation,
    record: ModelRecord,
    *,
    seconds: float,
    warnings: Sequence[str],
) -> MediaOutputs:
    """Say what came of a sample without actions; for the arguments see `MediaOutputs`."""
    sound, candidates = generation.sound, describe_candidates(sample, generation)
    return MediaOutputs(
        **dict(record),
        name=sample.name,
        mode=sample.model_mode,
        files=[ARGUMENTS, vision_file(sample), *(candidate.file for candidate in candidates or ())],
        frames_shape=list(generation.frames.shape),
        fps=generation.fps,
        sound_shape=None if sound is None else list(sound.samples.shape),
        sample_rate=None if sound is None else sound.sample_rate,
        seed=generation.seed,
        prompt_used=generation.prompt_used,
        safety=generation.safety,
        candidates=candidates,
        chosen=None if generation.agentic is None else generation.agentic.chosen,
        seconds=round(seconds, 3),
        warnings=list(warnings),
        notes=list(generation.notes),
    )


def write_sample(folder: Path, sample: AnySample, answer: AnyAnswer, outputs: AnyOutputs) -> None:
    """Write a sample's folder, which appears only when it is complete and replaces an older one.

    Args:
        folder: where it shall be.
        sample: what was asked.
        answer: what was answered.
        outputs: what is to be said about it.

    Raises:
        InvalidInputError: if the folder cannot be written.
    """
    with _moved_when_complete(folder) as partial:
        if isinstance(answer, Generation) and isinstance(sample, MediaSample):
            write_media(partial, sample, answer)
        elif isinstance(answer, Rollout):
            _write_rollout(partial, answer)
        elif isinstance(answer, Reasoning):
            (partial / TEXT).write_text(answer.text, encoding="utf-8")
        _write_json(partial / ARGUMENTS, sample)
        _write_json(partial / OUTPUTS, outputs)


def _write_rollout(folder: Path, rollout: Rollout) -> None:
    if rollout.frames is not None:
        write_video(folder / VISION, rollout.frames, rollout.fps)
    write_actions_json(folder / ACTIONS, rollout.actions)


def is_done(folder: Path, sample: AnySample, record: ModelRecord) -> bool:
    """Whether `folder` holds the answer to exactly this sample, generated with what `record` says.

    Raises:
        InvalidInputError: if it holds something else, the message says what differs; or cannot be made.
    """
    if _is_free(folder):
        return False
    arguments, outputs = folder / ARGUMENTS, folder / OUTPUTS
    if not (arguments.is_file() and outputs.is_file()):
        raise InvalidInputError(
            f"{folder} exists and was not written by this program; choose another folder with --out."
        )
    then, by = _read(arguments, outputs)
    differing = [
        f"{key} was {before!r} and is {now!r}"
        for key, before, now in (
            *((key, getattr(by, key), getattr(record, key)) for key in ModelRecord.model_fields),
            *((key, getattr(then, key, None), getattr(sample, key)) for key in type(sample).model_fields),
        )
        if before != now
    ]
    if differing:
        raise InvalidInputError(
            f"{folder} is finished with other arguments ({'; '.join(differing)}). "
            f"Pass --overwrite to replace it, or choose another folder with --out."
        )
    return True


def require_replaceable(folder: Path) -> None:
    """Check that `folder` is absent, empty, or a sample's folder that may be replaced.

    Raises:
        InvalidInputError: if it holds anything that this program did not write, or cannot be made.
    """
    if _is_free(folder):
        return
    own = {ARGUMENTS, OUTPUTS, ACTIONS, VISION, TEXT, *IMAGES}
    names = {entry.name for entry in folder.iterdir()} if folder.is_dir() else {"a file"}
    if {name for name in names - own if not name.startswith(CANDIDATE)}:
        raise InvalidInputError(
            f"{folder} holds something that this program did not write, so it is not replaced; "
            f"choose another folder with --out."
        )


def _is_free(folder: Path) -> bool:
    if folder.exists():
        return folder.is_dir() and not any(folder.iterdir())
    require_writable(folder)
    return True


def require_writable(folder: Path) -> None:
    """Check that files can be put into a folder that is there or can be made: now, not after an hour.

    Raises:
        InvalidInputError: if they cannot.
    """
    place = folder.absolute()
    above = next(parent for parent in (place, *place.parents) if parent.exists())
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        what = f"write into {folder}" if above == place else f"make the folder {folder}"
        raise InvalidInputError(
            f"cannot {what}: {above} is not a folder that may be written to. Choose another with --out."
        )


@contextmanager
def _moved_when_complete(folder: Path) -> Iterator[Path]:
    folder = folder.resolve()
    partial = folder.with_name(f".{folder.name}.partial")
    replaced = folder.with_name(f".{folder.name}.replaced")
    try:
        for left_over in (partial, replaced):  # by a run that was killed
            shutil.rmtree(left_over, ignore_errors=True)
        partial.mkdir(parents=True)
        yield partial
        if folder.exists():
            folder.rename(replaced)
        partial.rename(folder)
    except OSError as error:
        raise InvalidInputError(f"cannot write {folder}: {error.strerror or error}.") from error
    finally:
        if replaced.exists() and not folder.exists():  # interrupted between the two moves
            replaced.rename(folder)
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(replaced, ignore_errors=True)


def _write_json(path: Path, model: BaseModel) -> None:
    content = model.model_dump(mode="json")
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _read(arguments: Path, outputs: Path) -> tuple[AnySample, AnyOutputs]:
    try:
        raw = json.loads(arguments.read_text(encoding="utf-8"))
        sample = parse_any_sample(raw, place=str(arguments), folder=arguments.parent)
        by = _KINDS[type(sample)].model_validate_json(outputs.read_text(encoding="utf-8"))
    except (OSError, ValidationError, json.JSONDecodeError) as error:
        raise InvalidInputError(f"{arguments.parent} cannot be read as a finished sample; remove it.") from error
    return sample, by
