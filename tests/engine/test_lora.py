"""The checkpoint's own modules are called, so an adapter on them holds, in both towers."""

import numpy as np
import pytest
import torch
from action_case import SIZES, model_input, recording, reference

from cosmos_robot.benchmarks.random_checkpoint import RandomCheckpoint
from cosmos_robot.engine.engine import Engine

peft = pytest.importorskip("peft")


def test_adapter_agrees_with_diffusers():
    pipeline = RandomCheckpoint(seed=5).pipeline()
    pipeline.set_progress_bar_config(disable=True)
    frames, actions = recording(SIZES[1])
    request = model_input("policy", frames, actions)
    before = Engine.from_pipeline(pipeline).generate([request], as_float=True)[0]
    pipeline.transformer.add_adapter(
        peft.LoraConfig(r=4, target_modules=["to_k", "to_v", "add_q_proj", "to_add_out"], init_lora_weights=False)
    )
    torch.manual_seed(0)
    ours = Engine.from_pipeline(pipeline).generate([request], as_float=True)[0]
    theirs = reference(pipeline, "policy", frames, actions)
    assert np.abs(ours.actions - before.actions).max() > 1e-2
    np.testing.assert_allclose(ours.actions, theirs.action[0].numpy(), atol=1e-4)
    np.testing.assert_allclose(ours.frames, theirs.video, atol=1e-4)
