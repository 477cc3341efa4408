"""A policy of the lerobot library in our environments."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from cosmos_robot.envs.policies import PolicyObservation
from cosmos_robot.errors import MissingDependencyError
from cosmos_robot.types import FloatArray

type Processor = Callable[[Any], Any]
"""What lerobot's `make_pre_post_processors` gives, or any function of the same kind."""


class SelectsActions(Protocol):
    """The part of lerobot's `PreTrainedPolicy` that is used."""

    def select_action(self, batch: Mapping[str, Any]) -> Any:
        """Give an action `[1, D]` as a tensor."""
        ...

    def reset(self) -> None:
        """Begin an episode."""
        ...


class LeRobotPolicy:
    """Turns observations into lerobot's form (`observation.image`, `observation.state`, `task`) and asks for an action.

    Args:
        policy: a loaded lerobot policy.
        preprocessor: what lerobot saved beside it for observations; None passes them on.
        postprocessor: what lerobot saved beside it for actions; None passes them on.
        task: what the robot should do, for policies that are told.

    Raises:
        MissingDependencyError: if lerobot is not installed.
    """

    def __init__(
        self,
        policy: SelectsActions,
        *,
        preprocessor: Processor | None = None,
        postprocessor: Processor | None = None,
        task: str = "",
    ) -> None:
        try:
            from lerobot.envs import preprocess_observation
        except ImportError as error:
            raise MissingDependencyError(
                "a LeRobot policy needs lerobot; get it with pip install 'cosmos-robot[lerobot]'."
            ) from error
        self._to_lerobot = preprocess_observation
        self._policy, self._task = policy, task
        self._before, self._after = preprocessor, postprocessor

    def reset(self) -> None:
        """Begin an episode: the policy forgets the actions that it has in store."""
        self._policy.reset()

    def act(self, observation: PolicyObservation) -> FloatArray:
        """Choose one action `[D]`."""
        import torch

        batch = self._to_lerobot({key: np.asarray(value)[None] for key, value in observation.items()})
        batch["task"] = [self._task]
        if self._before is not None:
            batch = self._before(batch)
        with torch.inference_mode():
            action = self._policy.select_action(batch)
        if self._after is not None:
            action = self._after(action)
        chosen: FloatArray = action[0].to("cpu", torch.float32).numpy()
        return chosen
