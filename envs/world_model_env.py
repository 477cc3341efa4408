"""A world model as a Gymnasium environment."""

from typing import Any, Unpack

import gymnasium
import numpy as np
from gymnasium.error import ClosedEnvironmentError, ResetNeeded
from numpy.typing import NDArray

from cosmos_robot.envs.core import EnvCore, EnvObservation
from cosmos_robot.envs.episode_state import EpisodeState, Snapshot
from cosmos_robot.envs.options import EnvOptions
from cosmos_robot.envs.window import Window
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.types import Frames

RENDER_MODES = ["rgb_array", "human"]


class WorldModelEnv(gymnasium.Env[EnvObservation, NDArray[np.float32]]):
    """An environment whose physics is imagined by a world model.

    Actions are in robot units, within the bounds that the domain declares. An observation has `pixels`, uint8 at the
    world model's output canvas; at the start the given frame, brought through the same canvas. For Push-T it has
    `agent_pos` too, the pusher's centre in table pixels, estimated from the pixels (`envs/pusht_state.py` says how and
    how exactly).

    With `step="chunk"`, the default, an action is `[k, D]`, a whole chunk: one generation a step, and the frames
    between are in `info["frames"]`. With `step="action"` an action is `[D]`: every step imagines the current chunk
    anew from the frame that it began with, with the actions so far and the last one repeated for those to come, and
    shows the frame after the last. So frame t depends on actions 0 to t alone, the chunk's last frame is what
    `step="chunk"` gives, and a step costs a whole generation: k times as many as with chunks.

    `info` at every step: `frames` (uint8 `[k, H, W, 3]`, with chunks), `agent_found` (where there is an `agent_pos`:
    whether the robot is to be seen; if not, `agent_pos` is where it last was, or the middle of the table),
    `is_success` (False where the reward cannot tell) and the reward's own figures, `trust_score` (with trust),
    `truncation_reason` ("trust" or "time_limit", at a truncated step). At a reset: `start`, `noise_seed`, `prompt`,
    `agent_found`.

    A step fails without harm: the episode stays as it was, and can be stepped again.

    Args:
        options: see `EnvOptions`; `domain` and `starts` are needed.

    Raises:
        InvalidInputError: if a keyword cannot be used.
        UnknownFactError: if the domain has no published bounds and none are given.
        CheckpointError: if the named checkpoint is not there.
    """

    metadata = {"render_modes": RENDER_MODES, "render_fps": 10}  # noqa: RUF012  (Gymnasium's own form)

    def __init__(self, **options: Unpack[EnvOptions]) -> None:
        self._core = EnvCore(options)
        self.render_mode = require_render_mode(options.get("render_mode"))
        self.metadata = env_metadata(self._core)
        self.action_space = self._core.action_space
        self.observation_space = self._core.observation_space
        self._state: EpisodeState | None = None
        self._window = Window(self._core.settings.fps) if self.render_mode == "human" else None
        self._closed = False

    @property
    def core(self) -> EnvCore:
        """What imagines the steps: it keeps nothing of the episode, so that planners may branch off its states."""
        return self._core

    @property
    def task(self) -> str:
        """What the robot should do in this episode."""
        return self._require_state().prompt

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[EnvObservation, dict[str, Any]]:
        """Begin an episode. The first reset loads the world model.

        Args:
            seed: of the start that is drawn and of all noise: the frames are those of `rollout(..., seed=seed)`. None
                draws both from the generator.
            options: `episode`, the number of the start (for a simulator, the seed of its reset); `step`, the time step
                in a recorded episode; `prompt`, for this episode.
        """
        self._require_open()
        super().reset(seed=seed)
        self._state = self._core.begin(self.np_random, seed=seed, options=options)
        self._show(self._state.pixels[None])
        return self._core.observation(self._state), self._core.begin_info(self._state)

    def step(self, action: NDArray[np.float32]) -> tuple[EnvObservation, float, bool, bool, dict[str, Any]]:
        """Imagine what the action does.

        Raises:
            ResetNeeded: before the first reset, and after an episode's end.
            InvalidInputError: if the action has not the action space's shape, is not finite or is out of bounds.
            ServiceError: if the world model cannot be reached, after all retries.
        """
        outcome = self._core.advance([self._require_state()], [action])[0]
        self._state = outcome.state
        self._show(outcome.frames)
        observation = self._core.observation(outcome.state)
        return observation, outcome.reward, outcome.terminated, outcome.truncated, outcome.info

    def render(self) -> Frames | None:
        """Give the current frame uint8 `[H, W, 3]`; with "human" a window shows every frame by itself."""
        state = self._require_state()
        return state.pixels.copy() if self.render_mode == "rgb_array" else None

    def snapshot(self) -> Snapshot:
        """Keep the episode as it is, to go back to it with `restore` here or in a vector environment.

        The step counter of a `TimeLimit` wrapper is the wrapper's own and is not in it.
        """
        return Snapshot(self._require_state(), self.np_random.bit_generator.state)

    def restore(self, snapshot: Snapshot, *, seed: int | None = None) -> tuple[EnvObservation, dict[str, Any]]:
        """Go back to a snapshot.

        Args:
            snapshot: from this environment, or from another with the same keywords.
            seed: other noise from here on; None goes on with the snapshot's, so that the same actions give the same
                frames.

        Returns:
            The observation, and the `info` of a reset.
        """
        self._require_open()
        self._state = snapshot.state if seed is None else snapshot.state.reseeded(seed)
        self.np_random.bit_generator.state = snapshot.generator
        self._show(self._state.pixels[None])
        return self._core.observation(self._state), self._core.begin_info(self._state)

    def close(self) -> None:
        """Free the world model, unless others hold it, and close the window; calling it again does nothing."""
        self._closed = True
        self._core.close()
        if self._window is not None:
            self._window.close()

    def _show(self, frames: Frames) -> None:
        if self._window is not None:
            self._window.show(frames)

    def _require_state(self) -> EpisodeState:
        self._require_open()
        if self._state is None:
            raise ResetNeeded("reset the environment before the first step.")
        return self._state

    def _require_open(self) -> None:
        if self._closed:
            raise ClosedEnvironmentError("this environment is closed; make a new one.")


def require_render_mode(mode: str | None, allowed: tuple[str, ...] = tuple(RENDER_MODES)) -> str | None:
    """Check a render mode and return it.

    Raises:
        InvalidInputError: if there is no such mode.
    """
    if mode is not None and mode not in allowed:
        raise InvalidInputError(f"unknown render_mode {mode!r}; expected one of {', '.join(allowed)}, or None.")
    return mode


def env_metadata(core: EnvCore) -> dict[str, Any]:
    """Gymnasium's metadata: `render_fps` is how many steps, and so rendered frames, pass in a second."""
    settings = core.settings
    return {"render_modes": list(RENDER_MODES), "render_fps": settings.fps / settings.actions_per_step}
