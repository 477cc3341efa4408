"""Recorded data as episodes to train on: any dataset that `open_episodes` reads, or shards of recorded Push-T."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from cosmos_robot.datasets.episode import Episode, Episodes
from cosmos_robot.datasets.open_episodes import open_episodes
from cosmos_robot.datasets.windows import resampled_steps, windows
from cosmos_robot.domains.channels import PoseConvention
from cosmos_robot.domains.domain import Domain
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.training.pusht_prompts import hindsight_prompt
from cosmos_robot.training.pusht_recording import HELD_OUT_SEED, PushTRecording, read_shard, recorded_shards
from cosmos_robot.training.window_cutter import TrainingEpisode

_PUSHT_CHANNELS = 2
_PIECE_CHUNKS = 2
"""A prompt tells of so many chunks: what is said may come after the window that is trained on."""


def episodes_in(
    source: str | Path, domain: Domain, chunk: int, cameras: Sequence[str] | None = None
) -> Iterator[TrainingEpisode]:
    """Read recorded data.

    A dataset's episodes come whole, at the domain's frame rate and on its canvas of cameras, with their task; those
    shorter than a chunk are left out. Push-T shards come in pieces for each of which one prompt tells what happens.

    Args:
        source: folder, file or Hub id of a dataset; or a folder of recorded Push-T (`pusht_*.npz`).
        domain: the robot that is trained.
        chunk: actions of a training window.
        cameras: a dataset's cameras to show; None goes by the names that the domain knows.

    Raises:
        InvalidInputError: if there are no recordings, they do not fit the domain, or an episode is held out.
        EpisodeError: if data are damaged.
    """
    if Path(source).is_dir() and any(Path(source).glob("pusht_*.npz")):
        return _pusht_pieces(Path(source), domain, chunk)
    _require_trainable(domain)
    return _whole_episodes(open_episodes(source), source, domain, chunk, cameras)


def _whole_episodes(
    episodes: Episodes, source: str | Path, domain: Domain, chunk: int, cameras: Sequence[str] | None
) -> Iterator[TrainingEpisode]:
    long_enough = 0
    with episodes as dataset:
        for episode in dataset:
            actions = _whole_actions(episode, domain.fps)
            if actions < chunk:
                continue
            long_enough += 1
            window = windows([episode], domain, chunk=actions, cameras=cameras)[0]
            yield TrainingEpisode(frames=window.frames, actions=window.actions.values, prompt=window.prompt)
    if not long_enough:
        raise InvalidInputError(
            f"no episode of {source} has the {chunk} actions of a training window at {domain.fps:g} frames a second."
        )


def _whole_actions(episode: Episode, fps: float) -> int:
    """The most actions, in whole latent frames, that an episode has at a frame rate."""
    actions = int((len(episode) - 1) * fps / episode.fps + 1e-6) // 4 * 4
    while actions > 0 and resampled_steps(actions + 1, episode.fps, fps)[-1] > len(episode) - 1:
        actions -= 4
    return max(actions, 0)


def _require_trainable(domain: Domain) -> None:
    if domain.state_row:
        raise InvalidInputError(
            f"domain {domain.name!r} has a clean first action row, the state that the robot is in, which training "
            f"does not lay out; train the pose form of the robot."
        )
    if any(block.convention is PoseConvention.BACKWARD_ANCHORED for block in domain.pose_blocks):
        raise InvalidInputError(
            f"domain {domain.name!r} tells poses from a window's first frame; its windows cannot be cut from whole "
            f"episodes of actions."
        )


def _pusht_pieces(folder: Path, domain: Domain, chunk: int) -> Iterator[TrainingEpisode]:
    paths = recorded_shards(folder)
    if domain.raw_action_dim != _PUSHT_CHANNELS:
        raise InvalidInputError(
            f"{folder} holds Push-T recordings, whose actions have {_PUSHT_CHANNELS} channels; "
            f"domain {domain.name!r} has {domain.raw_action_dim}."
        )
    return (piece for path in paths for recording in read_shard(path) for piece in _pieces(recording, chunk))


def _pieces(recording: PushTRecording, chunk: int) -> Iterator[TrainingEpisode]:
    if recording.seed >= HELD_OUT_SEED:
        raise InvalidInputError(f"episode {recording.seed} is held out for evaluation and not for training.")
    length = _PIECE_CHUNKS * chunk
    for start in range(0, len(recording.actions) - chunk + 1, length):
        stop = min(start + length, len(recording.actions))
        yield TrainingEpisode(
            frames=recording.frames[start : stop + 1],
            actions=recording.actions[start:stop],
            prompt=hindsight_prompt(recording.agent[start : stop + 1], recording.block[start : stop + 1]),
        )
