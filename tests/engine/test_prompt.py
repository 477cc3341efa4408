"""Token ids are those of diffusers' pipeline."""

import pytest
from action_case import CHUNK, FPS, PROMPT, SIZES, model_input, recording

from cosmos_robot.engine.prompt import tokenize


@pytest.mark.parametrize("system", [False, True])
def test_token_ids_are_diffusers(system, pipelines):
    pipeline = pipelines("nano")
    request = model_input("policy", *recording(SIZES[0]))
    height, width = request.canvas.padded
    conditional, unconditional = pipeline.tokenize_prompt(
        PROMPT,
        num_frames=CHUNK + 1,
        height=height,
        width=width,
        fps=FPS,
        use_system_prompt=system,
        action_mode="policy",
        action_view_point="ego_view",
    )
    assert list(tokenize(pipeline.text_tokenizer, request.prompt, use_system_prompt=system)) == conditional
    assert list(tokenize(pipeline.text_tokenizer, "", use_system_prompt=system)) == unconditional
