"""Samples of the modes without actions: what they name, read and checked; asked of a world model; written."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from cosmos_robot.cli.downloads import Downloads
from cosmos_robot.cli.media_samples import MediaSample
from cosmos_robot.cli.model_choice import ModelRecord
from cosmos_robot.datasets.images import IMAGE_SUFFIXES, read_image, write_image
from cosmos_robot.datasets.sound_track import has_sound
from cosmos_robot.datasets.video import VIDEO_SUFFIXES, read_first_frame, read_video, write_video
from cosmos_robot.errors import MediaError
from cosmos_robot.interface.extend import extend
from cosmos_robot.interface.generation import Generation
from cosmos_robot.interface.media_request import MediaMode, MediaRequest
from cosmos_robot.interface.world_model import WorldModel
from cosmos_robot.types import Frames, Progress

CANDIDATE = "candidate_"


@dataclass(frozen=True)
class MediaKind:
    """What the samples of one generation have in common; samples of equal kinds can go together.

    Attributes:
        settings: the sample without what may differ, as JSON.
        extra_frames: how many frames an extension adds.
    """

    settings: str
    extra_frames: int | None

    @classmethod
    def of(cls, sample: MediaSample) -> "MediaKind":
        """Find the kind of a sample."""
        own = {"name", "prompt", "negative_prompt", "vision_path", "seed", "image_format", "extra"}
        return cls(sample.model_dump_json(exclude=own), sample.extra_frames)


class CandidateOutputs(BaseModel):
    """One of several candidates.

    Attributes:
        file: its picture or video.
        iteration: its round, from 0 on.
        seed: that gave it.
        prompt: of its round.
        prompt_used: the words that the model was given.
        score: the critic's, from 0 to 10, or None where it gave none.
        scores: what that is the mean of.
        problems: what the critic found wrong.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str
    iteration: int
    seed: int
    prompt: str
    prompt_used: str
    score: float | None
    scores: dict[str, float]
    problems: str


class MediaOutputs(ModelRecord):
    """What came of a sample, with what it was generated with.

    Attributes:
        name: of the sample.
        status: always "ok": a sample that failed has no folder.
        mode: what was asked for.
        files: names of the files beside this one.
        frames_shape: `[N, H, W, 3]`.
        fps: frames a second.
        sound_shape: `[channels, samples]`, or None for a silent one.
        sample_rate: samples a second, or None.
        seed: that gave it.
        prompt_used: the words that the model was given.
        safety: the safety checker that looked at prompt and frames.
        candidates: all of them, where it was chosen among several; None where not.
        chosen: which of them it is, or None.
        seconds: that generation took; of a batch, the whole batch's.
        warnings: sentences of doubt, from this sample's batch.
        notes: sentences about what was answered otherwise than asked.
    """

    name: str
    status: Literal["ok"] = "ok"
    mode: str
    files: list[str]
    frames_shape: list[int]
    fps: float
    sound_shape: list[int] | None
    sample_rate: int | None
    seed: int
    prompt_used: str
    safety: str = "off"
    candidates: list[CandidateOutputs] | None = None
    chosen: int | None = None
    seconds: float
    warnings: list[str]
    notes: list[str]


def read_media_request(sample: MediaSample, downloads: Downloads) -> MediaRequest:
    """Read and check everything that a sample names.

    Raises:
        InvalidInputError: if something does not fit; the message says what was expected.
    """
    extends = sample.model_mode == "extend_video"
    mode: MediaMode = "video2video" if sample.model_mode == "extend_video" else sample.model_mode
    path = None if sample.vision_path is None else downloads.local(sample.vision_path)
    frames, file_fps = (None, None) if path is None else _vision(sample, path)
    silenced = extends and path is not None and has_sound(path)
    interval = sample.guidance_interval
    return MediaRequest(
        mode=mode,
        prompt=sample.prompt,
        frames=frames,
        condition_frame_indexes_vision=tuple(sample.condition_frame_indexes_vision),
        condition_video_keep="last" if extends else sample.condition_video_keep,
        negative_prompt=sample.negative_prompt,
        resolution=sample.resolution,
        aspect_ratio=sample.aspect_ratio,
        height=sample.height,
        width=sample.width,
        num_frames=sample.num_frames,
        fps=file_fps if extends and sample.fps is None else sample.fps,
        enable_sound=sample.enable_sound,
        num_steps=sample.num_steps,
        guidance=sample.guidance,
        guidance_interval=None if interval is None else (interval[0], interval[1]),
        shift=sample.shift,
        upsample=sample.upsample,
        agentic=sample.agentic,
        agentic_max_iterations=sample.agentic_max_iterations,
        agentic_samples_per_iteration=sample.agentic_samples_per_iteration,
        agentic_early_stop=sample.agentic_early_stop,
        seed=sample.seed,
        notes=("the sound of the given video is left out.",) if silenced else (),
    )


def answer_media(
    world_model: WorldModel, kind: MediaKind, sample: MediaSample, requests: Sequence[MediaRequest], progress: Progress
) -> list[Generation]:
    """Ask a world model for the answers to samples of one kind, in one call.

    Args:
        world_model: what generates.
        kind: of the samples.
        sample: one of them.
        requests: of all of them.
        progress: told of each denoising step.
    """
    if sample.model_mode == "extend_video":
        return extend(world_model, requests, extra_frames=kind.extra_frames, progress=progress)
    return world_model.generate_media(requests, progress=progress)


def vision_file(sample: MediaSample) -> str:
    """Name of the file that a sample's picture or video goes to."""
    return f"vision.{sample.image_format}" if sample.model_mode == "text2image" else "vision.mp4"


def write_media(folder: Path, sample: MediaSample, generation: Generation) -> None:
    """Write a sample's picture, or its video with sound, into a folder.

    Raises:
        InvalidInputError: if it cannot be written.
    """
    _write(folder / vision_file(sample), generation)
    for index, candidate in enumerate(() if generation.agentic is None else generation.agentic.candidates):
        _write(folder / candidate_file(sample, index), candidate.generation)


def candidate_file(sample: MediaSample, index: int) -> str:
    """Name of the file that a candidate goes to."""
    return f"{CANDIDATE}{index}{Path(vision_file(sample)).suffix}"


def describe_candidates(sample: MediaSample, generation: Generation) -> list[CandidateOutputs] | None:
    """Say what came of all candidates, or None where there was one generation alone."""
    if generation.agentic is None:
        return None
    return [
        CandidateOutputs(
            file=candidate_file(sample, index),
            iteration=candidate.iteration,
            seed=candidate.generation.seed,
            prompt=candidate.generation.prompt,
            prompt_used=candidate.generation.prompt_used,
            score=candidate.score,
            scores=candidate.scores,
            problems=candidate.problems,
        )
        for index, candidate in enumerate(generation.agentic.candidates)
    ]


def _write(path: Path, generation: Generation) -> None:
    if path.suffix in IMAGE_SUFFIXES:
        write_image(path, generation.numpy()[0])
    else:
        write_video(path, generation.numpy(), generation.fps, sound=generation.sound)


def _vision(sample: MediaSample, path: Path) -> tuple[Frames, float | None]:
    suffix = path.suffix.lower()
    if sample.takes_image and suffix in IMAGE_SUFFIXES:
        return read_image(path)[None], None
    if suffix not in VIDEO_SUFFIXES:
        allowed = (*IMAGE_SUFFIXES, *VIDEO_SUFFIXES) if sample.takes_image else VIDEO_SUFFIXES
        raise MediaError(f"{sample.model_mode} starts from one of {', '.join(allowed)}; got {path}.")
    if sample.takes_image:
        return read_first_frame(path)[None], None
    needed = max(sample.condition_frame_indexes_vision) * 4 + 1
    if sample.model_mode == "extend_video":
        return read_video(path)
    return read_video(path, max_frames=needed, last=sample.condition_video_keep == "last")
