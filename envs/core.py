"""The one core of the single and the vector environment: how episodes begin and go on.

Both environments hold `EpisodeState`s and ask the core for their successors, so that they cannot drift apart. The core
itself holds nothing that changes from step to step.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from numpy.typing import NDArray

from cosmos_robot.domains.domain import Domain
from cosmos_robot.envs.episode_state import EpisodeState
from cosmos_robot.envs.options import EnvOptions, EnvSettings
from cosmos_robot.envs.output_canvas import canvas_rule, fit
from cosmos_robot.envs.protocols import ImaginedStep, Judgement
from cosmos_robot.envs.pusht_state import TABLE_SIZE, agent_position
from cosmos_robot.envs.retry import generate_with_retries
from cosmos_robot.envs.starts import Starts, open_starts
from cosmos_robot.envs.world_model_lease import WorldModelLease
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.interface.chain import chunk_seed
from cosmos_robot.interface.request import ActionRequest
from cosmos_robot.short_repr import ShortRepr
from cosmos_robot.types import Actions, ActionSpace, FloatArray, Frames, Rollout

type EnvObservation = dict[str, NDArray[Any]]

AGENT_STATES = {"pusht": (agent_position, np.zeros(2, np.float32), np.full(2, TABLE_SIZE, np.float32))}
"""For each domain whose robot can be found in its frames: what finds it, and the least and greatest answer."""

_RESET_OPTIONS = {"episode", "step", "prompt"}
_OPTIONS_OF_OTHERS = {"lerobot_new_rollout"}
"""What lerobot's rollout marks its resets with; it says nothing to us."""


@dataclass(frozen=True, eq=False, repr=False)
class StepOutcome(ShortRepr):
    """What one step of one environment gave.

    Attributes:
        state: where the episode stands now.
        reward: of the step.
        terminated: the task is solved.
        truncated: the episode ends for another reason, which `info["truncation_reason"]` names.
        info: what Gymnasium's `info` holds.
        frames: uint8 `[n, h, w, 3]`: those of the step, the last of which is observed.
    """

    state: EpisodeState
    reward: float
    terminated: bool
    truncated: bool
    info: dict[str, Any]
    frames: Frames


class EnvCore:
    """What environments with the same keywords share.

    Args:
        options: the keywords.
        num_envs: how many environments; prompts and starts may be lists of as many.
    """

    def __init__(self, options: EnvOptions, num_envs: int = 1) -> None:
        self.settings = EnvSettings.of(options)
        source = options.get("world_model")
        self.lease = WorldModelLease(source, device=options.get("device"), dtype=options.get("dtype"))
        image_size, canvas = self.settings.sampling.image_size, self.settings.canvas
        self._canvas_of, self._native = canvas_rule(source, self.settings.domain, image_size, canvas)
        self._owns_reward = isinstance(options.get("reward"), str | Mapping)
        self.prompts = _one_for_each("prompt", options.get("prompt"), num_envs)
        self.starts = _open_starts(options["starts"], num_envs, self.settings.domain)

    @cached_property
    def size(self) -> tuple[int, int]:
        """Height and width of the pixels; no weight is loaded for it."""
        if self._native is not None:
            return self._native
        return self._canvas_of(*self.starts[0].frame_size()).output

    @property
    def action_space(self) -> spaces.Space[Any]:
        """Actions in robot units: `[k, D]`, or `[D]` with `step="action"`."""
        low, high = self.settings.low, self.settings.high
        if self.settings.step == "chunk":
            rows = (self.settings.action_chunk_size, 1)
            low, high = np.tile(low, rows), np.tile(high, rows)
        return spaces.Box(low, high, dtype=np.float32)

    @property
    def observation_space(self) -> spaces.Space[Any]:
        """`pixels` at the output canvas, and `agent_pos` for a domain whose robot can be found in them."""
        observed: dict[str, spaces.Space[Any]] = {"pixels": spaces.Box(0, 255, (*self.size, 3), dtype=np.uint8)}
        if self.settings.domain.name in AGENT_STATES:
            _, low, high = AGENT_STATES[self.settings.domain.name]
            observed["agent_pos"] = spaces.Box(low, high, dtype=np.float32)
        return spaces.Dict(observed)

    def begin(
        self, rng: np.random.Generator, *, seed: int | None, options: Mapping[str, Any] | None, index: int = 0
    ) -> EpisodeState:
        """Begin an episode of environment `index`.

        Args:
            rng: what the start, and the noise's seed where none is given, are drawn from.
            seed: of the noise, or None.
            options: see `WorldModelEnv.reset`.
            index: which environment's starts and prompt.

        Raises:
            InvalidInputError: if an option cannot be used.
        """
        chosen = _reset_options(options)
        self.lease.get()  # a checkpoint that does not load fails here, not in the middle of an episode
        starts = self.starts[index]
        numbers = starts.numbers
        drawn_start, drawn_seed = int(rng.integers(numbers.start, numbers.stop)), int(rng.integers(2**62))
        number = chosen.get("episode")
        start = starts.load(drawn_start if number is None else int(number), int(chosen.get("step", 0)))
        prompt = chosen.get("prompt", self.prompts[index])
        pixels = self._observed(start.frame)
        agent_pos, found = self._agent(pixels, None)
        return EpisodeState(
            anchor=start.frame,
            pixels=pixels,
            agent_pos=agent_pos,
            agent_found=found,
            actions=np.zeros((0, self.settings.domain.raw_action_dim), np.float32),
            chunk=0,
            elapsed_steps=0,
            elapsed_actions=0,
            seed=drawn_seed if seed is None else seed,
            prompt=start.task if prompt is None else prompt,
            start=number if number is not None else drawn_start,
            start_pixels=pixels,
        )

    def advance(self, states: Sequence[EpisodeState], actions: Sequence[NDArray[Any]]) -> list[StepOutcome]:
        """Imagine one step of each state, all in one generation. The states stay as they are, whatever fails.

        Args:
            states: of any environments; one state may stand there several times, for several futures.
            actions: one action for each.

        Raises:
            InvalidInputError: if an action has not the action space's shape, is not finite or is out of bounds.
            ResetNeeded: if an episode has ended.
            ServiceError: if the world model cannot be reached, after all retries.
        """
        settings = self.settings
        rows = [self._rows(state, self.check_action(action)) for state, action in zip(states, actions, strict=True)]
        requests = [self._request(state, given) for state, given in zip(states, rows, strict=True)]
        world_model = self.lease.get()
        rollouts = generate_with_retries(world_model, requests, retries=settings.retries, wait=settings.retry_wait)
        frames = [self._frames(rollout) for rollout in rollouts]
        nexts = [self._next(*given) for given in zip(states, rows, frames, strict=True)]
        steps = [self._imagined(*given) for given in zip(states, nexts, requests, frames, strict=True)]
        judgements = settings.judge.judge(steps)
        scores = None if settings.trust is None else settings.trust.score(world_model, steps)
        return [
            self._outcome(state, step, judgements[i], None if scores is None else float(scores[i]))
            for i, (state, step) in enumerate(zip(nexts, steps, strict=True))
        ]

    def check_action(self, action: Any) -> FloatArray:
        """Check one action and return it as float32 `[n, D]`, n actions a step.

        Raises:
            InvalidInputError: if it has not the action space's shape, is not finite or is out of bounds.
        """
        settings = self.settings
        values = np.asarray(action, dtype=np.float32)
        names = settings.domain.channel_names
        wanted = (len(names),) if settings.step == "action" else (settings.action_chunk_size, len(names))
        if values.shape != wanted:
            raise InvalidInputError(
                f"an action has shape {wanted} here (step={settings.step!r}, channels {', '.join(names)}); "
                f"got {values.shape}."
            )
        values = values.reshape(-1, len(names))
        if not np.isfinite(values).all():
            row, channel = np.argwhere(~np.isfinite(values))[0]
            raise InvalidInputError(f"actions must be finite; row {row}, {names[channel]} is {values[row, channel]}.")
        if settings.clip_actions:
            return np.clip(values, settings.low, settings.high)
        outside = (values < settings.low) | (values > settings.high)
        if outside.any():
            row, channel = np.argwhere(outside)[0]
            raise InvalidInputError(
                f"an action is out of bounds: row {row}, {names[channel]} is {values[row, channel]}, expected "
                f"{settings.low[channel]} to {settings.high[channel]}. clip_actions=True clips instead."
            )
        return values

    def observation(self, state: EpisodeState) -> EnvObservation:
        """What is observed, in arrays of the caller's own."""
        observed: EnvObservation = {"pixels": state.pixels.copy()}
        if state.agent_pos is not None:
            observed["agent_pos"] = state.agent_pos.copy()
        return observed

    def begin_info(self, state: EpisodeState) -> dict[str, Any]:
        """The `info` of a reset."""
        return {"start": state.start, "noise_seed": state.seed, "prompt": state.prompt, **self._state_info(state)}

    def close(self) -> None:
        """Let go of the world model, the starts and a reward that was named; calling it again does nothing."""
        self.lease.release()
        for starts in self.starts:
            starts.close()
        close_reward = getattr(self.settings.judge, "close", None)
        if self._owns_reward and close_reward is not None:
            close_reward()

    def _state_info(self, state: EpisodeState) -> dict[str, Any]:
        return {} if state.agent_pos is None else {"agent_found": state.agent_found}

    def _observed(self, frame: Frames) -> Frames:
        canvas = self._canvas_of(*frame.shape[:2])
        pixels = fit(frame, canvas)
        if pixels.shape[:2] != self.size:
            height, width = self.size
            raise InvalidInputError(
                f"a start of {frame.shape[0]}x{frame.shape[1]} is seen at {pixels.shape[0]}x{pixels.shape[1]}, but "
                f"this environment's pixels are {height}x{width} (HxW); its starts must have one size."
            )
        return pixels

    def _agent(self, pixels: Frames, before: FloatArray | None) -> tuple[FloatArray | None, bool]:
        """Where the robot is; where it is not found, where it was, and at the start the middle of what is possible."""
        if self.settings.domain.name not in AGENT_STATES:
            return None, False
        find, low, high = AGENT_STATES[self.settings.domain.name]
        found = find(pixels)
        if found is not None:
            return found, True
        middle: FloatArray = (low + high) / np.float32(2)
        return middle if before is None else before, False

    def _rows(self, state: EpisodeState, values: FloatArray) -> FloatArray:
        """All actions of the state's chunk that are known with this step's."""
        if state.ended:
            raise ResetNeeded("this episode has ended: reset the environment before the next step.")
        return np.concatenate([state.actions, values])

    def _request(self, state: EpisodeState, given: FloatArray) -> ActionRequest:
        settings, missing = self.settings, self.settings.action_chunk_size - len(given)
        filled = np.concatenate([given, np.repeat(given[-1:], missing, axis=0)])
        return ActionRequest(
            mode="forward_dynamics",
            domain=settings.domain,
            frames=state.anchor[None],
            action_chunk_size=settings.action_chunk_size,
            actions=Actions(filled, ActionSpace.ROBOT, settings.domain.name),
            prompt=state.prompt,
            seed=chunk_seed(state.seed, state.chunk),
            **vars(settings.sampling),
        )

    def _frames(self, rollout: Rollout) -> Frames:
        frames = rollout.frames_to_go_on_from()
        height, width = frames.shape[1:3]
        if (height, width) != self.size:
            raise InvalidInputError(
                f"the world model answered at {height}x{width}, expected {self.size[0]}x{self.size[1]} (HxW); make "
                f"the environment with canvas=({height}, {width})."
            )
        return frames

    def _next(self, state: EpisodeState, given: FloatArray, frames: Frames) -> EpisodeState:
        full = len(given) == self.settings.action_chunk_size
        pixels = frames[len(given)].copy()  # a state that is kept must not keep the whole chunk
        agent_pos, found = self._agent(pixels, state.agent_pos)
        return replace(
            state,
            anchor=pixels if full else state.anchor,
            pixels=pixels,
            agent_pos=agent_pos,
            agent_found=found,
            actions=given[:0] if full else given,
            chunk=state.chunk + full,
            elapsed_steps=state.elapsed_steps + 1,
            elapsed_actions=state.elapsed_actions + self.settings.actions_per_step,
        )

    def _imagined(
        self, before: EpisodeState, after: EpisodeState, request: ActionRequest, frames: Frames
    ) -> ImaginedStep:
        assert request.actions is not None
        first, count = len(before.actions), self.settings.actions_per_step
        return ImaginedStep(
            frames=np.concatenate([before.pixels[None], frames[first + 1 : first + 1 + count]]),
            actions=request.actions.values[first : first + count],
            chunk_frames=frames,
            chunk_actions=request.actions.values,
            domain=self.settings.domain,
            prompt=before.prompt,
            seed=request.seed,
            start=before.start,
            start_frame=before.start_pixels,
            elapsed_steps=after.elapsed_steps,
        )

    def _outcome(
        self, state: EpisodeState, step: ImaginedStep, judgement: Judgement, score: float | None
    ) -> StepOutcome:
        settings, info = self.settings, self._state_info(state)
        frames = step.frames[1:].copy()
        if settings.step == "chunk":
            info["frames"] = frames
        info.update(judgement.details)
        reason = None
        if score is not None and settings.trust is not None:
            info["trust_score"] = score
            reason = "trust" if score > settings.trust.threshold else None
        limit = settings.max_episode_actions
        if reason is None and limit is not None and state.elapsed_actions >= limit:
            reason = "time_limit"
        if reason is not None:
            info["truncation_reason"] = reason
        terminated = bool(judgement.success) and reason != "trust"  # what is not to be trusted is no success
        info["is_success"] = terminated  # always there: lerobot's rollout takes its absence for success
        reward = float(judgement.reward)
        ended = terminated or reason is not None
        state = replace(state, total_reward=state.total_reward + reward, ended=ended)
        return StepOutcome(state, reward, terminated, reason is not None, info, frames)


def _reset_options(options: Mapping[str, Any] | None) -> Mapping[str, Any]:
    given = {key: value for key, value in (options or {}).items() if value is not None}
    unknown = set(given) - _RESET_OPTIONS - _OPTIONS_OF_OTHERS
    if unknown:
        raise InvalidInputError(
            f"unknown reset option(s) {', '.join(sorted(unknown))}; known are {', '.join(sorted(_RESET_OPTIONS))}."
        )
    return given


def _open_starts(given: Any, num_envs: int, domain: Domain) -> list[Starts]:
    """Open the starts of each environment; those that are one for all are opened once."""
    if isinstance(given, list | tuple):
        return [open_starts(item, domain) for item in _one_for_each("starts", given, num_envs)]
    return [open_starts(given, domain)] * num_envs


def _one_for_each(name: str, given: Any, num_envs: int) -> list[Any]:
    if not isinstance(given, list | tuple):
        return [given] * num_envs
    if len(given) != num_envs:
        raise InvalidInputError(f"{name} has {len(given)} item(s) for {num_envs} environment(s); give one, or as many.")
    return list(given)
