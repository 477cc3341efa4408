"""One language-conditioned policy run in the real simulator: told where to push the T, it looks, acts, looks again."""

from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cosmos_robot.benchmarks.pusht_policy import is_reached
from cosmos_robot.errors import UnsupportedModeError
from cosmos_robot.interface.world_model import WorldModel
from cosmos_robot.training.pusht_prompts import direction_name, direction_vector, push_prompt
from cosmos_robot.training.pusht_recording import open_simulator
from cosmos_robot.training.pusht_scripts import TABLE_SIZE, block_centre
from cosmos_robot.types import FloatArray, Frames, Progress


@dataclass(frozen=True, eq=False)
class PolicyRun:
    """What a policy wanted, what it imagined, and what came of it in T actions.

    Attributes:
        environment_seed: of the start.
        prompt: what it was told.
        direction: the direction in it.
        frames: uint8 `[T + 1, 96, 96, 3]`: the simulator's.
        imagined: uint8 `[T + 1, 96, 96, 3]`: the model's, begun anew from the simulator's frame with every look.
        actions: float32 `[T, 2]` targets in table pixels.
        centres: float64 `[T + 1, 2]` of the T, in table pixels.
        replan_every: actions from look to look.
    """

    environment_seed: int
    prompt: str
    direction: str
    frames: Frames
    imagined: Frames
    actions: FloatArray
    centres: NDArray[np.float64]
    replan_every: int

    @property
    def way(self) -> NDArray[np.float64]:
        """How far the T went from its start `[T + 1]`, along the direction, in table pixels."""
        along: NDArray[np.float64] = (self.centres - self.centres[0]) @ direction_vector(self.direction)
        return along

    @property
    def reached(self) -> bool:
        """Whether the T went at least 10 px of 96, within 45 degrees of the direction: the benchmark's own measure."""
        return is_reached(self.centres[-1] - self.centres[0], self.direction)


def run_policy(
    model: WorldModel,
    environment_seed: int,
    *,
    chunks: int = 8,
    replan_every: int = 8,
    seed: int = 0,
    num_steps: int | None = None,
    progress: Progress | None = None,
) -> PolicyRun:
    """Tell a policy to push the T towards the middle of the table, where there is room from every start.

    Args:
        model: that has the policy.
        environment_seed: of the start.
        chunks: how often it looks, and answers with a chunk of actions.
        replan_every: how many of them are taken before it looks anew.
        seed: of the noise.
        num_steps: of the denoising; None takes the checkpoint's.
        progress: told of every step.

    Raises:
        UnsupportedModeError: if the model gives no frames with its policy.
    """
    with closing(open_simulator()) as env:
        observation, info = env.reset(seed=environment_seed)
        centres = [block_centre(info["block_pose"])]
        direction = direction_name(np.full(2, TABLE_SIZE / 2) - centres[0])
        frames, imagined, actions = [observation["pixels"]], [], []
        for chunk in range(chunks):
            answer = model.policy(
                frames[-1],
                prompt=push_prompt(direction),
                domain="pusht",
                seed=seed + 1000 * chunk,
                num_steps=num_steps,
                return_frames=True,
                progress=_part(progress, chunk, chunks),
            )
            if answer.frames is None:
                raise UnsupportedModeError("the demo shows what a policy imagines; this world model gives no frames.")
            imagined.append(answer.frames[0 if chunk == 0 else 1 : replan_every + 1])
            for action in np.clip(answer.actions[:replan_every], 0.0, TABLE_SIZE):
                actions.append(action)
                observation, _, _, _, info = env.step(action.astype(np.float64))
                frames.append(observation["pixels"])
                centres.append(block_centre(info["block_pose"]))
    return PolicyRun(
        environment_seed,
        push_prompt(direction),
        direction,
        frames=np.stack(frames).astype(np.uint8),
        imagined=np.concatenate(imagined),
        actions=np.stack(actions),
        centres=np.stack(centres),
        replan_every=replan_every,
    )


def _part(progress: Progress | None, chunk: int, chunks: int) -> Progress | None:
    """Turn the progress of one chunk into progress of the whole."""
    if progress is None:
        return None
    return lambda done, total: progress(chunk * total + done, chunks * total)
