import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch._dynamo.testing import CompileCounter

from cosmos_robot.training.autoencoder import (
    AutoencoderForm,
    AutoencoderTraining,
    build_autoencoder,
    error_weight,
    train_autoencoder,
)
from cosmos_robot.training.autoencoder_check import frame_psnr
from cosmos_robot.training.autoencoder_forward import decode_latents, encode_moments
from cosmos_robot.training.pusht_clips import ClipSource, colour_bins, colour_rarity, to_frames, to_pixels
from cosmos_robot.training.schedule import Budget, LearningRate

FORM = AutoencoderForm(base_dim=4, decoder_base_dim=4, z_dim=4, dim_mult=(1, 1, 2, 2))


@pytest.fixture(scope="module")
def vae():
    model = build_autoencoder(FORM)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():  # biases and norms are not trivial then
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return model


@pytest.fixture(scope="module")
def source():
    rng = np.random.default_rng(0)
    frames = np.full((3, 20, 32, 32, 3), 240, dtype=np.uint8)
    for episode in range(3):
        for step in range(20):
            x = (step + 4 * episode) % 24
            frames[episode, step, 8:16, x : x + 8] = (30, 60, 200)
    moved = rng.uniform(0, 4, (3, 19)).astype(np.float32)
    background = np.full((32, 32, 3), 240, dtype=np.uint8)
    return ClipSource(frames, moved, background, colour_rarity(frames[0], background))


@pytest.mark.parametrize("frames", [1, 5, 17])
def test_the_whole_clip_pass_is_diffusers_own(vae, frames):
    pixels = torch.rand(2, 3, frames, 32, 48, generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.no_grad():
        moments = vae.encode(pixels).latent_dist.parameters
        torch.testing.assert_close(encode_moments(vae, pixels), moments, atol=2e-4, rtol=1e-4)
        latents = moments.chunk(2, dim=1)[0]
        decoded = decode_latents(vae, latents).clamp(-1, 1)
        torch.testing.assert_close(decoded, vae.decode(latents).sample, atol=2e-4, rtol=1e-4)


def test_frames_become_pixels_and_come_back(source):
    frames = torch.from_numpy(source.frames[:, :5])
    torch.testing.assert_close(to_frames(to_pixels(frames)), frames)


def test_the_weight_is_on_what_is_not_background():
    pixels = torch.zeros(1, 3, 2, 16, 16)
    pixels[:, :, 1, 8, 8] = 1.0
    weight = error_weight(pixels, torch.zeros(1, 3, 1, 16, 16), 5.0, 7.0)
    assert weight[:, :, 0].max() == 1.0
    assert weight[0, 0, 1, 8, 8] == weight[0, 0, 1, 7, 9] == 13.0
    assert weight[0, 0, 1, 6, 10] == 6.0
    assert weight[0, 0, 1, 8, 11] == 1.0


def test_a_small_thing_of_its_own_colour_is_rare():
    background = np.zeros((16, 16, 3), dtype=np.uint8)
    frames = np.repeat(background[None], 4, axis=0)
    frames[:, :12] = 100
    frames[:, 14, 14] = (200, 0, 0)
    rarity = colour_rarity(frames, background)
    assert rarity[colour_bins(frames[0, 0, 0])] == 0.0
    assert rarity[colour_bins(frames[0, 14, 14])] == 1.0


def test_psnr():
    truth = np.zeros((2, 4, 4, 3), dtype=np.uint8)
    made = truth.copy()
    made[1] = 255
    np.testing.assert_allclose(frame_psnr(made, truth), [60.0, 0.0])


def settings(steps):
    return AutoencoderTraining(
        form=FORM,
        budget=Budget(steps=steps),
        learning_rate=LearningRate(peak=3e-3, warmup_steps=2, decay_from=1.0),
        clip_length=5,
        clip_batch=2,
        frame_batch=4,
        frames_until=0.0,
        compile=False,
    )


def test_training_goes_on_after_a_stop_as_if_there_had_been_none(tmp_path, source):
    whole = train_autoencoder(tmp_path / "whole", source, source, settings(6))
    train_autoencoder(tmp_path / "parts", source, source, settings(3))
    parts = train_autoencoder(tmp_path / "parts", source, source, settings(6))
    for a, b in zip(whole.parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)
    assert whole.config.latents_mean == pytest.approx(parts.config.latents_mean, abs=1e-5)


@pytest.mark.parametrize("decoder_only", [False, True])
def test_a_compiled_training_is_one_graph_for_frames_and_one_for_clips(tmp_path, source, monkeypatch, decoder_only):
    # A break in the graph was compiled anew at every step, until torch gave up and ran the rest uncompiled.
    counter, compile_with = CompileCounter(), torch.compile
    monkeypatch.setattr(torch, "compile", lambda function, **how: compile_with(function, backend=counter, **how))
    config = replace(settings(6), compile=True, frame_share=0.5, decoder_only=decoder_only)
    train_autoencoder(tmp_path, source, source, config, start=build_autoencoder(FORM))
    assert counter.frame_count == 2


def test_training_lowers_the_loss_and_writes_what_it_does(tmp_path, source):
    train_autoencoder(tmp_path, source, source, settings(2))
    train_autoencoder(tmp_path, source, source, settings(40))
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 40]
    assert lines[1]["loss"] < 0.8 * lines[0]["loss"]
    assert (tmp_path / "vae" / "config.json").is_file()


def test_the_decoder_alone_can_be_trained_on_a_fixed_encoder(tmp_path, source):
    vae = build_autoencoder(FORM)
    before = {name: value.clone() for name, value in vae.state_dict().items()}
    config = replace(settings(3), decoder_only=True)
    after = train_autoencoder(tmp_path, source, source, config, start=vae).state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all(name.startswith(("decoder.", "post_quant_conv.")) for name in changed)
