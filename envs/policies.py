"""What acts in an environment: anything with `act(observation) -> action`, and adapters that make one.

An action is `[D]`, or a chunk `[n, D]`, in robot units. `PolicyRunner` fits it to the environment's step.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike, NDArray

from cosmos_robot.domains.domain import Domain
from cosmos_robot.domains.registry import get_domain
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.interface.chain import chunk_seed
from cosmos_robot.interface.request import ActionOptions
from cosmos_robot.interface.world_model import WorldModel
from cosmos_robot.types import FloatArray

type PolicyObservation = Mapping[str, NDArray[Any]]
"""What one environment shows: `pixels` uint8 `[H, W, 3]`, for Push-T also `agent_pos` float32 `[2]`."""


@runtime_checkable
class Policy(Protocol):
    """Anything that acts. One that also has `reset()` is told where an episode begins."""

    def act(self, observation: PolicyObservation, /) -> ArrayLike:
        """Answer an observation with an action `[D]` or a chunk `[n, D]`, in robot units."""
        ...


@dataclass(frozen=True)
class FunctionPolicy:
    """A function as a policy."""

    function: Callable[[PolicyObservation], ArrayLike]

    def act(self, observation: PolicyObservation) -> ArrayLike:
        """Call the function."""
        return self.function(observation)


@dataclass(eq=False)
class WorldModelPolicy:
    """A world model's own policy mode; it answers with a chunk.

    Attributes:
        world_model: what chooses the actions.
        domain: the robot.
        prompt: what it should do.
        action_chunk_size: actions of an answer; None takes the domain's.
        seed: of the noise; answer i of an episode has `chunk_seed(seed, i)`.
        options: further keywords of `WorldModel.policy`, such as `num_steps`.
    """

    world_model: WorldModel
    domain: str | Path | Domain
    prompt: str
    action_chunk_size: int | None = None
    seed: int = 0
    options: ActionOptions = field(default_factory=ActionOptions)
    _asked: int = field(default=0, init=False)

    def reset(self) -> None:
        """Begin again with the first noise."""
        self._asked = 0

    def act(self, observation: PolicyObservation) -> FloatArray:
        """Choose a chunk of actions `[n, D]` from `pixels`, and from `state` where the domain's form has one.

        Raises:
            InvalidInputError: if the domain's form has a state and the observation has none.
        """
        robot = get_domain(self.domain)
        given: ActionOptions = {
            **self.options,
            "seed": chunk_seed(self.seed, self._asked),
            "prompt": self.prompt,
        }
        answer = self.world_model.policy(
            observation["pixels"],
            domain=robot,
            action_chunk_size=self.action_chunk_size,
            state=observation.get("state") if robot.state_row else None,
            return_frames=False,
            **given,
        )
        self._asked += 1
        return answer.actions


class PolicyRunner:
    """Fits a policy's actions to an environment's steps.

    With `step="chunk"` a policy has to answer with at least one chunk, of which the first k actions are taken. With
    `step="action"` (and in any environment whose action is a vector) a chunk is played action after action before the
    policy is asked again, at most `replan_every` of them.

    Args:
        policy: what acts.
        action_space: of the (single) environment.
        replan_every: actions after which the policy is asked again; None plays its whole chunk.
        clip: clip actions to the space's bounds, as robots do; an action outside is refused by the environment.
    """

    def __init__(
        self, policy: Policy, action_space: spaces.Space[Any], *, replan_every: int | None = None, clip: bool = True
    ) -> None:
        if not isinstance(policy, Policy):
            raise InvalidInputError(f"a policy has act(observation); {type(policy).__name__} has not.")
        if not isinstance(action_space, spaces.Box) or len(action_space.shape) not in (1, 2):
            raise InvalidInputError(f"a policy acts in a box of [D] or [k, D]; got {action_space}.")
        if replan_every is not None and replan_every < 1:
            raise InvalidInputError(f"replan_every must be at least 1; got {replan_every}.")
        self._policy, self._space, self._replan_every, self._clip = policy, action_space, replan_every, clip
        self._waiting: deque[FloatArray] = deque()

    def reset(self) -> None:
        """Begin an episode: forget what was not played yet, and tell the policy."""
        self._waiting.clear()
        reset = getattr(self._policy, "reset", None)
        if reset is not None:
            reset()

    def act(self, observation: PolicyObservation) -> FloatArray:
        """Give the next action in the shape that the environment takes.

        Raises:
            InvalidInputError: if the policy's answer has another width, is too short, or is not finite.
        """
        if len(self._space.shape) == 2:
            return self._clipped(self._chunk(observation, self._space.shape[0]))
        if not self._waiting:
            self._waiting.extend(self._chunk(observation, 1)[: self._replan_every])
        return self._clipped(self._waiting.popleft())

    def _chunk(self, observation: PolicyObservation, least: int) -> FloatArray:
        """The policy's answer as `[n, D]`, cut to what the environment takes at once."""
        answer: FloatArray = np.asarray(self._policy.act(observation), dtype=np.float32)
        width = self._space.shape[-1]
        chunk: FloatArray = answer[None] if answer.ndim == 1 else answer
        if chunk.ndim != 2 or chunk.shape[1] != width or not np.isfinite(chunk).all():
            raise InvalidInputError(
                f"a policy gives finite actions of shape [{width}] or [n, {width}]; got shape {answer.shape}."
            )
        if len(chunk) < least:
            raise InvalidInputError(
                f"this environment takes {least} actions a step and the policy gave {len(chunk)}: make the environment "
                f"with step='action', or with action_chunk_size={len(chunk)}."
            )
        return chunk[:least] if len(self._space.shape) == 2 else chunk

    def _clipped(self, action: FloatArray) -> FloatArray:
        assert isinstance(self._space, spaces.Box)
        return np.clip(action, self._space.low, self._space.high).astype(np.float32) if self._clip else action
