"""Four-step distilled checkpoints: recognised, sampled as diffusers' own pipeline for them does it."""

import json
import shutil

import numpy as np
import pytest
import torch
from action_case import SIZES, model_input, recording
from distilled import SIGMAS, distilled_pipeline
from media_case import FPS, FRAMES, PROMPT, SEED, SIZE, media_input, pictures
from PIL import Image

from cosmos_robot.engine.checkpoint import load_checkpoint
from cosmos_robot.engine.engine import Engine
from cosmos_robot.engine.media import generate_media
from cosmos_robot.errors import CheckpointError, UnsupportedModeError


def engine_of(pipe):
    return Engine(
        transformer=pipe.transformer,
        vae=pipe.vae,
        tokenizer=pipe.text_tokenizer,
        scheduler=pipe.scheduler,
        distilled_sigmas=pipe.config.distilled_sigmas,
    )


def reference(pipe, mode):
    source = [Image.fromarray(frame) for frame in pictures(7)]
    condition = {"image2video": {"image": source[0]}, "video2video": {"video": source}}.get(mode, {})
    return pipe(
        prompt=PROMPT,
        **condition,
        num_frames=1 if mode == "text2image" else FRAMES,
        height=SIZE[0],
        width=SIZE[1],
        fps=FPS,
        generator=torch.Generator("cpu").manual_seed(SEED),
        output_type="np",
    ).get("videos")


@pytest.mark.parametrize("mode", ["text2image", "text2video", "image2video", "video2video"])
@pytest.mark.parametrize("stochastic", [True, False])
def test_same_seed_same_result(mode, stochastic):
    pipe = distilled_pipeline(stochastic=stochastic)
    output = generate_media(engine_of(pipe), [media_input(mode)], as_float=True)[0]
    np.testing.assert_allclose(output.frames, reference(pipe, mode), atol=5e-5)


def test_batch_equals_items():
    engine = engine_of(distilled_pipeline())
    requests = [media_input("image2video", seed=i, source=pictures(1, seed=i)) for i in range(3)]
    together = generate_media(engine, requests, as_float=True)
    for request, batched in zip(requests, together, strict=True):
        np.testing.assert_allclose(
            batched.frames, generate_media(engine, [request], as_float=True)[0].frames, atol=1e-5
        )


def test_actions_are_refused():
    with pytest.raises(UnsupportedModeError, match="distilled"):
        engine_of(distilled_pipeline()).generate([model_input("policy", *recording(SIZES[0]))])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("distilled")
    distilled_pipeline().save_pretrained(str(path), overwrite_modular_index=True)
    return path


def test_loads_from_its_modular_index(folder):
    assert not (folder / "model_index.json").exists()
    engine = load_checkpoint(folder, device="cpu").engine
    assert engine.distilled_sigmas == tuple(SIGMAS)
    output = generate_media(engine, [media_input("text2image")], as_float=True)[0]
    np.testing.assert_allclose(output.frames, reference(distilled_pipeline(), "text2image"), atol=5e-5)


def test_distilled_without_noise_levels_is_refused(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    index = json.loads((copy / "modular_model_index.json").read_text())
    index["distilled_sigmas"] = None
    (copy / "modular_model_index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match="distilled_sigmas"):
        load_checkpoint(copy, device="cpu")
