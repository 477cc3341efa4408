"""The modes without actions: the same seed gives what `diffusers.Cosmos3OmniPipeline` gives (float32, CPU)."""

import numpy as np
import pytest
from media_case import media_input, pictures, reference

from cosmos_robot.engine.media import generate_media

TOLERANCE = 5e-5
MODES = ["text2image", "text2video", "image2video", "video2video"]


def assert_same(output, expected):
    frames = output.frames
    assert frames.shape == expected.video.shape
    assert np.abs(frames - expected.video).max() <= TOLERANCE
    if expected.sound is None:
        assert output.sound is None
    else:
        assert output.sound.shape == expected.sound.shape
        assert np.abs(output.sound.numpy() - expected.sound.numpy()).max() <= TOLERANCE


def ours(engine, mode, **changes):
    return generate_media(engine, [media_input(mode, **changes)], as_float=True)[0]


@pytest.mark.parametrize("guidance", [1.0, 6.0])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("checkpoint", ["nano", "edge", "karras"])
def test_same_seed_same_result(checkpoint, mode, guidance, pipelines, engines):
    output = ours(engines(checkpoint), mode, guidance=guidance)
    assert_same(output, reference(pipelines(checkpoint), mode, guidance=guidance))


@pytest.mark.parametrize("guidance", [1.0, 6.0])
@pytest.mark.parametrize("mode", MODES[1:])
def test_with_sound(mode, guidance, pipelines, engines):
    output = ours(engines("sound"), mode, guidance=guidance, sound=True)
    expected = reference(pipelines("sound"), mode, guidance=guidance, sound=True)
    assert_same(output, expected)
    assert np.abs(expected.sound.numpy()).max() > 100 * TOLERANCE  # silence would hide a mistake


def test_without_the_system_prompt(pipelines, engines):
    output = ours(engines("nano"), "text2video", use_system_prompt=False)
    assert_same(output, reference(pipelines("nano"), "text2video", use_system_prompt=False))


@pytest.mark.parametrize("keep", ["first", "last"])
@pytest.mark.parametrize("clean_frames", [(0,), (0, 1), (0, 2), (1,)])
def test_conditioning_frames_of_a_video(clean_frames, keep, pipelines, engines):
    source = pictures(12)
    output = ours(engines("nano"), "video2video", clean_frames=clean_frames, keep=keep, source=source)
    expected = reference(pipelines("nano"), "video2video", clean_frames=clean_frames, keep=keep, source=source)
    assert_same(output, expected)


@pytest.mark.parametrize("size", [(48, 80), (200, 60), (31, 400)])
def test_pictures_of_any_shape_are_cropped_alike(size, pipelines, engines):
    source = pictures(1, size)
    assert_same(
        ours(engines("nano"), "image2video", source=source), reference(pipelines("nano"), "image2video", source=source)
    )


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"prompt": "A cat."}, {"negative": "dark"}, {"guidance": 3.0}, {"sound": False}], ids=str
)
def test_the_comparison_can_fail(change, engines):
    """Every input reaches the result by far more than the tolerance above."""
    form = {"guidance": 6.0, "sound": True}
    plain = ours(engines("sound"), "text2video", **form)
    other = ours(engines("sound"), "text2video", **{**form, **change})
    assert np.abs(plain.frames - other.frames).max() > 20 * TOLERANCE
