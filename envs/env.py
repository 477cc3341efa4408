"""The `env.py` of an EnvHub repository: copy this file into one, and lerobot runs its policies in a world model.

    lerobot-eval --env.type=... or, in Python:  make_env("user/repo", n_envs=4, trust_remote_code=True)

lerobot calls `make_env`; everything else is in the package, which has to be installed where it runs.
"""

from cosmos_robot.envs.lerobot_hub import make_env

__all__ = ["make_env"]
