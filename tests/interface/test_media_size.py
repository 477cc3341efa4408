"""The published tables, and how any size and any frame count meets them."""

import re

import pytest

from cosmos_robot.errors import InvalidInputError
from cosmos_robot.interface.media_size import (
    ASPECT_RATIOS,
    MAX_FRAMES,
    canvas_of,
    nearest_aspect_ratio,
    nearest_canvas,
    parse_aspect_ratio,
    parse_resolution,
    require_num_frames,
    whole_frames,
)

# NVIDIA's table of output shapes, width x height.
PUBLISHED = {
    "16,9": ("320x192", "832x480", "1280x720"),
    "1,1": ("256x256", "640x640", "960x960"),
    "9,16": ("192x320", "480x832", "720x1280"),
    "4,3": ("320x256", "736x544", "1104x832"),
    "3,4": ("256x320", "544x736", "832x1104"),
}


@pytest.mark.parametrize("ratio", ASPECT_RATIOS)
@pytest.mark.parametrize(("column", "tier"), [(0, 256), (1, 480), (2, 720)])
@pytest.mark.parametrize("image", [True, False])
def test_canvases_are_the_published_ones(ratio, column, tier, image):
    height, width = canvas_of(tier, ratio, image=image)
    assert f"{width}x{height}" == PUBLISHED[ratio][column]
    assert nearest_canvas(height, width, image=image) == (tier, (height, width))
    assert nearest_aspect_ratio(height, width, tier, image=image) == ratio


@pytest.mark.parametrize(
    ("given", "expected"),
    [(480, (480, None)), ("480p", (480, None)), ("720_16_9", (720, "16,9")), ("256_3_4", (256, "3,4"))],
)
def test_resolutions_are_read(given, expected):
    assert parse_resolution(given, image=False) == expected


def test_images_have_one_tier_more():
    assert canvas_of(parse_resolution("768", image=True)[0], "1,1", image=True) == (1024, 1024)
    with pytest.raises(InvalidInputError, match="256, 480, 704, 720"):
        parse_resolution("768", image=False)


@pytest.mark.parametrize("ratio", ["16:9", "16,9", "16_9", "16/9"])
def test_aspect_ratios_are_read(ratio):
    assert parse_aspect_ratio(ratio) == "16,9"
    with pytest.raises(InvalidInputError, match="9,16"):
        parse_aspect_ratio(ratio.replace("16", "21"))


@pytest.mark.parametrize(
    ("size", "canvas"),
    [((480, 854), (480, 832)), ((1080, 1080), (960, 960)), ((10, 10), (256, 256)), ((600, 400), (736, 544))],
)
def test_any_size_is_snapped(size, canvas):
    assert nearest_canvas(*size, image=False)[1] == canvas


@pytest.mark.parametrize("size", [(1080, 1920), (0, 100), (-1, 5)])
def test_sizes_past_the_tables_name_what_is_allowed(size):
    with pytest.raises(InvalidInputError, match=re.escape("720x1280")):
        nearest_canvas(*size, image=False)


@pytest.mark.parametrize("tier", MAX_FRAMES)
def test_frame_counts_past_the_table_name_what_is_allowed(tier):
    assert require_num_frames(MAX_FRAMES[tier], tier) == MAX_FRAMES[tier]
    for wrong in (1, 0, -3, MAX_FRAMES[tier] + 1):
        with pytest.raises(InvalidInputError, match=f"2 to {MAX_FRAMES[tier]} frames.*397 at 256"):
            require_num_frames(wrong, tier)


def test_frame_counts_are_filled_up():
    assert [whole_frames(n) for n in (1, 2, 5, 6, 9, 24, 189, 190)] == [1, 5, 5, 9, 9, 25, 189, 193]
