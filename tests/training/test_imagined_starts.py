"""Windows that go on from what a world model imagined, with a known world in its place."""

import numpy as np
import torch

from cosmos_robot.training.imagined_starts import ImaginedStarts, imagined_starts
from cosmos_robot.training.pusht_recording import PushTRecording
from cosmos_robot.training.pusht_windows import CHUNK, WindowConfig


def recording(seed):
    """Frame t is grey of level t; action t is (t, t)."""
    steps = np.arange(101)
    place = np.repeat(steps[:, None], 3, axis=1).astype(np.float32)
    frames = np.broadcast_to(steps[:, None, None, None], (101, 16, 16, 3)).astype(np.uint8)
    return PushTRecording(seed=seed, frames=frames, actions=place[:-1, :2], agent=place[:, :2], block=place)


def encode(pixels):
    """One channel: the level of the first frame and of every fourth after it."""
    levels = (pixels[:, :1, :, :1, :1] + 1.0) * 127.5
    return levels[:, :, ::4]


def made(imagine, **settings):
    config = ImaginedStarts(chunks=3, windows=WindowConfig(), **settings)
    with torch.no_grad():
        return imagined_starts(encode, encode, imagine, [recording(1), recording(2)], config)


def test_a_chunk_goes_on_from_the_last_frame_that_was_imagined():
    asked = []

    def one_too_dark(frames, actions):
        asked.append((frames[:, 0, 0, 0].copy(), actions[:, 0, 0].copy()))
        return (frames + CHUNK - 1).astype(np.uint8)

    windows = made(one_too_dark)
    latents = windows.latents[:, 0, :, 0, 0].reshape(2, 3, 5).astype(np.float64)
    recorded = latents[:, :, 1] - 4  # of the first frame
    np.testing.assert_allclose(recorded - latents[:, :, 0], [[1, 2, 3]] * 2, atol=0.1)
    np.testing.assert_allclose(np.diff(latents[:, :, 1:], axis=-1), 4, atol=0.1)
    first = recorded[:, 0] - CHUNK
    for k, (shown, taken) in enumerate(asked):
        np.testing.assert_allclose(shown, first + (CHUNK - 1) * k, atol=0.1)  # its own frame, not the recorded one
        np.testing.assert_allclose(taken, first + CHUNK * k, atol=0.1)  # but the recorded actions
    scale = windows.actions[:, 0, 0].reshape(2, 3)  # of the window that follows, in model space
    np.testing.assert_allclose(np.diff(scale, axis=1), CHUNK / 256.0, atol=1e-3)


def test_what_is_of_another_scene_is_not_a_start():
    def lost_at_the_second(frames, actions):
        lost = frames[:, 0, 0, 0] >= np.array([0, 255])  # the first episode alone, from the beginning
        return np.where(lost[:, None, None, None], 255, frames + CHUNK).astype(np.uint8)

    windows = made(lost_at_the_second, largest_error=100.0)
    latents = windows.latents[:, 0, :, 0, 0].reshape(2, 3, 5).astype(np.float64)
    np.testing.assert_allclose(np.diff(latents, axis=-1), 4, atol=0.1)  # recorded first frames, or such as they
    kept = made(lost_at_the_second, largest_error=1e6).latents[:3, 0, 0, 0, 0]
    np.testing.assert_allclose(kept.astype(np.float64), 255, atol=0.2)


def test_the_same_seeds_give_the_same_windows():
    first, second = (made(lambda frames, actions: frames) for _ in range(2))
    np.testing.assert_array_equal(first.latents, second.latents)
    assert len(first) == 6
