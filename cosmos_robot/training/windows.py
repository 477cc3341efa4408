"""Windows of episodes as a transformer is trained on them: latents, actions and prompts, worked out once and kept.

A transformer never sees pixels, so the autoencoder runs once over every window and its latents are stored as float16
shards. A shard that is there is not made again. While a transformer is trained the latents stay on disk.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cosmos_robot.errors import InvalidInputError
from cosmos_robot.training.stored_latents import StoredArray, StoredLatents
from cosmos_robot.types import FloatArray


@dataclass(frozen=True, eq=False)
class LatentWindows:
    """N windows of A actions and A + 1 frames.

    Attributes:
        latents: float16 `[N, C, A/4 + 1, h, w]`, normalised with the autoencoder's statistics; in memory, or on disk.
        actions: float32 `[N, A, D]` in model space, not padded.
        prompt_ids: int64 `[N]`: which of `prompts` tells what happens in the window.
        prompts: the distinct prompts.
        states: float32 `[N, A + 1, S]`, a simulator's states at the frames, about -1..1, or None where there is none.
        goal_ids: int64 `[N]`: which of `prompts` tells where the window leads to, beyond its end too; what a policy is
            told. None where that is what happens in it.
    """

    latents: NDArray[np.float16] | StoredLatents
    actions: FloatArray
    prompt_ids: NDArray[np.int64]
    prompts: tuple[str, ...]
    states: FloatArray | None = None
    goal_ids: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        count = len(self.latents)
        if len(self.actions) != count or len(self.prompt_ids) != count:
            raise InvalidInputError("latents, actions and prompts must be of the same number of windows.")
        if self.latents.shape[2] != self.actions.shape[1] // 4 + 1:
            raise InvalidInputError(
                f"{self.actions.shape[1]} actions need {self.actions.shape[1] // 4 + 1} latent frames; "
                f"got {self.latents.shape[2]}."
            )

    def __len__(self) -> int:
        return len(self.latents)

    def latents_of(self, rows: NDArray[np.intp]) -> NDArray[np.float16]:
        """The latents of some windows, in the order that is asked for: `[rows, C, A/4 + 1, h, w]`."""
        return self.latents.rows(rows) if isinstance(self.latents, StoredLatents) else self.latents[rows]

    def save(self, path: Path) -> None:
        """Write one shard in one atomic move."""
        partial = path.with_suffix(".partial")
        with partial.open("wb") as file:
            np.savez(
                file,
                latents=self.latents_of(np.arange(len(self))),
                actions=self.actions,
                prompt_ids=self.prompt_ids,
                prompts=np.array(self.prompts),
                **({} if self.states is None else {"states": self.states}),  # type: ignore[arg-type]  # not allow_pickle
                **({} if self.goal_ids is None else {"goal_ids": self.goal_ids}),  # type: ignore[arg-type]
            )
        partial.rename(path)

    @classmethod
    def load(cls, path: Path) -> "LatentWindows":
        """Read one shard, whose latents stay on disk."""
        with np.load(path) as arrays:
            return cls(
                latents=StoredLatents([StoredArray.find(path, "latents")]),
                actions=arrays["actions"],
                prompt_ids=arrays["prompt_ids"],
                prompts=tuple(str(prompt) for prompt in arrays["prompts"]),
                states=arrays.get("states"),
                goal_ids=arrays.get("goal_ids"),
            )

    @classmethod
    def join(cls, parts: Sequence["LatentWindows"]) -> "LatentWindows":
        """Put shards together, all in memory or all on disk; their prompts are numbered anew."""
        prompts = tuple(dict.fromkeys(prompt for part in parts for prompt in part.prompts))
        number = {prompt: i for i, prompt in enumerate(prompts)}
        renumbered = [np.array([number[p] for p in part.prompts], dtype=np.int64) for part in parts]
        ids = [new[part.prompt_ids] for new, part in zip(renumbered, parts, strict=True)]
        goals = [new[p.goal_ids] for new, p in zip(renumbered, parts, strict=True) if p.goal_ids is not None]
        states = [part.states for part in parts if part.states is not None]
        if len(states) not in (0, len(parts)) or len(goals) not in (0, len(parts)):
            raise InvalidInputError("either all cached windows have states (or goals) or none has.")
        return cls(
            latents=_joined_latents([part.latents for part in parts]),
            actions=np.concatenate([part.actions for part in parts]),
            prompt_ids=np.concatenate(ids),
            prompts=prompts,
            states=np.concatenate(states) if states else None,
            goal_ids=np.concatenate(goals) if goals else None,
        )

    @classmethod
    def load_folder(cls, folder: Path) -> "LatentWindows":
        """Read all shards of a folder.

        Raises:
            InvalidInputError: if there is none.
        """
        paths = sorted(folder.glob("windows_*.npz"))
        if not paths:
            raise InvalidInputError(f"no cached windows (windows_*.npz) in {folder}.")
        return cls.join([cls.load(path) for path in paths])


def _joined_latents(
    parts: Sequence[NDArray[np.float16] | StoredLatents],
) -> NDArray[np.float16] | StoredLatents:
    stored = [part for part in parts if isinstance(part, StoredLatents)]
    if len(stored) == len(parts):
        return StoredLatents.join(stored)
    return np.concatenate([part for part in parts if not isinstance(part, StoredLatents)])
