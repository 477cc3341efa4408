"""The canvas has the sizes that diffusers' own conditioning works out."""

import pytest
import torch
from diffusers import Cosmos3OmniPipeline
from diffusers.video_processor import VideoProcessor
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cosmos_robot.domains.canvas import TIERS, action_canvas, native_canvas, parse_tier
from cosmos_robot.errors import InvalidInputError


class Conditioning:
    """As much of diffusers' pipeline as its conditioning method reads."""

    video_processor = VideoProcessor(vae_scale_factor=16, resample="bilinear")
    vae_scale_factor_spatial = 16
    prepare = Cosmos3OmniPipeline._prepare_action_video_conditioning
    crop = Cosmos3OmniPipeline._remove_action_video_padding_from_latent


@settings(max_examples=80, deadline=None)
@given(height=st.integers(16, 1500), width=st.integers(16, 1500), tier=st.sampled_from(sorted(TIERS)))
def test_sizes_are_diffusers(height, width, tier):
    canvas = action_canvas(height, width, tier)
    conditioning = Conditioning()
    pixels, sizes, padded_height, padded_width = conditioning.prepare(
        [Image.new("RGB", (width, height))], tier, 1, device="cpu", dtype=torch.float32
    )
    assert canvas.padded == (padded_height, padded_width) == tuple(pixels.shape[-2:])
    assert canvas.content == (int(sizes[2]), int(sizes[3]))
    latent = conditioning.crop(torch.zeros(1, 1, 1, padded_height // 16, padded_width // 16), sizes)
    assert canvas.latent == tuple(latent.shape[-2:])
    assert canvas.output == (16 * latent.shape[-2], 16 * latent.shape[-1])


@pytest.mark.parametrize(
    ("size", "tier", "padded", "output"),
    [
        ((200, 170), 480, (736, 544), (192, 160)),
        ((540, 640), 480, (544, 736), (528, 640)),
        ((480, 832), 480, (480, 832), (480, 832)),
        ((256, 256), 256, (256, 256), (256, 256)),
    ],
)
def test_published_examples(size, tier, padded, output):
    canvas = action_canvas(*size, tier)
    assert (canvas.source, canvas.padded, canvas.output) == (size, padded, output)


def test_native_canvas_takes_any_size():
    canvas = native_canvas(240, 320, (96, 96))
    assert canvas.floored == canvas.content == canvas.padded == canvas.output == (96, 96)
    assert canvas.latent == (6, 6)
    with pytest.raises(InvalidInputError, match="multiple of 16"):
        native_canvas(240, 320, (100, 96))


def test_tier_as_number_or_string():
    assert parse_tier(480) == parse_tier("480") == parse_tier("480p") == 480
    with pytest.raises(InvalidInputError, match="256, 480, 704, 720"):
        parse_tier("540")
    with pytest.raises(InvalidInputError, match="at least 16x16"):
        action_canvas(10, 300, 480)
