"""One public call: its keywords, checked and spread over the items of its batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cosmos_robot.domains.domain import Domain
from cosmos_robot.domains.registry import get_domain
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.interface.batch import naming_item, read_actions, read_states
from cosmos_robot.interface.request import ActionOptions, ActionRequest
from cosmos_robot.types import ActionMode, Actions, ActionSpace, FloatArray, Observation, Progress, require_chunk_size


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
        marked = []
        for index, item in enumerate(read_actions(given, count, batched=batched)):
            with naming_item(index, count):
                marked.append(self._mark(item))
        return marked

    def chunk_size(self, given: int | None) -> int:
        """How many actions one generation has: as the caller says, or as the domain does.

        Raises:
            InvalidInputError: if it is no positive multiple of 4.
        """
        return require_chunk_size(self.domain.action_chunk_size if given is None else given)

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

    def requests(self, mode: ActionMode, items: Sequence[dict[str, Any]]) -> list[ActionRequest]:
        """Make the requests of the call's batch from the fields that each item has to itself.

        Raises:
            InvalidInputError: if prompts or seeds are neither one nor one for each item.
        """
        options, count = self.options, len(items)
        prompts = spread_texts(options.get("prompt", ""), count, "prompt")
        negatives = spread_texts(options.get("negative_prompt", ""), count, "negative_prompt")
        seeds = spread_seeds(options.get("seed", 0), count)
        requests = []
        for index, fields in enumerate(items):
            own = {"prompt": prompts[index], "negative_prompt": negatives[index], "seed": seeds[index]}
            with naming_item(index, count):
                requests.append(self._request(mode, **own, **fields))
        return requests

    def _request(self, mode: ActionMode, **fields: Any) -> ActionRequest:
        options = self.options
        return ActionRequest(
            mode=mode,
            domain=self.domain,
            action_space=self.action_space,
            image_size=options.get("image_size"),
            fps=options.get("fps"),
            view_point=options.get("view_point"),
            num_steps=options.get("num_steps"),
            guidance=options.get("guidance"),
            shift=options.get("shift"),
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


def one_for_each(given: object) -> bool:
    """Whether a keyword is a list with a value for each item, and not one that all share."""
    return isinstance(given, Sequence | np.ndarray) and not isinstance(given, str)


def spread_texts(given: Any, count: int, name: str) -> list[str]:
    """Give each of `count` items its text: the one that all share, or its own.

    Raises:
        InvalidInputError: if there is not one for each item, or one is no text.
    """
    texts = list(given) if one_for_each(given) else [given] * count
    for text in texts:
        if not isinstance(text, str):
            raise InvalidInputError(f"{name} must be a text, or a list with one for each item; got {text!r}.")
    _require_count(len(texts), count, name)
    return texts


def spread_seeds(given: Any, count: int) -> list[int]:
    """Give each of `count` items its seed: the shared one plus its index, or its own.

    Raises:
        InvalidInputError: if there is not one for each item, or one is no integer from 0 to 2**63 - 1.
    """
    seeds = [_integer(seed) for seed in given] if one_for_each(given) else [_integer(given) + i for i in range(count)]
    _require_count(len(seeds), count, "seed")
    for seed in seeds:
        if not 0 <= seed < 2**63:
            raise InvalidInputError(f"a seed must be an integer from 0 to 2**63 - 1; got {seed}.")
    return seeds


def _integer(seed: Any) -> int:
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
        raise InvalidInputError(f"a seed must be an integer from 0 to 2**63 - 1; got {seed!r}.")
    return int(seed)


def _require_count(given: int, count: int, name: str) -> None:
    if given != count:
        raise InvalidInputError(f"{name} has {given} value(s) for {count} item(s); give one, or one for each.")
