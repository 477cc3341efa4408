"""A held-out stretch of Push-T in which the T really moves, found by the simulator alone: no model has a say in it."""

import numpy as np

from cosmos_robot.benchmarks.pusht_windows import HeldOutWindow
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.training.pusht_recording import HELD_OUT_SEED, open_simulator, record_episode
from cosmos_robot.training.pusht_scripts import block_centre

FIRST_SEED = HELD_OUT_SEED + 20_000
"""Away from the seeds that the benchmarks use."""

_SEEDS_EACH = 100
_LEAST_WAY = 30.0


def demo_window(seed: int, *, actions: int = 64, chunk: int = 16) -> HeldOutWindow:
    """Play scripted pushers from held-out starts until one keeps the T moving.

    Args:
        seed: which demo; each has environment seeds of its own.
        actions: length; the window starts where the simulator does.
        chunk: the T's centre must travel 30 table pixels in all but one of the stretches of this length.

    Raises:
        InvalidInputError: if `seed` is negative.
    """
    if seed < 0:
        raise InvalidInputError(f"a demo's seed must not be negative; got {seed}.")
    first = FIRST_SEED + _SEEDS_EACH * seed
    env = open_simulator()
    try:
        for environment_seed in range(first, first + _SEEDS_EACH):
            episode = record_episode(env, environment_seed, actions)
            steps = np.linalg.norm(np.diff(block_centre(episode.block), axis=0), axis=-1)
            ways = [steps[start : start + chunk].sum() for start in range(0, actions, chunk)]
            if sum(way >= _LEAST_WAY for way in ways) >= len(ways) - 1:
                return HeldOutWindow.cut(episode, 0, actions)
    finally:
        env.close()
    raise InvalidInputError(f"seed {seed} gives no episode in which the T moves; take another.")
