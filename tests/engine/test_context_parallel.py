"""One generation on several processes, through diffusers' own switch: everyone has the answer of one process."""

import socket

import numpy as np
import pytest
import torch
from context_parallel_process import generated, one_of

from cosmos_robot.benchmarks.random_checkpoint import RandomCheckpoint


@pytest.mark.slow
@pytest.mark.parametrize("world", [2, 3])
def test_everyone_has_the_answer_of_one(world, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(one_of, (world, port, tmp_path), nprocs=world)
    plain = generated(RandomCheckpoint(layers=2, seed=8).pipeline())
    expected = [*[a.frames for a in plain], *[a.actions for a in plain]]
    for rank in range(world):
        with np.load(tmp_path / f"{rank}.npz") as given:
            for ours, one in zip(given.values(), expected, strict=True):
                np.testing.assert_allclose(ours, one, atol=5e-5)
