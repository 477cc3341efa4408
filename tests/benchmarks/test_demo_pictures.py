import numpy as np
import pytest
from PIL import Image

from cosmos_robot.benchmarks.demo_pictures import TARGET, Strip, contact_sheet, difference, side_by_side, write_gif


def strips(count=9):
    frames = np.random.default_rng(0).integers(0, 256, (count, 96, 96, 3), dtype=np.uint8)
    return Strip("left", frames), Strip("right", 255 - frames)


def test_panes_hold_the_frames_enlarged_without_smoothing():
    left, right = strips()
    corner = np.zeros((8, 2), np.float32)
    pair = side_by_side(left, right, targets=corner, notes=["note"] * 9, chunk=4, cross="cross", gap="gap")
    row, column = 50 + 150, 18 + 150  # away from the cross in the corner
    np.testing.assert_array_equal(pair[3, row : row + 30 : 3, column : column + 30 : 3], left.frames[3, 50:60, 50:60])
    np.testing.assert_array_equal(pair[3, row : row + 3, column : column + 3].std((0, 1)), 0)


def test_the_cross_stands_where_the_action_that_led_to_a_frame_points():
    left, right = strips(3)
    blank = Strip("blank", np.full_like(left.frames, 255))
    targets = np.array([[128.0, 256.0], [384.0, 256.0]], np.float32)
    pair = side_by_side(blank, right, targets=targets, notes=["", "", ""], chunk=4, cross="", gap="")
    for index, target in ((0, 0), (1, 0), (2, 1)):
        x, y = (targets[target] * 288 / 512).astype(int) + np.array([18, 50])
        assert tuple(pair[index, y, x]) == TARGET
        other = (targets[1 - target] * 288 / 512).astype(int) + np.array([18, 50])
        assert tuple(pair[index, other[1], other[0]]) == (255, 255, 255)


def test_equal_frames_have_no_difference():
    left, right = strips()
    assert difference(left.frames, left.frames).min() == 255
    assert difference(left.frames, right.frames).min() == 0


def test_a_sheet_has_a_column_for_every_so_many_frames():
    left, right = strips(17)
    few = contact_sheet([left, right], every=8, chunk=8, title="t")
    many = contact_sheet([left, right], every=4, chunk=8, title="t")
    assert many.height == few.height
    assert many.width - few.width == 2 * (192 + 8)


def test_a_moving_picture_stays_below_its_limit_with_fewer_colours(tmp_path):
    smooth = np.linspace(0, 255, 6 * 64 * 64 * 3).reshape(6, 64, 64, 3).astype(np.uint8)
    write_gif(tmp_path / "free.gif", smooth, 10)
    size = (tmp_path / "free.gif").stat().st_size
    write_gif(tmp_path / "bound.gif", smooth, 10, limit=size - 1)
    assert (tmp_path / "bound.gif").stat().st_size < size
    with Image.open(tmp_path / "free.gif") as picture:
        assert picture.info["duration"] == pytest.approx(100)
        assert picture.info["loop"] == 0
