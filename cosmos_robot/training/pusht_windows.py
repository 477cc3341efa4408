"""Cuts Push-T recordings into windows of 16 actions and caches their latents."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cosmos_robot.domains.registry import get_domain
from cosmos_robot.training.autoencoder_forward import encode_moments
from cosmos_robot.training.precision import bfloat16_where_it_pays
from cosmos_robot.training.progress import counted
from cosmos_robot.training.pusht_clips import to_pixels
from cosmos_robot.training.pusht_prompts import hindsight_prompt
from cosmos_robot.training.pusht_recording import PushTRecording, read_shard, recorded_shards
from cosmos_robot.training.windows import LatentWindows
from cosmos_robot.types import FloatArray

type LatentEncoder = Callable[[Tensor], Tensor]

CHUNK = 16


@dataclass(frozen=True)
class WindowConfig:
    """Which windows are cut.

    Attributes:
        per_episode: windows of each episode, at random starts.
        look_ahead: most actions after the window that its goal may speak of, any number of them equally likely: so that
            a policy is told "push the T to the left" also where the pusher is still on its way.
        quiet_share: share of the windows in which neither the T nor the pusher moves that is kept.
        seed: of the starts and the wordings, together with the episode's own.
        batch: windows encoded at once.
        compile: whether the encoder is compiled, and runs in bfloat16 where that is faster.
    """

    per_episode: int = 16
    look_ahead: int = 32
    quiet_share: float = 0.4
    seed: int = 0
    batch: int = 8
    compile: bool = False


def cache_windows(vae: Any, recordings: Path, out: Path, config: WindowConfig) -> None:
    """Make the cached windows of every recorded shard that has none yet.

    Args:
        vae: the trained `AutoencoderKLWan`.
        recordings: folder of recorded shards.
        out: folder of the cached windows.
        config: which windows.
    """
    out.mkdir(parents=True, exist_ok=True)
    encode = latent_encoder(vae, compiled=config.compile)
    paths = recorded_shards(recordings)
    for path in counted(paths, "encoding windows", len(paths)):
        target = out / f"windows_{path.stem}.npz"
        if not target.exists():
            encode_windows(encode, read_shard(path), config).save(target)


def encode_windows(
    encode: LatentEncoder,
    episodes: list[PushTRecording],
    config: WindowConfig,
    *,
    starts: Mapping[int, Sequence[int]] | None = None,
) -> LatentWindows:
    """Cut and encode the windows of some episodes, in the episodes' order.

    Args:
        encode: from `latent_encoder`.
        episodes: recorded ones.
        config: which windows.
        starts: of each episode's windows, by its seed; None draws them.
    """
    domain = get_domain("pusht")
    frames: list[NDArray[np.uint8]] = []
    actions, states = [], []
    prompts: list[str] = []
    goals: list[str] = []
    for episode in episodes:
        rng = np.random.default_rng([config.seed, episode.seed])
        for start in _starts(episode, rng, config) if starts is None else starts[episode.seed]:
            stop = start + CHUNK
            frames.append(episode.frames[start : stop + 1])
            actions.append(domain.encode(episode.actions[start:stop]).values)
            states.append(_states(episode, start, stop + 1))
            seen = stop + int(rng.integers(config.look_ahead + 1))
            wording = int(rng.choice(3, p=(0.6, 0.2, 0.2)))
            for told, until in ((prompts, stop), (goals, seen)):
                agent, block = episode.agent[start : until + 1], episode.block[start : until + 1]
                told.append(hindsight_prompt(agent, block, wording=wording))
    distinct = tuple(dict.fromkeys([*prompts, *goals]))
    return LatentWindows(
        latents=_encode(encode, frames, config.batch),
        actions=np.stack(actions),
        prompt_ids=np.array([distinct.index(prompt) for prompt in prompts]),
        goal_ids=np.array([distinct.index(goal) for goal in goals]),
        prompts=distinct,
        states=np.stack(states),
    )


def latent_encoder(vae: Any, *, compiled: bool = False) -> LatentEncoder:
    """From pixels `[B, 3, T, H, W]` to the posterior's mean, normalised with the autoencoder's own statistics."""
    mean = torch.tensor(vae.config.latents_mean).view(1, -1, 1, 1, 1)
    std = torch.tensor(vae.config.latents_std).view(1, -1, 1, 1, 1)
    moments = torch.compile(encode_moments, dynamic=False) if compiled else encode_moments

    def encode(pixels: Tensor) -> Tensor:
        with torch.no_grad(), bfloat16_where_it_pays(pixels.device.type, wanted=compiled):
            latents: Tensor = moments(vae, pixels).float().chunk(2, dim=1)[0]
        return (latents - mean) / std

    return encode


def _states(episode: PushTRecording, start: int, stop: int) -> FloatArray:
    """Pusher and T in -1..1, and the T's angle as cosine and sine: `[stop - start, 6]`."""
    agent, block = episode.agent[start:stop], episode.block[start:stop]
    angle = block[:, 2:]
    parts = [agent / 256.0 - 1.0, block[:, :2] / 256.0 - 1.0, np.cos(angle), np.sin(angle)]
    states: FloatArray = np.concatenate(parts, axis=1).astype(np.float32)
    return states


def _starts(episode: PushTRecording, rng: np.random.Generator, config: WindowConfig) -> list[int]:
    last = len(episode.actions) - CHUNK
    starts = rng.choice(last + 1, size=min(config.per_episode, last + 1), replace=False)
    return [int(s) for s in np.sort(starts) if _moves(episode, int(s)) or rng.random() < config.quiet_share]


def _moves(episode: PushTRecording, start: int) -> bool:
    stop = start + CHUNK
    agent = np.ptp(episode.agent[start : stop + 1], axis=0).max()
    block = np.ptp(episode.block[start : stop + 1, :2], axis=0).max()
    return bool(max(agent, block) > 20.0)


def _encode(encode: LatentEncoder, frames: list[NDArray[np.uint8]], batch: int) -> NDArray[np.float16]:
    parts = []
    for first in range(0, len(frames), batch):
        clips = frames[first : first + batch]
        filled = clips + clips[-1:] * (batch - len(clips))  # one shape for all, so that it is compiled once
        latents = encode(to_pixels(torch.from_numpy(np.stack(filled))))
        parts.append(latents[: len(clips)].to(torch.float16).numpy())
    return np.concatenate(parts)
