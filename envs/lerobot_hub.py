"""Push-T in a world model for lerobot: what the `env.py` of an EnvHub repository, and lerobot-eval, take.

lerobot gives one action a step, so the environment is made with `step="action"`: every action imagines the present
chunk anew, at the cost of a whole generation. An episode that ends is reset in the same step, as lerobot expects.
"""

from typing import Any

from gymnasium.vector import AutoresetMode

from cosmos_robot.envs.options import EnvOptions
from cosmos_robot.envs.registration import PUSHT_STARTS
from cosmos_robot.envs.world_model_vector_env import WorldModelVectorEnv

SUITE = "cosmos_robot"
TASK = "Push the T-shaped block onto the T-shaped target."


def make_env(
    n_envs: int = 1, use_async_envs: bool = False, cfg: Any = None, **options: Any
) -> dict[str, dict[int, WorldModelVectorEnv]]:
    """Make Push-T as lerobot asks an EnvHub repository for it.

    Args:
        n_envs: environments; all are imagined in one batch.
        use_async_envs: has no meaning here: there is one process whatever it says.
        cfg: lerobot's configuration of the environment, of which `episode_length` is taken where there is one.
        options: keywords of the environment that differ from the defaults, such as `world_model`; see `EnvOptions`.

    Returns:
        The environment, as `{suite: {task number: environment}}`.
    """
    given: EnvOptions = {
        "domain": "pusht",
        "starts": PUSHT_STARTS,
        "prompt": TASK,
        "reward": "pusht_coverage",
        "step": "action",
        "clip_actions": True,
        "max_episode_actions": int(getattr(cfg, "episode_length", None) or 300),
        "render_mode": "rgb_array",
    }
    merged: EnvOptions = {**given, **options}  # type: ignore[typeddict-item]
    return {SUITE: {0: WorldModelVectorEnv(n_envs, autoreset_mode=AutoresetMode.SAME_STEP, **merged)}}
