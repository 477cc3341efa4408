"""Several cameras on one canvas, and the resizing beneath it against torch."""

import numpy as np
import pytest
import torch
from recorded_episode import RecordedEpisode, numbered_pictures

from cosmos_robot.datasets.bilinear import resize_bilinear
from cosmos_robot.datasets.camera_canvas import canvas_frames, compose, find_cameras
from cosmos_robot.domains.registry import get_domain
from cosmos_robot.errors import InvalidInputError, MediaError

RNG = np.random.default_rng(2)
DROID = (
    "observation.image.wrist_image_left",
    "observation.image.exterior_image_1_left",
    "observation.image.exterior_image_2_left",
)


def noise(height, width, count=2):
    return RNG.integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def episode_with(pictures):
    count = len(next(iter(pictures.values())))
    return RecordedEpisode({"action": np.zeros((count, 2))}, pictures)


@pytest.mark.parametrize(
    ("size", "new"),
    [((36, 64), (18, 32)), ((37, 61), (18, 30)), ((24, 20), (40, 60)), ((20, 50), (33, 25)), ((16, 16), (16, 16))],
)
def test_resizing_is_torch_s_bilinear(size, new):
    frames = noise(*size)
    channels_first = torch.from_numpy(frames).permute(0, 3, 1, 2).double()
    oracle = torch.nn.functional.interpolate(channels_first, size=new, mode="bilinear", align_corners=False)
    off = np.abs(resize_bilinear(frames, *new) - oracle.permute(0, 2, 3, 1).numpy())
    assert off.max() <= 0.5 + 1e-4  # rounded to the nearest level


def test_the_wrist_stands_above_two_halves():
    wrist, left, right = noise(36, 64), noise(36, 64), noise(18, 32)
    canvas = compose([wrist, left, right], "stacked")
    assert canvas.shape == (2, 54, 64, 3)
    np.testing.assert_array_equal(canvas[:, :36], wrist)
    np.testing.assert_array_equal(canvas[:, 36:, :32], resize_bilinear(left, 18, 32))
    np.testing.assert_array_equal(canvas[:, 36:, 32:], right)


def test_droid_is_640_wide_and_540_high():
    pictures = dict(zip(DROID, (noise(360, 640, 1) for _ in DROID), strict=True))
    episode = episode_with(pictures)
    cameras = find_cameras(episode, get_domain("droid_lerobot"))
    canvas = canvas_frames(episode, cameras, np.array([0]))
    assert canvas.shape == (1, 540, 640, 3)
    np.testing.assert_array_equal(canvas[:, :360], pictures[DROID[0]])
    np.testing.assert_array_equal(canvas[0, 360:, :320], resize_bilinear(pictures[DROID[1]], 180, 320)[0])


def test_libero_stands_side_by_side():
    pictures = {"wrist_image": noise(128, 128), "image": noise(256, 256)}
    episode = episode_with(pictures)
    canvas = canvas_frames(episode, find_cameras(episode, get_domain("libero")), np.array([0, 1]))
    assert canvas.shape == (2, 256, 512, 3)
    np.testing.assert_array_equal(canvas[:, :, :256], pictures["image"])
    np.testing.assert_array_equal(canvas[:, :, 256:], resize_bilinear(pictures["wrist_image"], 256, 256))


@pytest.mark.parametrize(
    ("domain", "names"),
    [
        (
            "robomind-franka",
            ("observation.images.camera_top", "observation.images.camera_left", "observation.images.camera_right"),
        ),
        (
            "robomind-franka-dual",
            ("observation.images.camera_front", "observation.images.camera_left", "observation.images.camera_right"),
        ),
        ("agibotworld", ("observation.images.head", "observation.images.hand_left", "observation.images.hand_right")),
        (
            "droid_lerobot",
            (
                "observation.images.wrist_left",
                "observation.images.exterior_1_left",
                "observation.images.exterior_2_left",
            ),
        ),
    ],
)
def test_the_order_is_the_domain_s_and_not_the_dataset_s(domain, names):
    episode = episode_with({name: numbered_pictures(1, offset=10 * i) for i, name in reversed(list(enumerate(names)))})
    canvas = canvas_frames(episode, find_cameras(episode, get_domain(domain)), np.array([0]))[0]
    assert (canvas[0, 0, 0], canvas[-1, 0, 0], canvas[-1, -1, 0]) == (0, 10, 20)


def test_a_missing_camera_is_named():
    episode = episode_with({DROID[2]: numbered_pictures(2), "observation.image.other": numbered_pictures(2)})
    with pytest.raises(
        InvalidInputError, match=r"wrist \(observation.image.wrist_image_left or .*; left \(.*It has .*other"
    ):
        find_cameras(episode, get_domain("droid_lerobot"))


def test_cameras_of_one_s_own():
    episode = episode_with({name: numbered_pictures(1, offset=i) for i, name in enumerate("abc")})
    droid = get_domain("droid_lerobot")
    assert find_cameras(episode, droid, ("b",)).arrangement == "single"
    assert find_cameras(episode, droid, ("c", "a", "b")).names == ("c", "a", "b")
    with pytest.raises(InvalidInputError, match="no camera z; it has a, b, c"):
        find_cameras(episode, droid, ("z",))
    with pytest.raises(InvalidInputError, match=r"3 place\(s\); got 2"):
        find_cameras(episode, droid, ("a", "b"))


def test_a_domain_that_names_no_camera_takes_the_only_one_and_never_guesses():
    one, two = (
        episode_with({"a": numbered_pictures(1)}),
        episode_with({"a": numbered_pictures(1), "b": numbered_pictures(1)}),
    )
    assert find_cameras(one, get_domain("av")).names == ("a",)
    with pytest.raises(InvalidInputError, match=r"'av' does not say which camera .* has a, b"):
        find_cameras(two, get_domain("av"))


def test_only_the_frames_asked_for_are_read():
    episode = episode_with({"a": numbered_pictures(12)})
    frames = canvas_frames(episode, find_cameras(episode, get_domain("av")), np.array([1, 2, 3, 6, 9, 10]))
    assert frames[:, 0, 0, 0].tolist() == [1, 2, 3, 6, 9, 10]
    assert [frame for _, frame in episode.frames_read] == [1, 2, 3, 6, 9, 10]


def test_two_halves_do_not_fill_an_odd_width():
    with pytest.raises(MediaError, match="odd width"):
        compose([noise(20, 31)] * 3, "stacked")
