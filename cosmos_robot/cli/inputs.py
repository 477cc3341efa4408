"""What a sample names, read and checked against its domain before any checkpoint is loaded."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cosmos_robot.cli.downloads import Downloads
from cosmos_robot.cli.samples import Sample
from cosmos_robot.datasets.action_files import read_actions
from cosmos_robot.datasets.images import IMAGE_SUFFIXES, read_image
from cosmos_robot.datasets.video import VIDEO_SUFFIXES, read_first_frame, read_video
from cosmos_robot.domains.canvas import parse_tier
from cosmos_robot.domains.domain import Domain
from cosmos_robot.domains.registry import get_domain
from cosmos_robot.domains.view_points import require_view_point
from cosmos_robot.errors import InvalidInputError, MediaError
from cosmos_robot.types import Actions, ActionSpace, Frames, require_chunk_size


@dataclass(frozen=True, eq=False)
class SampleInputs:
    """What a sample names.

    Attributes:
        domain: the robot.
        action_chunk_size: transitions of one generation.
        frames: uint8 `[N, H, W, 3]`: the one frame, or the `action_chunk_size + 1` of inverse dynamics.
        actions: of forward dynamics and rollout, or None.
        notes: sentences about what was not used.
    """

    domain: Domain
    action_chunk_size: int
    frames: Frames
    actions: Actions | None
    notes: tuple[str, ...] = ()


def read_inputs(sample: Sample, downloads: Downloads) -> SampleInputs:
    """Read and check everything that a sample names.

    Raises:
        InvalidInputError: if something does not fit; the message says what was expected.
        UnknownFactError: if a fact is needed that nobody has published.
    """
    domain = get_domain(sample.domain_name)
    _check_words(sample, domain)
    actions = _actions(sample, domain, downloads)
    chunk = _chunk_size(sample, domain, actions)
    if sample.num_frames is not None and sample.num_frames != chunk + 1:
        raise InvalidInputError(
            f"num_frames is {sample.num_frames}, but {chunk} actions lie between {chunk + 1} frames; "
            f"leave num_frames out, or set it to {chunk + 1}."
        )
    vision = downloads.local(sample.vision_path)
    if sample.model_mode != "inverse_dynamics":
        return SampleInputs(domain, chunk, _frame(vision)[None], actions)
    frames, notes = _clip(vision, chunk)
    return SampleInputs(domain, chunk, frames, None, notes)


def _check_words(sample: Sample, domain: Domain) -> None:
    if sample.raw_action_dim is not None and sample.raw_action_dim != domain.raw_action_dim:
        raise InvalidInputError(
            f"raw_action_dim is {sample.raw_action_dim}, but actions of domain {domain.name!r} have "
            f"{domain.raw_action_dim} channels ({', '.join(domain.channel_names)})."
        )
    if sample.view_point is not None:
        require_view_point(sample.view_point)
    if sample.tier is not None:
        parse_tier(sample.tier)
    if sample.action_space == "robot":
        _ = domain.normaliser  # raises where nobody has published it
    if sample.model_mode == "policy" and domain.state_row != (sample.state is not None):
        raise InvalidInputError(
            f"domain {domain.name!r} starts from the robot's state; give state as {domain.raw_action_dim} "
            f"numbers: {', '.join(domain.channel_names)}."
            if domain.state_row
            else f"domain {domain.name!r} has no place for a state; leave it out."
        )
    if sample.state is not None:
        domain.check_width(np.array(sample.state), ActionSpace(sample.action_space))


def _actions(sample: Sample, domain: Domain, downloads: Downloads) -> Actions | None:
    if not sample.takes_actions or sample.action_path is None:
        return None
    path = downloads.local(sample.action_path)
    values = read_actions(path)
    space = ActionSpace(sample.action_space)
    domain.check_width(values, space)
    return Actions(values, space, domain.name)


def _chunk_size(sample: Sample, domain: Domain, actions: Actions | None) -> int:
    chunk = sample.action_chunk_size
    if sample.model_mode != "forward_dynamics" or actions is None:
        return require_chunk_size(domain.action_chunk_size if chunk is None else chunk)
    if chunk is not None and chunk != len(actions):
        raise InvalidInputError(
            f"action_chunk_size is {chunk}, but {sample.action_path} has {len(actions)} rows; "
            f"make them equal, or use rollout, which chains chunks."
        )
    return require_chunk_size(len(actions))


def _frame(path: Path) -> Frames:
    suffix = path.suffix.lower()
    if suffix in VIDEO_SUFFIXES:
        return read_first_frame(path)
    if suffix in IMAGE_SUFFIXES:
        return read_image(path)
    raise MediaError(
        f"expected an image ({', '.join(IMAGE_SUFFIXES)}) or a video ({', '.join(VIDEO_SUFFIXES)}); got {path}."
    )


def _clip(path: Path, chunk: int) -> tuple[Frames, tuple[str, ...]]:
    if path.suffix.lower() not in VIDEO_SUFFIXES:
        raise MediaError(f"inverse dynamics reads a video ({', '.join(VIDEO_SUFFIXES)}); got {path}.")
    frames, _ = read_video(path, max_frames=chunk + 2)  # one more than is used tells whether there is more
    if len(frames) < chunk + 1:
        raise MediaError(
            f"the video {path} has too few frames: {len(frames)}, where {chunk} actions lie between "
            f"{chunk + 1}. Use a longer video or a smaller action_chunk_size."
        )
    if len(frames) == chunk + 1:
        return frames, ()
    return frames[: chunk + 1], (f"the video is longer; its first {chunk + 1} frames were read.",)
