"""Folders of recordings as episodes to train on."""

from collections.abc import Iterator
from pathlib import Path

from cosmos_robot.domains.domain import Domain
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.training.fine_tuning import TrainingEpisode
from cosmos_robot.training.pusht_prompts import hindsight_prompt
from cosmos_robot.training.pusht_recording import HELD_OUT_SEED, PushTRecording, read_shard, recorded_shards

_CHANNELS = 2
_PIECE_CHUNKS = 2
"""A prompt tells of so many chunks: what is said may come after the window that is trained on."""


def episodes_in(folder: Path, domain: Domain, chunk: int) -> Iterator[TrainingEpisode]:
    """Read recorded Push-T (`pusht_*.npz`), cut into pieces for each of which one prompt tells what happens.

    Args:
        folder: of the shards.
        domain: the robot that is trained; it must have Push-T's two channels.
        chunk: actions of a training window.

    Raises:
        InvalidInputError: if there are no recordings, the domain is not of their form, or an episode is held out.
    """
    paths = recorded_shards(folder)
    if domain.raw_action_dim != _CHANNELS:
        raise InvalidInputError(
            f"{folder} holds Push-T recordings, whose actions have {_CHANNELS} channels; "
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
