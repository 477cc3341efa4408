"""What a caller has switched on around a call changes neither the answer nor what is kept for the next call."""

import numpy as np
import pytest
import torch
from action_case import SIZES, model_input, on_canvas, recording
from media_case import media_input
from step_recorder import Repeater

from cosmos_robot.benchmarks.random_checkpoint import RandomCheckpoint
from cosmos_robot.engine.checkpoint import load_checkpoint
from cosmos_robot.engine.engine import Engine
from cosmos_robot.engine.media import generate_media
from cosmos_robot.engine.recorded_loop import RecordedLoops


def request_of(seed=0):
    return on_canvas(model_input("policy", *recording(SIZES[0]), seed=seed))


@pytest.mark.parametrize("disturbing", [torch.inference_mode, lambda: torch.autocast("cpu", torch.bfloat16)])
def test_the_answer_is_the_same(disturbing, pipelines, engines):
    engine = Engine.from_pipeline(pipelines("nano"))
    expected = engines("nano").generate([request_of()], as_float=True)[0]
    image = generate_media(engines("nano"), [media_input("text2image")], as_float=True)[0]
    with disturbing():
        ours = engine.generate([request_of()], as_float=True)[0]
        shown = generate_media(engine, [media_input("text2image")], as_float=True)[0]
        vision, _ = engine.denoise([request_of()])
    assert vision.dtype == torch.float32
    np.testing.assert_allclose(ours.frames, expected.frames, atol=1e-6)
    np.testing.assert_allclose(ours.actions, expected.actions, atol=1e-6)
    np.testing.assert_allclose(shown.frames, image.frames, atol=1e-6)


def test_a_loop_recorded_in_inference_mode_serves_outside_it():
    """Its memory is written to at every call, which tensors of inference mode forbid outside it."""
    engine = Engine.from_pipeline(RandomCheckpoint().pipeline())
    engine.loops = RecordedLoops(Repeater(), sightings=1)
    with torch.inference_mode():
        engine.generate([request_of()])
    outside = engine.generate([request_of(seed=1)], as_float=True)[0]
    again = Engine.from_pipeline(RandomCheckpoint().pipeline()).generate([request_of(seed=1)], as_float=True)[0]
    np.testing.assert_allclose(outside.actions, again.actions, atol=2e-5)


def test_weights_loaded_in_inference_mode_can_be_used_and_trained(checkpoint_folder):
    with torch.inference_mode():
        engine = load_checkpoint(checkpoint_folder, device="cpu").engine
        engine.generate([request_of()])
    weight = engine.transformer.layers[0].self_attn.add_q_proj.weight
    weight.requires_grad_(requires_grad=True)
    engine.transformer.layers[0].self_attn.add_q_proj(torch.ones(1, weight.shape[1])).sum().backward()
    assert weight.grad is not None
