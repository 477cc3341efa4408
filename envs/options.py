"""What an environment over a world model is made of: its keywords, checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypedDict, get_args

import numpy as np

from cosmos_robot.domains.domain import Domain
from cosmos_robot.domains.registry import get_domain
from cosmos_robot.envs.protocols import FrameJudge, FrameReward, Judge, NoReward, Trust
from cosmos_robot.envs.rewards import REWARDS
from cosmos_robot.envs.starts import StartsLike
from cosmos_robot.envs.trust import TRUST
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.interface.world_model import WorldModel
from cosmos_robot.types import FloatArray, require_chunk_size, require_sampling

StepMode = Literal["chunk", "action"]

EMBEDDED_STEPS = 4
"""Of the embedded model in an environment, where each chunk begins with the last frame of the one before.

Its own default for forward dynamics is one: the mean of what may come, nearest to the truth frame by frame, but what is
pushed melts in it from chunk to chunk. With four, policies rank as they do in gym-pusht; see `agreement_pusht.toml`.
"""


class EnvOptions(TypedDict, total=False):
    """Keywords of the environments. Those given as plain data make a specification that survives JSON.

    Keys:
        world_model: name, path or URL for `load_world_model`, or a `WorldModel`; None is the embedded Push-T model. A
            named one is loaded at the first reset, shared by all environments of the process that name it with the
            same device and dtype, and freed when the last of them is closed.
        device: for a named world model.
        dtype: for a named world model.
        domain: name of the robot, path of its TOML file, or a `Domain`.
        starts: where episodes start; see `open_starts`. In the vector environment a list has one for each.
        prompt: what the robot should do; None takes the start's own task. In the vector environment a list has one
            for each.
        reward: a name of `REWARDS`, `{"name": ..., key: ...}`, a function of the step's frames, or a `Judge`; None
            gives 0.
        trust: a name of `TRUST`, `{"name": ..., key: ...}`, or a `Trust`; None never ends an episode for want of it.
        step: "chunk": an action is `[k, D]`; "action": it is `[D]`. See `WorldModelEnv`.
        action_chunk_size: k, transitions of one generation; None takes the domain's.
        bounds: least and greatest action in robot units, each `[D]`; None takes the domain's.
        clip_actions: clip actions to the bounds instead of refusing those that are outside.
        max_episode_actions: an episode is truncated after so many actions; None is never.
        image_size: resolution tier; None takes the domain's.
        canvas: height and width of the pixels, for a service whose canvas is not the domain's.
        fps: frames a second; None takes the domain's.
        view_point: where the camera stands; None takes the domain's.
        num_steps: denoising steps; None takes the checkpoint's or the domain's, as in the following, and for
            `world_model=None` `EMBEDDED_STEPS`.
        guidance: classifier-free guidance scale.
        shift: flow shift.
        retries: further attempts where the connection to the world model fails.
        retry_wait: seconds before the first of them; each next wait is twice as long.
        render_mode: "rgb_array", "human" or None.
    """

    world_model: str | Path | WorldModel | None
    device: str | None
    dtype: str | None
    domain: str | Path | Domain
    starts: StartsLike | Sequence[StartsLike]
    prompt: str | Sequence[str] | None
    reward: str | Mapping[str, Any] | FrameReward | Judge | None
    trust: str | Mapping[str, Any] | Trust | None
    step: StepMode
    action_chunk_size: int | None
    bounds: tuple[Sequence[float], Sequence[float]] | None
    clip_actions: bool
    max_episode_actions: int | None
    image_size: int | str | None
    canvas: tuple[int, int] | None
    fps: float | None
    view_point: str | None
    num_steps: int | None
    guidance: float | None
    shift: float | None
    retries: int
    retry_wait: float
    render_mode: str | None


@dataclass(frozen=True, eq=False)
class Sampling:
    """How every chunk is generated; None is the checkpoint's or the domain's own."""

    image_size: int | str | None = None
    fps: float | None = None
    view_point: str | None = None
    num_steps: int | None = None
    guidance: float | None = None
    shift: float | None = None

    def __post_init__(self) -> None:
        require_sampling(num_steps=self.num_steps, guidance=self.guidance, shift=self.shift, fps=self.fps)


@dataclass(frozen=True, eq=False)
class EnvSettings:
    """The keywords of `EnvOptions` that shape an episode, resolved.

    Attributes:
        domain: the robot.
        judge: the reward.
        trust: when the imagination is given up, or None.
        step: whether a step is a chunk or one action.
        action_chunk_size: transitions of one generation.
        low: float32 `[D]` least action in robot units.
        high: float32 `[D]` greatest action.
        sampling: how chunks are generated.
        clip_actions: see `EnvOptions`, as for the following.
    """

    domain: Domain
    judge: Judge
    trust: Trust | None
    step: StepMode
    action_chunk_size: int
    low: FloatArray
    high: FloatArray
    sampling: Sampling = field(default_factory=Sampling)
    clip_actions: bool = False
    max_episode_actions: int | None = None
    canvas: tuple[int, int] | None = None
    retries: int = 2
    retry_wait: float = 1.0

    @property
    def fps(self) -> float:
        """Frames, and so actions, a second."""
        return self.domain.fps if self.sampling.fps is None else self.sampling.fps

    @property
    def actions_per_step(self) -> int:
        """Actions that one step takes."""
        return self.action_chunk_size if self.step == "chunk" else 1

    @classmethod
    def of(cls, options: EnvOptions) -> "EnvSettings":
        """Check the keywords.

        Raises:
            TypeError: if a keyword is unknown, or the domain is missing.
            InvalidInputError: if a value cannot be used.
            UnknownFactError: if the domain has no published bounds and none are given.
        """
        unknown = set(options) - set(EnvOptions.__annotations__)
        if unknown:
            raise TypeError(f"unknown keyword(s): {', '.join(sorted(unknown))}.")
        missing = [name for name in ("domain", "starts") if options.get(name) is None]
        if missing:
            raise TypeError(f"an environment over a world model needs {' and '.join(missing)}.")
        domain = get_domain(options["domain"])
        low, high = _bounds(domain, options.get("bounds"))
        given: Mapping[str, Any] = options
        simple = ("clip_actions", "max_episode_actions", "retries", "retry_wait")
        canvas, chunk = options.get("canvas"), options.get("action_chunk_size")
        settings = cls(
            domain=domain,
            judge=find_reward(options.get("reward")),
            trust=find_trust(options.get("trust")),
            step=options.get("step", "chunk"),
            action_chunk_size=require_chunk_size(domain.action_chunk_size if chunk is None else chunk),
            low=low,
            high=high,
            sampling=_sampling(given),
            canvas=None if canvas is None else (int(canvas[0]), int(canvas[1])),
            **{name: given[name] for name in simple if name in given},
        )
        settings._check()
        return settings

    def _check(self) -> None:
        if self.step not in get_args(StepMode):
            raise InvalidInputError(f"unknown step {self.step!r}; expected 'chunk' or 'action'.")
        if self.max_episode_actions is not None and self.max_episode_actions < 1:
            raise InvalidInputError(f"max_episode_actions must be at least 1; got {self.max_episode_actions}.")
        if self.retries < 0 or self.retry_wait < 0:
            raise InvalidInputError("retries and retry_wait must not be negative.")


def find_reward(given: str | Mapping[str, Any] | FrameReward | Judge | None) -> Judge:
    """Find the reward that is named or given.

    Raises:
        InvalidInputError: if there is no reward of that name, or it is none.
    """
    if given is None:
        return NoReward()
    found: Any = _named("reward", given, REWARDS) if isinstance(given, str | Mapping) else given
    if isinstance(found, Judge):
        return found
    if not callable(found):
        raise InvalidInputError(f"a reward is a name, a function of frames or a Judge; got {type(found).__name__}.")
    return FrameJudge(found)


def find_trust(given: str | Mapping[str, Any] | Trust | None) -> Trust | None:
    """Find the trust that is named or given.

    Raises:
        InvalidInputError: if there is none of that name, or it is none.
    """
    found: Any = _named("trust", given, TRUST) if isinstance(given, str | Mapping) else given
    if found is None or isinstance(found, Trust):
        return found
    raise InvalidInputError(f"trust is a name or a Trust; got {type(found).__name__}.")


def _named(what: str, given: str | Mapping[str, Any], table: Mapping[str, Any]) -> Any:
    keys = {"name": given} if isinstance(given, str) else dict(given)
    name = str(keys.pop("name", None))
    if name not in table:
        known = ", ".join(sorted(table)) or "none yet"
        raise InvalidInputError(f"there is no {what} named {name!r}; known are: {known}.")
    return table[name](**keys)


def _sampling(given: Mapping[str, Any]) -> Sampling:
    own = {name: given.get(name) for name in Sampling.__dataclass_fields__}
    if given.get("world_model") is None and own["num_steps"] is None:
        own["num_steps"] = EMBEDDED_STEPS
    return Sampling(**own)


def _bounds(domain: Domain, given: tuple[Sequence[float], Sequence[float]] | None) -> tuple[FloatArray, FloatArray]:
    if given is None:
        return domain.require_robot_bounds()
    low, high = (np.asarray(bound, dtype=np.float32) for bound in given)
    if low.shape != (domain.raw_action_dim,) or high.shape != low.shape or not (low < high).all():
        raise InvalidInputError(
            f"bounds must be the least and the greatest action, {domain.raw_action_dim} figures each "
            f"({', '.join(domain.channel_names)}), the least below the greatest."
        )
    return low, high
