"""Real Push-T frames with the simulator's own figures."""

from dataclasses import dataclass

import numpy as np

from cosmos_robot.benchmarks.pusht_expert import Grade, PushTExpert
from cosmos_robot.training.pusht_recording import HELD_OUT_SEED, open_simulator
from cosmos_robot.training.pusht_scripts import Scene, draw_pusher


@dataclass(frozen=True, eq=False)
class SimulatedFrames:
    """Frames `[N, 96, 96, 3]`, gym-pusht's own coverage `[N]` and the T's poses `[N, 3]`."""

    frames: np.ndarray
    coverage: np.ndarray
    block: np.ndarray


def simulated_frames(scripted=3, expert=3, steps=128, every=4):
    """Play scripted pushers and the expert, from held-out starts."""
    env = open_simulator()
    frames, coverage, block = [], [], []
    for index in range(scripted + expert):
        observation, info = env.reset(seed=HELD_OUT_SEED + 700 + index)
        pusher, waiting = draw_pusher(np.random.default_rng(index)), []
        policy = PushTExpert(Grade(), seed=index)
        for step in range(steps):
            if index < scripted:
                action = np.clip(pusher.target(Scene(observation["agent_pos"], info["block_pose"])), 0, 512)
            else:
                waiting = waiting or list(policy.act(observation))
                action = waiting.pop(0).astype(np.float64)
            observation, _, _, _, info = env.step(action)
            if step % every == 0:
                frames.append(observation["pixels"])
                coverage.append(info["coverage"])
                block.append(info["block_pose"])
    env.close()
    return SimulatedFrames(np.stack(frames).astype(np.uint8), np.array(coverage), np.stack(block))
