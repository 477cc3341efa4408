"""DROID's policy form, a clean row with the robot's state before the actions, against a pipeline taught to run it.

`Cosmos3OmniPipeline` itself cannot: its action rows are as many as the chunk, start one frame late, and are 10 wide.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from action_case import CHUNK, FPS, PROMPT, SEED, SIZES, model_input, recording
from diffusers import Cosmos3OmniPipeline
from diffusers.pipelines.cosmos import pipeline_cosmos3_omni
from diffusers.pipelines.cosmos.pipeline_cosmos3_omni import CosmosActionCondition
from PIL import Image

STATE = np.array([0.1, -0.4, 0.3, -2.0, 0.2, 1.9, 0.7, 1.0], np.float32)


class WithStateRow(Cosmos3OmniPipeline):
    """Only what is conditioned and drawn differs; sequence, transformer and sampling are diffusers' own."""

    def prepare_latents(self, **arguments):
        prepared = list(super().prepare_latents(**arguments))
        again = torch.Generator("cpu").manual_seed(SEED)
        torch.randn(prepared[0].shape, generator=again)
        rows = torch.randn((CHUNK + 1, 64), generator=again)
        rows[:, 8:] = 0
        rows[0, :8] = torch.from_numpy(STATE)
        mask = torch.zeros(CHUNK + 1, 1)
        mask[0] = 1
        prepared[2], prepared[7], prepared[10], prepared[11] = rows, mask, 8, [0]
        return tuple(prepared)


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_agrees_with_the_taught_pipeline(guidance, pipelines, engines, monkeypatch):
    frames, actions = recording(SIZES[0])
    plain = model_input("policy", frames, actions, guidance=guidance)
    state = np.zeros(64, np.float32)
    state[:8] = STATE
    request = replace(plain, raw_action_dim=8, domain_id=8, state=state)
    ours = engines("nano").generate([request], as_float=True)[0]

    positions = pipeline_cosmos3_omni.get_3d_mrope_ids_vae_tokens
    monkeypatch.setattr(
        pipeline_cosmos3_omni,
        "get_3d_mrope_ids_vae_tokens",
        lambda *args, start_frame_offset=0, **kwargs: positions(*args, start_frame_offset=0, **kwargs),
    )
    pipeline = WithStateRow(**pipelines("nano").components, enable_safety_checker=False)
    pipeline.set_progress_bar_config(disable=True)
    theirs = pipeline(
        PROMPT,
        action=CosmosActionCondition("policy", CHUNK, "droid_lerobot", 256, image=Image.fromarray(frames[0])),
        fps=FPS,
        num_inference_steps=request.num_steps,
        guidance_scale=guidance,
        generator=torch.Generator("cpu").manual_seed(SEED),
        output_type="np",
        use_system_prompt=False,
    )
    np.testing.assert_allclose(theirs.action[0][0].numpy(), STATE, atol=1e-5)
    np.testing.assert_allclose(ours.actions, theirs.action[0][1:].numpy(), atol=5e-5)
    np.testing.assert_allclose(ours.frames, theirs.video, atol=5e-5)


def test_answers_actions_alone_without_decoding(engines, monkeypatch):
    engine = engines("nano")
    frames, actions = recording(SIZES[0])
    request = replace(
        model_input("policy", frames, actions), raw_action_dim=8, state=np.zeros(64, np.float32), decode=False
    )
    monkeypatch.setattr(engine.autoencoder, "decode", lambda latents: pytest.fail("decoded"))
    answer = engine.generate([request])[0]
    assert answer.frames is None
    assert answer.actions.shape == (CHUNK, 8)
