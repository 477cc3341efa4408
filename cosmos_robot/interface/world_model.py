"""What every world model answers, wherever it computes: on this machine, at a service, or in a real simulator.

A world model implements one method, `WorldModel.generate`, for a list of finished requests in robot terms. The public
calls, batches and chained rollouts are the same for all and are here. No torch.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self, Unpack, overload

import numpy as np
from numpy.typing import NDArray

from cosmos_robot.domains.domain import Domain
from cosmos_robot.interface.action_requests import (
    forward_dynamics_requests,
    inverse_dynamics_requests,
    policy_requests,
    rollout_requests,
)
from cosmos_robot.interface.batch import ActionsLike, ObservationLike
from cosmos_robot.interface.chain import chain
from cosmos_robot.interface.media_modes import MediaModes
from cosmos_robot.interface.reason_mode import ReasonMode
from cosmos_robot.interface.request import ActionOptions, ActionRequest
from cosmos_robot.types import Frames, Progress, Rollout


class WorldModel(MediaModes, ReasonMode, ABC):
    """A simulator that was learned (or stands for one).

    Each mode takes one item, or a batch (a list, or an array with a leading axis) and then gives a list. Items of a
    batch share a forward pass and come out as they do alone, within floating-point tolerance.
    """

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Itself: a world model is shared, never copied with what holds it (Gymnasium copies an environment's spec)."""
        return self

    @abstractmethod
    def generate(self, requests: Sequence[ActionRequest], *, progress: Progress | None = None) -> list[Rollout]:
        """Answer requests, in their order."""

    @overload
    def forward_dynamics(
        self,
        observation: ObservationLike,
        actions: ActionsLike,
        *,
        domain: str | Path | Domain,
        **options: Unpack[ActionOptions],
    ) -> Rollout: ...
    @overload
    def forward_dynamics(
        self,
        observation: Sequence[ObservationLike],
        actions: Sequence[ActionsLike],
        *,
        domain: str | Path | Domain,
        **options: Unpack[ActionOptions],
    ) -> list[Rollout]: ...
    def forward_dynamics(
        self, observation: Any, actions: Any, *, domain: str | Path | Domain, **options: Unpack[ActionOptions]
    ) -> Rollout | list[Rollout]:
        """Imagine what the camera sees if the robot does this.

        Args:
            observation: uint8 frame `[H, W, 3]` or `Observation`; a list of them, or `[B, H, W, 3]`, is a batch.
            actions: `[T, D]` with T a multiple of 4; one for each item of a batch. For any length see `rollout`.
            domain: name or alias of a robot, or the path of a domain file.
            options: see `ActionOptions`.

        Returns:
            A rollout of T + 1 frames, the first of which is the decoded conditioning frame.

        Raises:
            InvalidInputError: if an argument does not fit; the message says what was expected.
        """
        asked = forward_dynamics_requests(observation, actions, domain, options)
        return _unbatch(self.generate(asked.items, progress=asked.progress), batched=asked.batched)

    @overload
    def inverse_dynamics(
        self,
        frames: Frames,
        *,
        domain: str | Path | Domain,
        action_chunk_size: int | None = None,
        **options: Unpack[ActionOptions],
    ) -> Rollout: ...
    @overload
    def inverse_dynamics(
        self,
        frames: Sequence[Frames],
        *,
        domain: str | Path | Domain,
        action_chunk_size: int | None = None,
        **options: Unpack[ActionOptions],
    ) -> list[Rollout]: ...
    def inverse_dynamics(
        self,
        frames: Any,
        *,
        domain: str | Path | Domain,
        action_chunk_size: int | None = None,
        **options: Unpack[ActionOptions],
    ) -> Rollout | list[Rollout]:
        """Read off what the robot did in a video.

        Args:
            frames: uint8 `[N, H, W, 3]`; a list of clips, or `[B, N, H, W, 3]`, is a batch. Of a clip longer than
                `action_chunk_size + 1` the beginning is read, and the answer's notes say so.
            domain: name or alias of a robot, or the path of a domain file.
            action_chunk_size: how many transitions to read; None takes the domain's.
            options: see `ActionOptions`.

        Returns:
            A rollout whose frames are those that were given.

        Raises:
            MediaError: if a clip is too short.
        """
        asked = inverse_dynamics_requests(frames, domain, action_chunk_size, options)
        return _unbatch(self.generate(asked.items, progress=asked.progress), batched=asked.batched)

    @overload
    def policy(
        self,
        observation: ObservationLike,
        *,
        domain: str | Path | Domain,
        action_chunk_size: int | None = None,
        state: NDArray[np.floating[Any]] | None = None,
        return_frames: bool | None = None,
        **options: Unpack[ActionOptions],
    ) -> Rollout: ...
    @overload
    def policy(
        self,
        observation: Sequence[ObservationLike],
        *,
        domain: str | Path | Domain,
        action_chunk_size: int | None = None,
        state: NDArray[np.floating[Any]] | Sequence[NDArray[np.floating[Any]]] | None = None,
        return_frames: bool | None = None,
        **options: Unpack[ActionOptions],
    ) -> list[Rollout]: ...
    def policy(
        self,
        observation: Any,
        *,
        domain: str | Path | Domain,
        action_chunk_size: int | None = None,
        state: Any = None,
        return_frames: bool | None = None,
        **options: Unpack[ActionOptions],
    ) -> Rollout | list[Rollout]:
        """Choose what the robot should do to reach the prompt's goal, and imagine it.

        Args:
            observation: as for `forward_dynamics`.
            domain: name or alias of a robot, or the path of a domain file.
            action_chunk_size: how many transitions to choose; None takes the domain's.
            state: `[S]` initial proprioceptive state, for domains whose form has one (DROID's joints); `[B, S]` or a
                list for a batch. None takes the observation's.
            return_frames: whether the imagined frames are wanted too; None takes the domain's habit.
            options: see `ActionOptions`.

        Raises:
            InvalidInputError: if the domain's form needs a state and there is none, or has no place for one.
        """
        asked = policy_requests(
            observation, domain, action_chunk_size, options, state=state, return_frames=return_frames
        )
        return _unbatch(self.generate(asked.items, progress=asked.progress), batched=asked.batched)

    @overload
    def rollout(
        self,
        observation: ObservationLike,
        actions: ActionsLike,
        *,
        domain: str | Path | Domain,
        action_chunk_size: int | None = None,
        **options: Unpack[ActionOptions],
    ) -> Rollout: ...
    @overload
    def rollout(
        self,
        observation: Sequence[ObservationLike],
        actions: Sequence[ActionsLike],
        *,
        domain: str | Path | Domain,
        action_chunk_size: int | None = None,
        **options: Unpack[ActionOptions],
    ) -> list[Rollout]: ...
    def rollout(
        self,
        observation: Any,
        actions: Any,
        *,
        domain: str | Path | Domain,
        action_chunk_size: int | None = None,
        **options: Unpack[ActionOptions],
    ) -> Rollout | list[Rollout]:
        """Imagine any number of actions: chunks chained on the last generated frame, without a doubled frame.

        Chunk 0 uses the seed itself, chunk k the seed `chunk_seed(seed, k)`. A last chunk that is not full is filled
        with its last action, as the field does, and its answer is cut.

        Args:
            observation: as for `forward_dynamics`.
            actions: `[T, D]`, any T; items of a batch may differ in length.
            domain: name or alias of a robot, or the path of a domain file.
            action_chunk_size: transitions of one generation; None takes the domain's.
            options: see `ActionOptions`.
        """
        asked = rollout_requests(observation, actions, domain, action_chunk_size, options)
        return _unbatch(chain(self.generate, asked.items, progress=asked.progress), batched=asked.batched)


def _unbatch(rollouts: list[Rollout], *, batched: bool) -> Rollout | list[Rollout]:
    return rollouts if batched else rollouts[0]
