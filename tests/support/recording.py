"""Small recordings whose every number is known, and a program that makes them until it is killed.

Run as a program it takes a folder and what shall happen:
`frame E I` kills it by SIGKILL before time step I of episode E is recorded;
`moves E` records E episodes, then, in a process of its own for each, joins another one and is killed before the first
move of a file into the dataset, before the second, and so on; it prints how many moves there are;
`disk E` records up to E episodes and prints how many were finished and the error.
"""

import os
import shutil
import signal
import sys
from pathlib import Path

import numpy as np

from cosmos_robot.datasets.recorded_features import Column, RecordedFeatures
from cosmos_robot.datasets.recorder import EpisodeRecorder

TOP, WRIST = "observation.images.top", "observation.images.wrist"
FPS = 10


def features(storage="video", *, success=True):
    return RecordedFeatures(
        cameras={TOP: (64, 96), WRIST: (64, 64)},
        columns={
            "action": Column((2,), names=("x", "y")),
            "observation.state": Column((3,), "float64"),
            "count": Column((1,), "int64"),
        },
        storage=storage,
        success=success,
    )


def length(episode):
    return 5 + episode % 3


def frames(episode, step):
    """A brightness for each time step, and at the wrist a bright half that changes sides."""
    top = np.full((64, 96, 3), 20 + 30 * step + 4 * episode, np.uint8)
    wrist = np.full((64, 64, 3), 30, np.uint8)
    wrist[:, 32 * (step % 2) : 32 * (step % 2) + 32] = 200 - 10 * episode
    return {TOP: top, WRIST: wrist}


def values(episode, step):
    rng = np.random.default_rng([episode, step])
    return {
        "action": rng.normal(size=2).astype(np.float32),
        "observation.state": rng.normal(size=3),
        "count": 100 * episode + step,
    }


def task(episode):
    return f"push the T to {('left', 'right')[episode % 2]}"


def record(recorder, episode, before_step=lambda step: None):
    for step in range(length(episode)):
        before_step(step)
        recorder.add_frame(frames(episode, step), values(episode, step))
    return recorder.finish_episode(task(episode), success=episode % 2 == 0 if recorder.features.success else None)


def _die():
    os.kill(os.getpid(), signal.SIGKILL)


def _killed_before_frame(folder, episode, step):
    with EpisodeRecorder(folder, fps=FPS, features=features(), codec="h264") as recorder:
        for number in range(episode):
            record(recorder, number)
        record(recorder, episode, lambda now: _die() if now == step else None)


def _dies_before_move(folder, move):
    """Kill this process before the given move of a file into the dataset."""
    original, done = Path.replace, 0

    def replace(self, target):
        nonlocal done
        if Path(target).is_relative_to(folder):
            if done == move:
                _die()
            done += 1
        return original(self, target)

    Path.replace = replace


def _killed_before_each_move(folder, episodes):
    with EpisodeRecorder(folder / "whole", fps=FPS, features=features(), codec="h264") as recorder:
        for number in range(episodes):
            record(recorder, number)
    status, move = -1, 0
    while status != 0:
        place = folder / f"{move:02d}"
        if episodes:
            shutil.copytree(folder / "whole", place)
        child = os.fork()
        if child == 0:
            _dies_before_move(place, move)
            with EpisodeRecorder(place, fps=FPS, features=features(), codec="h264") as recorder:
                record(recorder, episodes)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        move += 1
    print(move - 1)


def _until_full(folder, episodes):
    done = 0
    with EpisodeRecorder(folder, fps=FPS, features=features(), codec="h264") as recorder:
        try:
            for number in range(episodes):
                record(recorder, number)
                done += 1
        except Exception as error:  # noqa: BLE001
            print(done, type(error).__name__, error)


if __name__ == "__main__":
    place, what, *numbers = sys.argv[1:]
    {"frame": _killed_before_frame, "moves": _killed_before_each_move, "disk": _until_full}[what](
        Path(place), *map(int, numbers)
    )
