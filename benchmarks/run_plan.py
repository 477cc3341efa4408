"""The rows of a run, fixed before it starts."""

import json
from bisect import bisect_left, bisect_right
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from cosmos_robot.benchmarks.run_config import RunConfig
from cosmos_robot.datasets.atomic_file import replaced_when_complete
from cosmos_robot.datasets.episode import Episodes
from cosmos_robot.datasets.windows import Windows, windows
from cosmos_robot.domains.registry import get_domain
from cosmos_robot.errors import InvalidInputError

type Place = tuple[int, int]
"""Position of an episode, and the time step in it at which a window starts."""


@dataclass(frozen=True)
class PlannedRow:
    """One thing to measure.

    Attributes:
        row: its number in the run.
        window: number of its window among all of them; None where rows are no windows.
        episode: position of the episode; the simulator's seed where there is a simulator.
        start: time step of its first frame.
        seed: of the noise.
        other: number of a window of another episode, whose actions are the control; None where there is none.
        case: what tells rows of one start apart, as the policy that is played; "" where nothing does.
    """

    row: int
    window: int | None
    episode: int
    start: int
    seed: int
    other: int | None
    case: str = ""


def run_windows(config: RunConfig, episodes: Episodes) -> Windows:
    """All windows that a run may draw from."""
    domain = get_domain(config.domain)
    horizon = config.horizon or config.chunk or domain.action_chunk_size
    return windows(episodes, domain, chunk=horizon, stride=config.stride or horizon, fps=config.fps)


def plan_rows(config: RunConfig, available: Windows) -> list[PlannedRow]:
    """Draw the rows of a run; the same settings and windows give the same rows.

    Fewer rows are the first of more, drawn from all episodes; they are in the order of the recording, which is quick
    to read.
    """
    rng = np.random.default_rng([config.seed, 0xB1])
    drawn = rng.permutation(len(available))[: config.rows]
    order = sorted(int(number) for number in drawn)
    rows: list[PlannedRow] = []
    for number in order:
        episode, start = available.place(number)
        other = _of_another_episode(config.seed, number, episode, available)
        for noise in range(config.noises):
            seed = noise_seed(config.seed, number, noise)
            rows.append(PlannedRow(len(rows), number, episode, start, seed, other))
    return rows


def noise_seed(*words: int) -> int:
    """A seed that follows from several numbers (numpy's `SeedSequence`)."""
    return int(np.random.SeedSequence(words).generate_state(1)[0])


def write_plan(path: Path, rows: list[PlannedRow]) -> None:
    """Write a plan, or check that the one there is the same.

    Raises:
        InvalidInputError: if another one is there.
    """
    text = "".join(json.dumps(asdict(row)) + "\n" for row in rows)
    if path.exists():
        if path.read_text(encoding="utf-8") != text:
            raise InvalidInputError(f"{path} holds other rows than this run would have; choose another folder.")
        return
    with replaced_when_complete(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_plan(path: Path) -> list[PlannedRow]:
    """Read what `write_plan` wrote.

    Raises:
        InvalidInputError: if there is no plan.
    """
    if not path.is_file():
        raise InvalidInputError(f"there is no {path.name} in {path.parent}; it is no folder of a benchmark run.")
    return [PlannedRow(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def _of_another_episode(seed: int, number: int, episode: int, available: Windows) -> int | None:
    """Draw a window from those before and behind an episode's own, which lie side by side."""
    every = range(len(available))
    first = bisect_left(every, episode, key=lambda i: available.place(i)[0])
    behind = bisect_right(every, episode, key=lambda i: available.place(i)[0])
    others = len(every) - (behind - first)
    if others == 0:
        return None
    chosen = int(np.random.default_rng([seed, number, 0xB2]).integers(others))
    return chosen if chosen < first else chosen + behind - first
