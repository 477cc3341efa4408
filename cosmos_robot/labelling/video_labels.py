"""Inverse dynamics over a video of any length: what the robot did between every two frames, and where it was.

The video is read chunk after chunk, each of which begins with the last frame of the one before. What is left at the
end is shorter than a chunk. It is read off the video's last whole chunk of frames, which overlaps the one before, so
that the model never sees a frame that was made up; only the actions that are new are taken of that answer.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from cosmos_robot.datasets.windows import AS_FAST, require_rate
from cosmos_robot.domains.channels import PoseBlock, PoseConvention
from cosmos_robot.domains.domain import Domain
from cosmos_robot.domains.poses import Float64, pose9_from_matrix
from cosmos_robot.errors import InvalidInputError, MediaError
from cosmos_robot.interface.chain import chunk_seed
from cosmos_robot.interface.world_model import WorldModel
from cosmos_robot.types import FloatArray, Frames, Progress, require_chunk_size


@dataclass(frozen=True)
class LabelSettings:
    """How actions are read off videos.

    Attributes:
        domain: the robot.
        prompt: what the robot does in the videos.
        seed: of the noise; chunk k of a video has the seed `chunk_seed(seed, k)`.
        num_steps: denoising steps; None is the checkpoint's own.
        action_chunk_size: actions of one answer; None is the domain's own.
        fps: frames a second of the labelled data; None is the domain's own.
        batch: chunks that share a forward pass.
    """

    domain: Domain
    prompt: str = ""
    seed: int = 0
    num_steps: int | None = None
    action_chunk_size: int | None = None
    fps: float | None = None
    batch: int = 1

    @property
    def chunk(self) -> int:
        """Actions of one answer."""
        own = self.action_chunk_size
        return require_chunk_size(self.domain.action_chunk_size if own is None else own)

    @property
    def rate(self) -> float:
        """Frames a second of the labelled data."""
        return require_rate(self.domain.fps if self.fps is None else self.fps)


@dataclass(frozen=True, eq=False)
class LabelledFrames:
    """Some frames in a row.

    Attributes:
        frames: uint8 `[N, H, W, 3]`.
        actions: float32 `[N, D]` in robot units: row i leads from frame i to the next, which for the last one is the
            first of the next piece. The video's last frame, from which nothing leads on, has the action before it.
        poses: float64 `[N, 4, 4]` of each pose block, in the model's frame, from the identity at the video's start.
    """

    frames: Frames
    actions: FloatArray
    poses: dict[str, Float64]


def pose_blocks(domain: Domain) -> tuple[PoseBlock, ...]:
    """The blocks whose steps add up to a trajectory.

    Raises:
        InvalidInputError: if steps are told from the start of a chunk, so that chunks cannot be chained.
    """
    for block in domain.pose_blocks:
        if block.convention is PoseConvention.BACKWARD_ANCHORED:
            raise InvalidInputError(
                f"pose {block.name!r} of domain {domain.name!r} is told from the first frame of a chunk; videos "
                f"longer than one chunk cannot be labelled with it."
            )
    return tuple(b for b in domain.pose_blocks if b.convention is PoseConvention.BACKWARD_FRAMEWISE)


def resampled(frames: Iterable[tuple[float, Frames]], recorded_fps: float, fps: float) -> Iterator[Frames]:
    """Take from a video the frames that are nearest in time to those of another rate, each at most once.

    A video that is up to a thousandth slower, as 29.97 frames a second are beside 30, is taken frame by frame.

    Args:
        frames: with the time of each, in seconds from the first.
        recorded_fps: frames a second of the video on average.
        fps: frames a second that are wanted.

    Raises:
        MediaError: if the video has fewer frames a second than are wanted, all in all or somewhere in it: frames
            would be doubled, and between them lies no action.
    """
    if recorded_fps < fps * AS_FAST:
        raise MediaError(f"the video has {recorded_fps:g} frames a second, the labelled data shall have {fps:g}.")
    taken = 0
    for time, after, frame in _with_next(frames, 1 / recorded_fps):
        if after - time > 1.5 / fps or time * AS_FAST - taken / fps > 0.75 / fps:
            raise MediaError(
                f"the video's frames do not come evenly: about {time:.2f} s into it they are too far apart for "
                f"{fps:g} a second. Write it again with a fixed rate, or ask for a lower one."
            )
        if taken / fps <= (time + after) / 2 + 1e-6:  # of two that are equally near it is the earlier
            yield frame
            taken += 1


def _with_next(frames: Iterable[tuple[float, Frames]], last: float) -> Iterator[tuple[float, float, Frames]]:
    """The time of each frame and of the next one; the last frame lasts so many seconds."""
    held: tuple[float, Frames] | None = None
    for current in frames:
        if held is not None:
            yield held[0], current[0], held[1]
        held = current
    if held is not None:
        yield held[0], held[0] + last, held[1]


def label_video(
    model: WorldModel, frames: Iterable[Frames], settings: LabelSettings, progress: Progress | None = None
) -> Iterator[LabelledFrames]:
    """Read off a video what the robot did.

    Args:
        model: answers inverse dynamics.
        frames: uint8 `[H, W, 3]` at the rate of the settings; taken when they are needed.
        settings: the robot, and how it is asked.
        progress: told of each denoising step of each answer.

    Yields:
        the video's frames in pieces, each once, with actions and poses.

    Raises:
        MediaError: if the video has fewer than five frames.
    """
    chunker = _Chunks(model, settings, progress)
    labels = _Poses(settings.domain)
    chunk, source = settings.chunk, iter(frames)
    piece = list(islice(source, 1))
    before: list[Frames] = []
    action: FloatArray | None = None
    while len(more := list(islice(source, chunk * settings.batch))) >= chunk:
        piece += more
        whole = (len(piece) - 1) // chunk
        for answer in chunker.read([piece[k * chunk : (k + 1) * chunk + 1] for k in range(whole)]):
            yield labels.label(piece[:chunk], answer)
            before, piece, action = piece[:chunk], piece[chunk:], answer[-1:]
        if len(more) < chunk * settings.batch:
            more = []
            break
    piece += more
    left = len(piece) - 1
    if left > 0:
        for rows in _rest(chunker, before, piece, chunk):
            yield labels.label(piece[: len(rows)], rows)
            piece, action = piece[len(rows) :], rows[-1:]
    if action is None:
        raise MediaError(f"the video is too short: it has {len(piece)} frame(s) at {settings.rate:g} a second.")
    yield labels.label(piece, action)


def _rest(chunker: "_Chunks", before: list[Frames], piece: list[Frames], chunk: int) -> Iterator[FloatArray]:
    left = len(piece) - 1
    if before:
        [answer] = chunker.read([[*before, *piece][-(chunk + 1) :]])
        yield answer[-left:]
        return
    short = left // 4 * 4  # the whole video is shorter than a chunk: the longest that fits
    if short < 4:
        raise MediaError(f"the video is too short: {left + 1} frames, where four actions lie between five.")
    [answer] = chunker.read([piece[: short + 1]])
    yield answer
    if left > short:
        [answer] = chunker.read([piece[-(short + 1) :]])
        yield answer[-(left - short) :]


class _Chunks:
    """Asks the model, and counts the chunks for their seeds."""

    def __init__(self, model: WorldModel, settings: LabelSettings, progress: Progress | None) -> None:
        self._model, self._settings, self._progress = model, settings, progress
        self._asked = 0

    def read(self, clips: Sequence[Sequence[Frames]]) -> list[FloatArray]:
        seeds = [chunk_seed(self._settings.seed, self._asked + k) for k in range(len(clips))]
        self._asked += len(clips)
        answers = self._model.inverse_dynamics(
            [np.stack(clip) for clip in clips],
            domain=self._settings.domain,
            action_chunk_size=len(clips[0]) - 1,
            prompt=self._settings.prompt,
            fps=self._settings.rate,
            num_steps=self._settings.num_steps,
            seed=seeds,
            progress=self._progress,
        )
        return [answer.actions for answer in answers]


class _Poses:
    """Adds up the steps of poses, piece after piece."""

    def __init__(self, domain: Domain) -> None:
        self._blocks = pose_blocks(domain)
        self._now = {block.name: np.eye(4) for block in self._blocks}

    def label(self, frames: Sequence[Frames], actions: NDArray[np.float32]) -> LabelledFrames:
        poses: dict[str, Float64] = {}
        for block in self._blocks:
            trajectory = block.integrate(actions[:, block.columns], self._now[block.name])
            poses[block.name], self._now[block.name] = trajectory[:-1], trajectory[-1]
        return LabelledFrames(np.stack(frames), actions, poses)


def pose_rows(poses: Float64) -> FloatArray:
    """Poses `[N, 4, 4]` as rows of nine numbers, float32 `[N, 9]`."""
    return pose9_from_matrix(poses).astype(np.float32)
