"""A Gymnasium wrapper that records what is played in an environment as a LeRobot v3.0 dataset."""

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from cosmos_robot.datasets.recorded_features import CameraStorage, Column, RecordedFeatures
from cosmos_robot.datasets.recorder import EpisodeRecorder
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.types import Frames

_CAMERA = "observation.images."
_STATE = "observation.state"


class RecordEpisodes(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Records a single environment; each time step is an observation, the action taken at it and the reward for it.

    An episode is finished when it terminates or is truncated; one that is reset before is dropped. Its last row is the
    last observation, from which no action leads on: there the action is that of the row before, and the reward 0.
    Pictures of the observation (uint8 `[H, W, 3]`) become cameras `observation.images.<key>`, its vectors columns
    `observation.<key>`. An observation that is a picture alone is the camera `top`, a vector alone the state. The key
    `pixels` is the camera `top`, `agent_pos` and `state` are `observation.state`.

    Args:
        env: a single environment with a box as its action space.
        folder: of the dataset; one of the same form is appended to.
        fps: steps a second; None takes the environment's `render_fps`.
        task: what the robot is told; text, or what makes it of the last step's `info`.
        success: what tells success from the last step's `info`; None takes `info["is_success"]`.
        robot_type: what the dataset says about the robot.
        storage: mp4 files or PNG images.
        codec: of the videos; see `EpisodeRecorder`.

    Raises:
        InvalidInputError: if the spaces cannot be recorded, or `fps` is not known.
    """

    def __init__(
        self,
        env: gymnasium.Env[Any, Any],
        folder: str | Path,
        *,
        fps: float | None = None,
        task: str | Callable[[Mapping[str, Any]], str] = "",
        success: Callable[[Mapping[str, Any]], bool] | None = None,
        robot_type: str | None = None,
        storage: CameraStorage = "video",
        codec: str = "libsvtav1",
    ) -> None:
        super().__init__(env)
        self._task, self._success = task, success or _is_success
        rate = fps if fps is not None else env.metadata.get("render_fps")
        if not rate:
            raise InvalidInputError("the environment names no render_fps; give fps.")
        self._shapes = _observation_shapes(env.observation_space)
        if not isinstance(env.action_space, gymnasium.spaces.Box):
            raise InvalidInputError(f"actions of {env.action_space} cannot be recorded; a box is needed.")
        self._recorder = EpisodeRecorder(
            folder,
            fps=float(rate),
            features=_features(self._shapes, env.action_space, storage),
            robot_type=robot_type,
            codec=codec,
        )
        self._seen: Any = None
        self._last_action: NDArray[Any] | None = None

    @property
    def episodes(self) -> int:
        """Number of finished episodes in the dataset."""
        return self._recorder.episodes

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode; what was played of one that has not ended is dropped."""
        self._recorder.discard_episode()
        observation, info = self.env.reset(seed=seed, options=options)
        self._seen = copy.deepcopy(observation)  # simulators reuse their buffers
        self._last_action = None
        return observation, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Play a step and record it."""
        before, self._last_action = self._seen, np.array(action)
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._seen = copy.deepcopy(observation)
        self._add(before, float(reward))
        if terminated or truncated:
            self._add(self._seen, 0.0)
            task = self._task if isinstance(self._task, str) else self._task(info)
            self._recorder.finish_episode(task, success=self._success(info))
        return observation, reward, terminated, truncated, info

    def close(self) -> None:
        """End the recording and close the environment; an episode that has not ended is dropped."""
        self._recorder.close()
        super().close()

    def _add(self, observation: Any, reward: float) -> None:
        if self._last_action is None:
            raise InvalidInputError("no action has been taken yet.")
        parts = observation if isinstance(observation, Mapping) else {_alone(np.asarray(observation).ndim): observation}
        frames: dict[str, Frames] = {}
        values: dict[str, Any] = {"action": self._last_action.reshape(-1), "next.reward": reward}
        for key in self._shapes:
            part = np.asarray(parts[key])
            if part.ndim == 3:
                frames[_feature(key, 3)] = part
            else:
                values[_feature(key, part.ndim)] = part.reshape(-1)
        self._recorder.add_frame(frames, values)


def _is_success(info: Mapping[str, Any]) -> bool:
    if "is_success" not in info:
        raise InvalidInputError("info has no is_success; say what success is with success=lambda info: ...")
    return bool(info["is_success"])


def _observation_shapes(space: gymnasium.Space[Any]) -> dict[str, gymnasium.spaces.Box]:
    spaces = space.spaces if isinstance(space, gymnasium.spaces.Dict) else {_alone(len(space.shape or ())): space}
    wrong = [key for key, part in spaces.items() if not isinstance(part, gymnasium.spaces.Box) or not part.shape]
    if wrong:
        raise InvalidInputError(f"observations {', '.join(wrong)} cannot be recorded; pictures and vectors can.")
    return {key: part for key, part in spaces.items() if isinstance(part, gymnasium.spaces.Box)}


def _features(
    shapes: Mapping[str, gymnasium.spaces.Box], action: gymnasium.spaces.Box, storage: CameraStorage
) -> RecordedFeatures:
    pictures = {key: space.shape for key, space in shapes.items() if len(space.shape) == 3}
    columns = {
        _feature(key, len(space.shape)): Column((int(np.prod(space.shape)),))
        for key, space in shapes.items()
        if key not in pictures
    }
    return RecordedFeatures(
        cameras={_feature(key, 3): (shape[0], shape[1]) for key, shape in pictures.items()},
        columns={"action": Column((int(np.prod(action.shape)),)), "next.reward": Column((1,)), **columns},
        storage=storage,
        success=True,
    )


def _alone(dimensions: int) -> str:
    return "pixels" if dimensions == 3 else "state"


def _feature(key: str, dimensions: int) -> str:
    if dimensions == 3:
        return _CAMERA + ("top" if key == "pixels" else key)
    return _STATE if key in ("agent_pos", "state") else f"observation.{key}"
