"""Speed of the vector environment: N in one batch beside N one after another, and beside the real simulator.

    python -m cosmos_robot.benchmarks.environment_speed [--checkpoint DIR] [--out speed.json]

A shared machine changes its speed from minute to minute, so nothing here is a time alone: in every round all make the
same step, one straight after the other, and what is reported is the median of the rounds' ratios. A step is a chunk;
its actions are what gym-pusht is stepped with, rendering each frame that it observes, as the world model does.
"""

import json
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from cosmos_robot.benchmarks.random_checkpoint import RandomCheckpoint
from cosmos_robot.benchmarks.speed import machine, seconds
from cosmos_robot.engine.checkpoint import CheckpointFacts, LoadedCheckpoint
from cosmos_robot.engine.engine import Engine
from cosmos_robot.envs.options import EnvOptions
from cosmos_robot.envs.registration import HELD_OUT_SEEDS, PUSHT_STARTS
from cosmos_robot.envs.world_model_env import WorldModelEnv
from cosmos_robot.envs.world_model_vector_env import WorldModelVectorEnv
from cosmos_robot.interface.world_model import WorldModel
from cosmos_robot.training.pusht_recording import open_simulator
from cosmos_robot.types import FloatArray
from cosmos_robot.world_model import EMBEDDED, LocalWorldModel, load_world_model

SMALL = RandomCheckpoint(layers=6, hidden=256, heads=4, kv_heads=2, head_dim=64, intermediate=768, z_dim=32)
"""About the embedded model's size, where that is not in this build."""
FACTS = CheckpointFacts(native_canvas=(96, 96), domain_ids=(4,), max_action_chunk_size=16, num_steps=4)


@dataclass(frozen=True)
class Row:
    """What was measured for one number of environments: medians over the rounds.

    Attributes:
        num_envs: how many.
        batch_s: seconds of one step of all in the vector environment.
        one_by_one_s: seconds of the same step in single environments, one after another.
        ratio: one by one / batch.
        ratio_low: the least of the rounds.
        ratio_high: the greatest.
        actions_per_s: actions a second of the vector environment, all environments together.
        simulator_actions_per_s: actions a second of as many simulators, one after another.
        beside_simulator: the former / the latter.
        rounds: how many.
    """

    num_envs: int
    batch_s: float
    one_by_one_s: float
    ratio: float
    ratio_low: float
    ratio_high: float
    actions_per_s: float
    simulator_actions_per_s: float
    beside_simulator: float
    rounds: int


def main(
    checkpoint: Annotated[Path | None, typer.Option(help="A checkpoint that knows Push-T.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the rows as JSON.")] = None,
    rounds: Annotated[int, typer.Option(help="Rounds of each comparison.")] = 5,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 2,
    envs: Annotated[str, typer.Option(help="Numbers of environments, with commas.")] = "1,4,16",
) -> None:
    """Measure on the checkpoint that is named, the embedded one, or random weights of about its size."""
    torch.set_num_threads(threads)
    world_model, name = find_world_model(checkpoint)
    rows = [measure(world_model, int(count), rounds) for count in envs.split(",")]
    where = {"weights": name, **machine(threads)}
    Console().print(as_table(rows, where))
    if out is not None:
        out.write_text(json.dumps({"machine": where, "rows": [asdict(row) for row in rows]}, indent=1))


def find_world_model(checkpoint: Path | None) -> tuple[WorldModel, str]:
    """Load what is measured, and say what it is."""
    if checkpoint is not None:
        return load_world_model(checkpoint), str(checkpoint)
    if EMBEDDED.is_dir():
        return load_world_model(), "embedded"
    device = "cuda" if torch.cuda.is_available() else "cpu"
    pipeline = SMALL.pipeline().to(device)
    loaded = LoadedCheckpoint(engine=Engine.from_pipeline(pipeline), facts=FACTS, name="random")
    return LocalWorldModel(loaded), "random"


def measure(world_model: WorldModel, num_envs: int, rounds: int) -> Row:
    """Time a step of all, three ways, turn by turn, after one round that is not counted."""
    options: EnvOptions = {"world_model": world_model, "domain": "pusht", "starts": PUSHT_STARTS}
    batch = WorldModelVectorEnv(num_envs, **options)
    singles = [WorldModelEnv(**options) for _ in range(num_envs)]
    simulators = [open_simulator() for _ in range(num_envs)]
    scenes = [HELD_OUT_SEEDS[0] + index for index in range(num_envs)]
    batch.reset(seed=0, options={"episode": scenes})
    for index, (single, simulator) in enumerate(zip(singles, simulators, strict=True)):
        single.reset(seed=index, options={"episode": scenes[index]})
        simulator.reset(seed=scenes[index])
    batch.action_space.seed(0)

    def together(actions: FloatArray) -> None:
        batch.step(actions)

    def one_by_one(actions: FloatArray) -> None:
        for single, chunk in zip(singles, actions, strict=True):
            single.step(chunk)

    def simulated(actions: FloatArray) -> None:
        for simulator, chunk in zip(simulators, actions.astype(np.float64), strict=True):
            for action in chunk:
                simulator.step(action)

    times = []
    for _ in track(range(rounds + 1), description=f"{num_envs} environment(s)"):
        actions = np.asarray(batch.action_space.sample())
        times.append([timed(way, actions) for way in (together, one_by_one, simulated)])
    batch.close()
    for env in (*singles, *simulators):
        env.close()
    return row_of(num_envs, actions.shape[1] * num_envs, times[1:])


def timed(way: Callable[[FloatArray], None], actions: FloatArray) -> float:
    """Seconds of one step."""
    return seconds(lambda: way(actions))


def row_of(num_envs: int, actions: int, times: list[list[float]]) -> Row:
    """Put the rounds' times (batch, one by one, simulator) together."""
    ratios = [alone / batch for batch, alone, _ in times]
    return Row(
        num_envs=num_envs,
        batch_s=statistics.median(batch for batch, _, _ in times),
        one_by_one_s=statistics.median(alone for _, alone, _ in times),
        ratio=statistics.median(ratios),
        ratio_low=min(ratios),
        ratio_high=max(ratios),
        actions_per_s=statistics.median(actions / batch for batch, _, _ in times),
        simulator_actions_per_s=statistics.median(actions / real for _, _, real in times),
        beside_simulator=statistics.median(real / batch for batch, _, real in times),
        rounds=len(times),
    )


def as_table(rows: list[Row], where: dict[str, str]) -> Table:
    """Draw the rows for a person."""
    table = Table(
        "environments", "batch, s", "one by one, s", "ratio", "least to greatest", "actions/s", "gym-pusht's", "of it"
    )
    table.title = ", ".join(f"{key} {value}" for key, value in where.items())
    for row in rows:
        table.add_row(
            str(row.num_envs),
            f"{row.batch_s:.3f}",
            f"{row.one_by_one_s:.3f}",
            f"{row.ratio:.2f}x",
            f"{row.ratio_low:.2f} to {row.ratio_high:.2f}",
            f"{row.actions_per_s:.1f}",
            f"{row.simulator_actions_per_s:.0f}",
            f"{row.beside_simulator:.3f}",
        )
    return table


if __name__ == "__main__":
    typer.run(main)
