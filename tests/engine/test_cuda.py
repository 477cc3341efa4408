"""On a CUDA device: the CPU's result, and a loop that the host never waits for."""

import numpy as np
import pytest
import torch
from action_case import SIZES, model_input, recording

from cosmos_robot.benchmarks.random_checkpoint import RandomCheckpoint
from cosmos_robot.engine.engine import Engine

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]


@pytest.fixture(scope="module")
def cuda_engine():
    return Engine.from_pipeline(RandomCheckpoint(layers=3).pipeline().to("cuda"))


@pytest.mark.parametrize("mode", ["forward_dynamics", "inverse_dynamics", "policy"])
def test_float32_agrees_with_the_cpu(mode, cuda_engine, engines):
    request = model_input(mode, *recording(SIZES[0]))
    ours = cuda_engine.generate([request], as_float=True)[0]
    cpu = engines("nano").generate([request], as_float=True)[0]
    if ours.frames is not None:
        np.testing.assert_allclose(ours.frames, cpu.frames, atol=1e-3)
    if ours.actions is not None:
        np.testing.assert_allclose(ours.actions, cpu.actions, atol=2e-3)


def test_no_step_waits_for_the_device(cuda_engine):
    request = model_input("policy", *recording(SIZES[0]), guidance=2.0)
    cuda_engine.generate([request])
    steps = []

    def after_the_first_step():
        steps.append(1)
        torch.cuda.set_sync_debug_mode("default" if len(steps) == request.num_steps else "error")

    try:
        cuda_engine.denoise([request], after_the_first_step)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert len(steps) == request.num_steps


def test_bfloat16_is_near_float32(cuda_engine):
    request = model_input("forward_dynamics", *recording(SIZES[0]))
    exact = cuda_engine.generate([request], as_float=True)[0].frames
    half = Engine.from_pipeline(RandomCheckpoint(layers=3).pipeline().to("cuda", torch.bfloat16))
    assert np.abs(half.generate([request], as_float=True)[0].frames - exact).mean() < 0.02
