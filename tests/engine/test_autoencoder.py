"""Only what is needed goes through the autoencoder, with diffusers' numbers, a latent frame at a time."""

import numpy as np
import pytest
import torch
from action_case import CHUNK, SIZES, model_input, recording
from diffusers import AutoencoderKLWan
from diffusers.video_processor import VideoProcessor
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from cosmos_robot.benchmarks.random_checkpoint import RandomCheckpoint
from cosmos_robot.domains.canvas import native_canvas
from cosmos_robot.engine.autoencoder import Autoencoder
from cosmos_robot.engine.causal_blocks import norm_silu
from cosmos_robot.engine.causal_encoder import CausalEncoder
from cosmos_robot.engine.host_copy import collect
from cosmos_robot.types import Canvas


def count_frames(engine, monkeypatch):
    autoencoder, encoded, decoded = engine.autoencoder, [], []
    encode, stream = autoencoder.encode, autoencoder.stream
    monkeypatch.setattr(autoencoder, "encode", lambda x, canvas: encoded.append(x.shape[2]) or encode(x, canvas))
    monkeypatch.setattr(autoencoder, "stream", lambda z: decoded.append(z.shape[2]) or stream(z))
    return encoded, decoded


def test_one_frame_is_encoded(engines, monkeypatch):
    engine = engines("nano")
    encoded, decoded = count_frames(engine, monkeypatch)
    engine.generate([model_input("forward_dynamics", *recording(SIZES[0]))])
    assert (encoded, decoded) == ([1], [CHUNK // 4 + 1])


def test_inverse_dynamics_decodes_nothing(engines, monkeypatch):
    engine = engines("nano")
    encoded, decoded = count_frames(engine, monkeypatch)
    engine.generate([model_input("inverse_dynamics", *recording(SIZES[0]))])
    assert (encoded, decoded) == ([CHUNK + 1], [])


def test_the_first_frame_alone_is_the_clips_first_latent(engines):
    """The autoencoder is causal, so encoding one frame loses nothing."""
    autoencoder = engines("nano").autoencoder
    frames, actions = recording(SIZES[1])
    canvas = model_input("policy", frames, actions).canvas
    with torch.no_grad():
        clip = autoencoder.encode(autoencoder.pixels(frames, canvas), canvas)
        alone = autoencoder.encode(autoencoder.pixels(frames[:1], canvas), canvas)
    assert torch.equal(clip[:, :, :1], alone)


SMALL = {"base_dim": 4, "z_dim": 16, "num_res_blocks": 1, "temperal_downsample": [False, True, True]}
WAN_2_1 = {**SMALL, "dim_mult": [1, 2, 2, 4], "scale_factor_spatial": 8}
PRECISIONS = [(torch.float32, 2e-5), (torch.bfloat16, 0.1)]


def both(vae, precision=torch.float32):
    vae = vae.eval().to(precision)
    return Autoencoder(vae), Autoencoder(vae, causal=False)


def make(form):
    torch.manual_seed(0)
    return RandomCheckpoint(base_dim=4).autoencoder() if form == "2.2" else AutoencoderKLWan(**WAN_2_1)


@pytest.mark.parametrize(("precision", "tolerance"), PRECISIONS, ids=["float32", "bfloat16"])
@pytest.mark.parametrize("frames", [1, 9])
@pytest.mark.parametrize("form", ["2.1", "2.2"])
def test_the_same_as_diffusers_passes(form, frames, precision, tolerance):
    ours, theirs = both(make(form), precision)
    canvas = Canvas(*[(32, 48)] * 5, multiple=ours.spatial_factor)
    pixels = torch.rand(2, 3, frames, *canvas.padded) * 2 - 1
    latents = theirs.encode(pixels, canvas)
    assert (ours.encode(pixels, canvas) - latents).abs().max() <= tolerance * latents.std()
    decoded = theirs.decode(latents)
    assert decoded.std() > 0.02
    assert (ours.decode(latents) - decoded).abs().max() <= tolerance


def test_frames_stream_out_as_they_are_decoded():
    """A piece is final: decoding a part of the latent frames gives the first frames of the whole."""
    autoencoder, _ = both(make("2.2"))
    latents = torch.randn(2, 16, 4, 3, 4)
    pieces = list(autoencoder.stream(latents))
    assert [piece.shape[1] for piece in pieces] == [1, 4, 4, 4]
    for given in (1, 2, 3):
        part = torch.cat(list(autoencoder.stream(latents[:, :, :given])), dim=1)
        torch.testing.assert_close(part, torch.cat(pieces[:given], dim=1), rtol=0, atol=1e-6)
    whole = autoencoder.decode(latents)
    for item, (frames, levels) in enumerate(
        zip(collect(pieces, as_float=True), collect(pieces, as_float=False), strict=True)
    ):
        np.testing.assert_array_equal(frames, whole[item].permute(0, 2, 3, 1))
        np.testing.assert_array_equal(levels, np.round(frames * 255).astype(np.uint8))


def test_changed_weights_are_heard():
    ours, theirs = both(make("2.2"))
    latents = torch.randn(1, 16, 2, 3, 4)
    before = ours.decode(latents)
    with torch.no_grad():
        ours._vae.decoder.conv_in.weight.mul_(1.5)
    after = ours.decode(latents)
    assert (after - before).abs().max() > 0.01
    torch.testing.assert_close(after, theirs.decode(latents), rtol=0, atol=2e-5)


def test_tiles_stay_diffusers_own():
    ours, theirs = both(make("2.2"))
    latents = torch.randn(1, 16, 2, 3, 3)
    ours._vae.enable_tiling(32, 32, 16, 16)
    assert torch.equal(ours.decode(latents), theirs.decode(latents))


def test_a_single_frame_costs_a_third():
    """Its convolutions see only zeros behind it, so that one tap in three has anything to multiply."""
    flops = {}
    with torch.device("meta"):
        vae = RandomCheckpoint(base_dim=8).autoencoder()
        for name, encode in (("ours", CausalEncoder(vae, norm_silu)), ("diffusers", vae._encode)):
            with FlopCounterMode(display=False) as counter, torch.no_grad():
                encode(torch.empty(1, 3, 1, 96, 96))
            flops[name] = counter.get_total_flops()
    assert flops["ours"] < 0.4 * flops["diffusers"]


def test_only_as_many_items_together_as_fit(monkeypatch):
    autoencoder, _ = both(make("2.2"))
    latents = torch.randn(3, 16, 2, 6, 6)
    monkeypatch.setattr("cosmos_robot.engine.autoencoder.free_memory", lambda device: 10**9)
    assert autoencoder.items_at_once(latents) > 3
    monkeypatch.setattr("cosmos_robot.engine.autoencoder.free_memory", lambda device: 10**6)
    assert autoencoder.items_at_once(latents) == 1


@pytest.mark.parametrize("count", [1, 5])
def test_frames_of_the_right_size_are_scaled_as_diffusers_does_it_to_the_last_bit(count, engines, monkeypatch):
    """All 256 levels; a read-only array, as videos are given, too."""
    autoencoder = engines("nano").autoencoder
    frames = np.random.default_rng(0).permutation(np.arange(count * 32 * 48 * 3) % 256).astype(np.uint8)
    frames = frames.reshape(count, 32, 48, 3)
    frames.flags.writeable = False
    canvas = native_canvas(32, 48, (32, 48))
    images = [Image.fromarray(frame) for frame in frames]
    expected = VideoProcessor(vae_scale_factor=16).preprocess_video(images, height=32, width=48)
    monkeypatch.setattr(autoencoder, "_processor", None)
    ours = autoencoder.pixels(frames, canvas)
    assert ours.dtype == torch.float32
    assert torch.equal(ours, expected)
