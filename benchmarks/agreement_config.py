"""What an agreement run plays: which policies, from which starts; fixed in `agreement_pusht.toml`."""

import tomllib
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces

from cosmos_robot.benchmarks.pusht_expert import Grade, PushTExpert
from cosmos_robot.benchmarks.run_plan import noise_seed
from cosmos_robot.domains.registry import get_domain
from cosmos_robot.envs.policies import Policy, PolicyRunner
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.training.pusht_recording import HELD_OUT_SEED

COMMITTED = Path(__file__).with_name("agreement_pusht.toml")


@dataclass(frozen=True, kw_only=True)
class AgreementConfig:
    """What is played; what is not given is as in the committed file.

    Attributes:
        env: name of the environment.
        policies: the grade of each policy; or, of one's own, what makes it for the start whose number it is given.
        chunks: of each episode.
        action_chunk_size: actions of a chunk.
        policy_seed: of the policies' draws and the world models' noise, together with the start.
        first_start: seed of gym-pusht's reset.
        starts: how many, one after another.
        embedded_num_steps: denoising steps of the embedded model where the run names no checkpoint and no steps.

    Raises:
        InvalidInputError: if a number is out of its range, or starts are among those that were trained on.
    """

    env: str = field(default_factory=lambda: committed("env"))
    policies: Mapping[str, Grade | Callable[[int], Policy]] = field(default_factory=lambda: committed("policies"))
    chunks: int = field(default_factory=lambda: committed("chunks"))
    action_chunk_size: int = field(default_factory=lambda: committed("action_chunk_size"))
    policy_seed: int = field(default_factory=lambda: committed("policy_seed"))
    first_start: int = field(default_factory=lambda: committed("first_start"))
    starts: int = field(default_factory=lambda: committed("starts"))
    embedded_num_steps: int = field(default_factory=lambda: committed("embedded_num_steps"))

    def __post_init__(self) -> None:
        graded = {name: Grade(**each) if isinstance(each, dict) else each for name, each in self.policies.items()}
        object.__setattr__(self, "policies", graded)  # a file's tables become grades
        if self.env != "pusht":
            raise InvalidInputError(f"there is no agreement run for the environment {self.env!r}; pusht is the one.")
        if min(self.chunks, self.starts, self.embedded_num_steps) < 1 or len(self.policies) < 2:
            raise InvalidInputError("agreement needs two policies and at least one chunk, start and denoising step.")
        if self.first_start < HELD_OUT_SEED:
            raise InvalidInputError(f"starts below {HELD_OUT_SEED} are trained on; got {self.first_start}.")

    @classmethod
    def read(cls, path: Path) -> "AgreementConfig":
        """Read a TOML file.

        Raises:
            InvalidInputError: if it is none, or has more than is known.
        """
        try:
            return cls(**_read(path))
        except (OSError, TypeError, tomllib.TOMLDecodeError) as error:
            raise InvalidInputError(f"{path} does not describe an agreement run: {error}.") from error

    @property
    def start_numbers(self) -> range:
        """The seeds of gym-pusht's reset."""
        return range(self.first_start, self.first_start + self.starts)

    def policy(self, name: str, start: int) -> Policy:
        """Make a policy for an episode; its draws are the same in every world."""
        given = self.policies[name]
        if not isinstance(given, Grade):
            return given(start)
        seed = noise_seed(self.policy_seed, start, zlib.crc32(name.encode()))
        return PushTExpert(given, chunk=self.action_chunk_size, seed=seed)

    def runner(self, name: str, start: int) -> PolicyRunner:
        """Make a policy whose answers are cut to whole chunks."""
        low, high = get_domain("pusht").require_robot_bounds()
        rows = (self.action_chunk_size, 1)
        space = spaces.Box(np.tile(low, rows), np.tile(high, rows), dtype=np.float32)
        return PolicyRunner(self.policy(name, start), space)


def committed(key: str) -> Any:
    """A value of the committed file."""
    return _committed()[key]


@cache
def _committed() -> dict[str, Any]:
    return _read(COMMITTED)


def _read(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return tomllib.load(file)
