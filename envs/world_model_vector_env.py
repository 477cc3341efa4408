"""Many episodes over one world model: one batched generation a step."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Unpack

import numpy as np
from gymnasium.error import ClosedEnvironmentError, ResetNeeded
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from cosmos_robot.envs.core import EnvCore, EnvObservation, StepOutcome
from cosmos_robot.envs.episode_state import EpisodeState, Snapshot
from cosmos_robot.envs.options import EnvOptions
from cosmos_robot.envs.sub_env import SubEnv
from cosmos_robot.envs.world_model_env import env_metadata, require_render_mode
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.interface.call import spread_seeds
from cosmos_robot.types import Frames

type StepResult = tuple[EnvObservation, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]


class WorldModelVectorEnv(VectorEnv[EnvObservation, NDArray[np.float32], NDArray[Any]]):
    """N environments of `WorldModelEnv`'s kind; every step is one batched generation for those that are not reset.

    Environment i gives what it gives alone with its seed, whatever the others do. One seed `s` gives environment i the
    seed `s + i`. A step fails without harm: all episodes stay as they were.

    Args:
        num_envs: how many.
        max_episode_steps: an episode is truncated after so many steps, with the reason "time_limit".
        autoreset_mode: when an environment whose episode has ended is reset: `AutoresetMode` or its value ("NextStep",
            "SameStep", "Disabled"), the latter survives JSON.
        record_statistics: give `info["episode"]` with return `r`, length `l` and seconds `t` of each episode that
            ends, as Gymnasium's `RecordEpisodeStatistics` does.
        options: see `EnvOptions`; `prompt` and `starts` may be lists with one item for each environment.

    Raises:
        InvalidInputError: if a keyword cannot be used.
        UnknownFactError: if the domain has no published bounds and none are given.
        CheckpointError: if the named checkpoint is not there.
    """

    def __init__(
        self,
        num_envs: int = 1,
        *,
        max_episode_steps: int | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        record_statistics: bool = False,
        **options: Unpack[EnvOptions],
    ) -> None:
        if num_envs < 1 or (max_episode_steps is not None and max_episode_steps < 1):
            raise InvalidInputError("num_envs and max_episode_steps must be at least 1.")
        self.num_envs = num_envs
        self._core = EnvCore(options, num_envs)
        self._step_limit = max_episode_steps
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.render_mode = require_render_mode(options.get("render_mode"), ("rgb_array",))
        self.metadata = {**env_metadata(self._core), "autoreset_mode": self.autoreset_mode}
        self.single_action_space = self._core.action_space
        self.single_observation_space = self._core.observation_space
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.envs = tuple(SubEnv(self, index) for index in range(num_envs))
        self._record_statistics = record_statistics
        self._generators: list[np.random.Generator | None] = [None] * num_envs
        self._seeds = [-1] * num_envs
        self._states: list[EpisodeState | None] = [None] * num_envs
        self._begun_at = np.zeros(num_envs)

    @property
    def states(self) -> tuple[EpisodeState, ...]:
        """Where every episode stands.

        Raises:
            ResetNeeded: before the first reset.
        """
        if self.closed:
            raise ClosedEnvironmentError("this environment is closed; make a new one.")
        known = tuple(state for state in self._states if state is not None)
        if len(known) < self.num_envs:
            raise ResetNeeded("reset all environments before the first step.")
        return known

    @property
    def max_episode_steps(self) -> int | None:
        """The least of the time limits, in steps."""
        settings = self._core.settings
        actions = settings.max_episode_actions
        limits = [] if actions is None else [-(-actions // settings.actions_per_step)]
        return min([*limits, *([] if self._step_limit is None else [self._step_limit])], default=None)

    @property  # type: ignore[misc]
    def np_random(self) -> tuple[np.random.Generator, ...]:  # type: ignore[override]
        """What the starts and seeds of each environment are drawn from."""
        return tuple(self._generator(index) for index in range(self.num_envs))

    @property
    def np_random_seed(self) -> tuple[int, ...]:  # type: ignore[override]
        """The seeds of `np_random`."""
        return tuple(self._seeds)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[EnvObservation, dict[str, Any]]:
        """Begin episodes. The first reset loads the world model.

        Args:
            seed: one seed `s` for `s + i`, or one for each environment; see `WorldModelEnv.reset`.
            options: those of `WorldModelEnv.reset`, each one value or a list with one for each environment (None in it
                is left to chance); and `reset_mask`, bool `[num_envs]`, which of the environments to reset.
        """
        if self.closed:
            raise ClosedEnvironmentError("this environment is closed; make a new one.")
        seeds = [seed + i for i in range(self.num_envs)] if isinstance(seed, int | np.integer) else seed
        seeds = [None] * self.num_envs if seeds is None else list(seeds)
        if len(seeds) != self.num_envs:
            raise InvalidInputError(f"give one seed, or {self.num_envs} seeds; got {len(seeds)}.")
        given = dict(options or {})
        mask = self._reset_mask(given.pop("reset_mask", None))
        begun = self._begin({int(i): (seeds[i], self._options_of(int(i), given)) for i in np.flatnonzero(mask)})
        infos: dict[str, Any] = {}
        for index, state in begun.items():
            self._states[index] = state
            infos = self._add_info(infos, self._core.begin_info(state), index)
        return self._observations(), infos

    def step(self, actions: NDArray[np.float32]) -> StepResult:
        """Imagine what the actions do.

        Args:
            actions: `[num_envs, k, D]`, or `[num_envs, D]` with `step="action"`. Those of environments that are reset
                at this step are ignored.

        Raises:
            ResetNeeded: before the first reset, and after an episode's end where autoreset is disabled.
            InvalidInputError: if an action has not the action space's shape, is not finite or is out of bounds.
            ServiceError: if the world model cannot be reached, after all retries.
        """
        states = self.states
        if len(actions) != self.num_envs:
            raise InvalidInputError(f"{self.num_envs} environments take {self.num_envs} actions; got {len(actions)}.")
        next_step = self.autoreset_mode is AutoresetMode.NEXT_STEP
        resting = [i for i, state in enumerate(states) if state.ended and next_step]
        going = [i for i in range(self.num_envs) if i not in resting]
        outcomes = dict(zip(going, self._advance(going, actions), strict=True))
        statistics = self._statistics(outcomes)
        if self.autoreset_mode is AutoresetMode.SAME_STEP:
            resting = [i for i, outcome in outcomes.items() if outcome.state.ended]
        begun = self._begin(dict.fromkeys(resting, (None, None)))
        return self._commit(outcomes, begun, statistics)

    def render(self) -> tuple[Frames, ...] | None:
        """Give the current frame uint8 `[H, W, 3]` of each environment, with `render_mode="rgb_array"`."""
        return tuple(state.pixels.copy() for state in self.states) if self.render_mode == "rgb_array" else None

    def snapshot(self) -> tuple[Snapshot, ...]:
        """Keep every episode as it is, to go back to it with `restore` here or in a single environment."""
        return tuple(
            Snapshot(state, generator.bit_generator.state)
            for state, generator in zip(self.states, self.np_random, strict=True)
        )

    def restore(
        self, snapshots: Snapshot | Sequence[Snapshot], *, seed: int | Sequence[int] | None = None
    ) -> tuple[EnvObservation, dict[str, Any]]:
        """Go back to snapshots, or branch one: all environments go on from it, in one batch.

        Args:
            snapshots: one for each environment, or one for all.
            seed: other noise from here on, one seed `s` for `s + i`; None goes on with the snapshots'.

        Returns:
            The observations, and the `info` of a reset.

        Raises:
            InvalidInputError: if there is not one snapshot, or one seed, for each environment or for all, or a seed is
                no integer from 0 to 2**63 - 1. All episodes stay as they were.
        """
        each = [snapshots] * self.num_envs if isinstance(snapshots, Snapshot) else list(snapshots)
        if len(each) != self.num_envs:
            raise InvalidInputError(f"give one snapshot, or {self.num_envs}; got {len(each)}.")
        states = [snapshot.state for snapshot in each]
        if seed is not None:
            seeds = spread_seeds(seed, self.num_envs)
            states = [state.reseeded(own) for state, own in zip(states, seeds, strict=True)]
        infos: dict[str, Any] = {}
        for index, (snapshot, state) in enumerate(zip(each, states, strict=True)):
            self._states[index] = state
            self._generator(index).bit_generator.state = snapshot.generator
            self._begun_at[index] = time.perf_counter()
            infos = self._add_info(infos, self._core.begin_info(state), index)
        return self._observations(), infos

    def call(self, name: str, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Call a method of each of `envs`, or read an attribute, as Gymnasium's own vector environments do."""
        found = [getattr(env, name) for env in self.envs]
        return tuple(value(*args, **kwargs) if callable(value) else value for value in found)

    def get_attr(self, name: str) -> tuple[Any, ...]:
        """Read an attribute of each of `envs`."""
        return self.call(name)

    def close_extras(self, **_: Any) -> None:
        """Free the world model, unless others hold it."""
        self._core.close()

    def _advance(self, going: list[int], actions: NDArray[np.float32]) -> list[StepOutcome]:
        states = self.states
        if not going:
            return []
        outcomes = self._core.advance([states[i] for i in going], [actions[i] for i in going])
        return [self._limited(outcome) for outcome in outcomes]

    def _limited(self, outcome: StepOutcome) -> StepOutcome:
        """The outcome with the time limit in steps, which for a single environment is the `TimeLimit` wrapper's."""
        if self._step_limit is None or outcome.state.elapsed_steps < self._step_limit:
            return outcome
        info = {"truncation_reason": "time_limit", **outcome.info}
        return replace(outcome, state=replace(outcome.state, ended=True), truncated=True, info=info)

    def _commit(
        self, outcomes: dict[int, StepOutcome], begun: dict[int, EpisodeState], statistics: dict[str, Any]
    ) -> StepResult:
        """Take over what a step gave; nothing here can fail half way."""
        rewards = np.zeros(self.num_envs)
        terminations, truncations = np.zeros(self.num_envs, bool), np.zeros(self.num_envs, bool)
        infos: dict[str, Any] = {}
        for index in range(self.num_envs):
            if (outcome := outcomes.get(index)) is not None:
                self._states[index] = outcome.state
                rewards[index] = outcome.reward
                terminations[index], truncations[index] = outcome.terminated, outcome.truncated
                info = outcome.info
            if (state := begun.get(index)) is not None:
                if outcome is not None:
                    final = {"final_obs": self._core.observation(outcome.state), "final_info": outcome.info}
                    infos = self._add_info(infos, final, index)
                self._states[index] = state
                info = self._core.begin_info(state)
            infos = self._add_info(infos, info, index)
        return self._observations(), rewards, terminations, truncations, {**infos, **statistics}

    def _statistics(self, outcomes: dict[int, StepOutcome]) -> dict[str, Any]:
        ended = np.array([i in outcomes and outcomes[i].state.ended for i in range(self.num_envs)])
        if not self._record_statistics or not ended.any():
            return {}
        lasted = np.round(time.perf_counter() - self._begun_at, 6)
        states = [outcomes[i].state if ended[i] else None for i in range(self.num_envs)]
        figures = {
            "r": np.array([0.0 if state is None else state.total_reward for state in states]),
            "l": np.array([0 if state is None else state.elapsed_steps for state in states]),
            "t": np.where(ended, lasted, 0.0),
        }
        return {"episode": figures, "_episode": ended}

    def _begin(self, wanted: Mapping[int, tuple[int | None, Mapping[str, Any] | None]]) -> dict[int, EpisodeState]:
        """Begin episodes with these seeds and options; where one cannot begin, no generator has moved."""
        before = [(generator, generator.bit_generator.state) for generator in self.np_random]
        seeds = list(self._seeds)
        try:
            begun = {index: self._begin_one(index, *given) for index, given in wanted.items()}
        except BaseException:
            self._seeds = seeds
            for index, (generator, state) in enumerate(before):
                generator.bit_generator.state = state
                self._generators[index] = generator
            raise
        self._begun_at[list(begun)] = time.perf_counter()
        return begun

    def _begin_one(self, index: int, seed: int | None, options: Mapping[str, Any] | None) -> EpisodeState:
        if seed is not None:
            self._generators[index], self._seeds[index] = seeding.np_random(int(seed))
        return self._core.begin(self._generator(index), seed=seed, options=options, index=index)

    def _generator(self, index: int) -> np.random.Generator:
        generator = self._generators[index]
        if generator is None:
            generator, self._seeds[index] = seeding.np_random()
            self._generators[index] = generator
        return generator

    def _reset_mask(self, given: object) -> NDArray[np.bool_]:
        if given is None:
            return np.ones(self.num_envs, bool)
        mask = np.asarray(given)
        if mask.shape != (self.num_envs,) or mask.dtype != np.bool_ or not mask.any():
            raise InvalidInputError(
                f"reset_mask must be a bool array of shape ({self.num_envs},) with at least one True; got {given!r}."
            )
        return mask

    def _options_of(self, index: int, given: Mapping[str, Any]) -> dict[str, Any]:
        """The reset options of one environment."""
        lists = {key: value for key, value in given.items() if isinstance(value, list | tuple | np.ndarray)}
        for key, value in lists.items():
            if len(value) != self.num_envs:
                raise InvalidInputError(f"{key} has {len(value)} item(s) for {self.num_envs} environments.")
        return {key: value[index] if key in lists else value for key, value in given.items()}

    def _observations(self) -> EnvObservation:
        each = [self._core.observation(state) for state in self.states]
        return {key: np.stack([observed[key] for observed in each]) for key in each[0]}
