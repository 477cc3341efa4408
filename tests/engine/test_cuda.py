"""On a CUDA device: the CPU's result, and a loop that the host never waits for."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from action_case import SIZES, model_input, recording
from media_case import media_input

from cosmos_robot.benchmarks.random_checkpoint import RandomCheckpoint
from cosmos_robot.engine.engine import Engine
from cosmos_robot.engine.exact_steps import ExactSteps
from cosmos_robot.engine.media import generate_media

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


@pytest.fixture(scope="module")
def sounding_engine():
    return Engine.from_pipeline(RandomCheckpoint(form="nano", layers=3, sound=True, seed=4).pipeline().to("cuda"))


@pytest.mark.parametrize("mode", ["text2image", "text2video", "image2video", "video2video"])
def test_media_agree_with_the_cpu(mode, sounding_engine, engines):
    request = media_input(mode, guidance=6.0, sound=mode != "text2image")
    ours = generate_media(sounding_engine, [request], as_float=True)[0]
    cpu = generate_media(engines("sound"), [request], as_float=True)[0]
    kept = generate_media(sounding_engine, [replace(request, keep_on_device=True)], as_float=True)[0]
    assert kept.frames.device.type == "cuda"
    for frames in (ours.frames, kept.frames.cpu()):
        np.testing.assert_allclose(frames, cpu.frames, atol=1e-3)
    if request.sound:
        np.testing.assert_allclose(ours.sound.cpu(), cpu.sound, atol=1e-3)


def test_no_step_of_a_video_waits_for_the_device(sounding_engine):
    request = media_input("video2video", guidance=6.0, guidance_interval=(700.0, 1001.0), sound=True)
    generate_media(sounding_engine, [request])

    def after_the_first_step(done, total):
        torch.cuda.set_sync_debug_mode("default" if done == total else "error")

    try:
        generate_media(sounding_engine, [request], progress=after_the_first_step)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def plainly(exact=None):
    return Engine.from_pipeline(RandomCheckpoint(layers=3).pipeline().to("cuda"), exact=exact or ExactSteps.none())


@pytest.mark.parametrize(
    "step", ["causal_autoencoder", "merged_projections", "key_value_buffers", "graphs", "compiled"]
)
def test_each_step_gives_the_plain_answer(step):
    """Three times: plainly, recorded, repeated; then another shape, and the first again."""
    engine, plain = plainly(replace(ExactSteps.none(), **{step: True})), plainly()
    cases = [model_input("policy", *recording(SIZES[0]), guidance=2.0, seed=seed) for seed in range(3)]
    other = model_input("policy", *recording(SIZES[1]), prompt="a longer prompt")
    for request in (*cases, other, other, cases[0]):
        ours = engine.generate([request], as_float=True)[0]
        expected = plain.generate([request], as_float=True)[0]
        np.testing.assert_allclose(ours.frames, expected.frames, atol=1e-3)
        np.testing.assert_allclose(ours.actions, expected.actions, atol=2e-3)


def test_a_recorded_step_launches_once():
    """The host's part of a step: a replay and the copies of its numbers, not a launch for each operator."""
    from torch.profiler import ProfilerActivity, profile

    engine, request = plainly(ExactSteps()), model_input("policy", *recording(SIZES[0]))
    for _ in range(3):
        engine.denoise([request])
    assert len(engine.loops) == 1
    with profile(activities=[ProfilerActivity.CPU]) as recorded:
        engine.denoise([request])
    names = [event.name for event in recorded.events()]
    assert sum("cudaGraphLaunch" in name for name in names) == request.num_steps
    assert sum("aten::mm" in name or "aten::addmm" in name for name in names) < 10


def test_frames_copied_while_others_are_decoded_are_whole():
    engine, late = plainly(ExactSteps()), plainly(replace(ExactSteps(), overlapped_copies=False))
    requests = [model_input("forward_dynamics", *recording(SIZES[0], seed=i), seed=i) for i in range(4)]
    for ours, expected in zip(engine.generate(requests), late.generate(requests), strict=True):
        assert np.abs(ours.frames.astype(int) - expected.frames).max() <= 1


def test_recorded_again_after_all_were_given_up():
    """The graphs' memory has ended with the last of them; the next has its own."""
    engine, plain = plainly(ExactSteps()), plainly()
    request = model_input("policy", *recording(SIZES[0]))
    expected = plain.generate([request], as_float=True)[0]
    for _ in range(2):
        for _ in range(3):
            ours = engine.generate([request], as_float=True)[0]
            np.testing.assert_allclose(ours.actions, expected.actions, atol=2e-3)
        assert len(engine.loops) == 1
        engine.loops.clear()


def test_the_callers_inference_mode_and_autocast_change_nothing(cuda_engine):
    request = model_input("policy", *recording(SIZES[0]), seed=9)
    expected = cuda_engine.generate([request], as_float=True)[0]
    with torch.inference_mode(), torch.autocast("cuda", torch.bfloat16):
        inside = [cuda_engine.generate([request], as_float=True)[0] for _ in range(3)]
    for ours in (*inside, cuda_engine.generate([request], as_float=True)[0]):
        np.testing.assert_allclose(ours.actions, expected.actions, atol=1e-4)
