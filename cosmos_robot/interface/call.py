"""One public call: its keywords, checked and spread over the items of its batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cosmos_robot.domains.domain import Domain
from cosmos_robot.domains.registry import get_domain
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.interface.batch import read_actions, read_states
from cosmos_robot.interface.request import ActionOptions, ActionRequest
from cosmos_robot.types import ActionMode, Actions, ActionSpace, FloatArray, Observation, Progress


@dataclass(frozen=True, eq=False)
class ActionCall:
    """The keywords of one call.

    Attributes:
        domain: the robot.
        action_space: units of the actions given and wanted.
        progress: told of each denoising step.
        options: the keywords as they were given.
    """

    domain: Domain
    action_space: ActionSpace
    progress: Progress | None
    options: ActionOptions

    @classmethod
    def of(cls, domain: str | Path | Domain, options: ActionOptions) -> "ActionCall":
        """Check the keywords of a call.

        Raises:
            TypeError: if a keyword is unknown.
            InvalidInputError: if the action space is unknown.
            UnknownDomainError: if the domain is.
        """
        unknown = set(options) - set(ActionOptions.__annotations__)
        if unknown:
            raise TypeError(f"unknown keyword(s): {', '.join(sorted(unknown))}.")
        space = options.get("action_space", ActionSpace.ROBOT)
        if space not in list(ActionSpace):
            raise InvalidInputError(f"unknown action_space {space!r}; expected 'robot' or 'model'.")
        return cls(get_domain(domain), ActionSpace(space), options.get("progress"), options)

    def actions(self, given: Any, count: int, *, batched: bool) -> list[Actions]:
        """Read the actions of `count` items, marked with their space and checked against the domain.

        Raises:
            InvalidInputError: if they have not the domain's width, or are marked with another space.
        """
        return [self._mark(item) for item in read_actions(given, count, batched=batched)]

    def states(self, given: Any, observations: Sequence[Observation]) -> list[FloatArray | None]:
        """Read the initial states of a batch, where the domain's form has one; None takes the observations' own.

        Raises:
            InvalidInputError: if the domain's form needs a state and there is none, or has no place for one.
        """
        names = ", ".join(self.domain.channel_names)
        if not self.domain.state_row:
            if given is not None:
                raise InvalidInputError(f"domain {self.domain.name!r} has no place for a state; leave it out.")
            return [None] * len(observations)
        states = read_states(given, observations)
        for state in states:
            if state is None:
                raise InvalidInputError(
                    f"domain {self.domain.name!r} starts from the robot's state: give state=[{names}]."
                )
            self.domain.check_width(state[None], self.action_space)
        return states

    def request(self, index: int, mode: ActionMode, **fields: Any) -> ActionRequest:
        """Make item `index` of the call's batch."""
        options = self.options
        return ActionRequest(
            mode=mode,
            domain=self.domain,
            action_space=self.action_space,
            prompt=pick(options.get("prompt", ""), index, "prompt"),
            negative_prompt=pick(options.get("negative_prompt", ""), index, "negative_prompt"),
            image_size=options.get("image_size"),
            fps=options.get("fps"),
            view_point=options.get("view_point"),
            num_steps=options.get("num_steps"),
            guidance=options.get("guidance"),
            shift=options.get("shift"),
            seed=pick_seed(options.get("seed", 0), index),
            **fields,
        )

    def _mark(self, given: Any) -> Actions:
        if isinstance(given, Actions):
            if given.domain != self.domain.name:
                raise InvalidInputError(f"these actions are of domain {given.domain!r}, not {self.domain.name!r}.")
            if given.space is not self.action_space and "action_space" in self.options:
                raise InvalidInputError(
                    f"the actions are marked as {given.space.value} space, action_space says "
                    f"{self.action_space.value}; convert them with domain.encode or domain.decode."
                )
            marked = given
        else:
            marked = Actions(np.asarray(given, dtype=np.float32), self.action_space, self.domain.name)
        self.domain.check_width(marked.values, marked.space)
        return marked


def pick(value: str | Sequence[str], index: int, name: str) -> str:
    """Give item `index` its value: the one that all share, or its own.

    Raises:
        InvalidInputError: if there are fewer values than items.
    """
    if isinstance(value, str):
        return value
    if index >= len(value):
        raise InvalidInputError(f"{name} has {len(value)} value(s) for a batch of more; give one, or one for each.")
    return value[index]


def pick_seed(value: int | Sequence[int], index: int) -> int:
    """Give item `index` its seed: the shared one plus `index`, or its own.

    Raises:
        InvalidInputError: if there are fewer seeds than items, or one is out of range.
    """
    seed = value + index if isinstance(value, int | np.integer) else None
    if seed is None and index < len(value):  # type: ignore[arg-type]
        seed = value[index]  # type: ignore[index]
    if seed is None:
        raise InvalidInputError("seed has fewer values than the batch has items; give one, or one for each.")
    if not 0 <= seed < 2**63:
        raise InvalidInputError(f"a seed must be an integer from 0 to 2**63 - 1; got {seed}.")
    return int(seed)
