"""Labels are compared with what a model that reads a number off each frame must say."""

import numpy as np
import pytest
from brightness_model import BrightnessModel, action_of, frames_of, step_of

from cosmos_robot.domains.registry import get_domain
from cosmos_robot.errors import InvalidInputError, MediaError
from cosmos_robot.interface.chain import chunk_seed
from cosmos_robot.labelling.video_labels import LabelSettings, label_video, pose_blocks, resampled

CHUNK = 8


def labelled(count, *, domain="pusht", batch=1, model=None):
    settings = LabelSettings(get_domain(domain), action_chunk_size=CHUNK, batch=batch, seed=3, prompt="go")
    pieces = list(label_video(model or BrightnessModel(), iter(frames_of(count)), settings))
    poses = {name: np.concatenate([piece.poses[name] for piece in pieces]) for name in pieces[0].poses}
    return np.concatenate([p.frames for p in pieces]), np.concatenate([p.actions for p in pieces]), poses


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("count", [5, 6, 8, 9, 10, 16, 17, 18, 24, 25, 26, 33, 40, 57])
def test_every_frame_once_and_every_action_from_its_own_two_frames(count, batch):
    frames, actions, _ = labelled(count, batch=batch)
    assert np.array_equal(frames, frames_of(count))
    truth = np.stack([action_of(i, i + 1, "pusht") for i in range(count - 1)])
    assert np.allclose(actions[:-1], truth, atol=1e-3)
    assert np.array_equal(actions[-1], actions[-2])


def test_what_the_model_is_asked():
    model = BrightnessModel()
    labelled(27, model=model)
    assert [(clip[0], len(clip)) for clip in model.clips] == [(0, 9), (8, 9), (16, 9), (18, 9)]  # the last overlaps
    assert [request.seed for request in model.requests] == [chunk_seed(3, k) for k in range(4)]
    assert {request.prompt for request in model.requests} == {"go"}
    model = BrightnessModel()
    labelled(7, model=model)  # shorter than a chunk: the longest that a model takes, then its end
    assert [(clip[0], len(clip)) for clip in model.clips] == [(0, 5), (2, 5)]


def test_steps_lead_to_poses():
    _, actions, poses = labelled(27, domain="av")
    assert set(poses) == {"ego"}
    assert poses["ego"].shape == (27, 4, 4)
    expected = np.eye(4)
    for index in range(27):
        assert np.allclose(poses["ego"][index], expected, atol=1e-4), index
        expected = expected @ step_of(index)
    assert actions.shape == (27, 9)


def test_commands_to_a_controller_lead_to_no_poses():
    assert pose_blocks(get_domain("libero")) == ()
    assert labelled(9)[2] == {}


@pytest.mark.parametrize("count", [1, 4])
def test_videos_that_are_too_short(count):
    with pytest.raises(MediaError, match=f"too short.* {count} frame"):
        labelled(count)


@pytest.mark.parametrize(
    ("recorded", "wanted", "taken"),
    [(10, 10, [0, 1, 2, 3, 4]), (30, 10, [0, 3, 6, 9, 12]), (15, 10, [0, 1, 3, 4, 6]), (59.94, 20, [0, 3, 6, 9, 12])],
)
def test_the_nearest_frames_of_another_rate(recorded, wanted, taken):
    assert numbers_taken(np.arange(taken[-1] + 1) / recorded, recorded, wanted) == taken


def numbers_taken(times, recorded, wanted):
    return [frame[0] for frame in resampled(((time, [n]) for n, time in enumerate(times)), recorded, wanted)]


def test_long_videos_are_resampled_to_their_end():
    assert numbers_taken(np.arange(6000) / 20, 20, 10) == list(range(0, 6000, 2))


@pytest.mark.parametrize(("recorded", "wanted"), [(30000 / 1001, 30), (24000 / 1001, 24), (29.995, 30)])
def test_videos_a_thousandth_slower_are_taken_frame_by_frame(recorded, wanted):
    assert numbers_taken(np.arange(3000) / recorded, recorded, wanted) == list(range(3000))
    rounded = np.round(np.arange(3000) / recorded, 3)  # as Matroska has them
    assert numbers_taken(rounded, recorded, wanted) == list(range(3000))


def test_frames_that_do_not_come_evenly_are_taken_by_their_times():
    times = [*np.arange(60) / 30, *(2 + np.arange(20) / 10)]  # a phone in the light, then in the dark
    assert numbers_taken(times, 20, 10) == [*range(0, 60, 3), *range(60, 80)]


@pytest.mark.parametrize("gap", [10, 2990])
def test_frames_that_are_too_far_apart_are_not_doubled(gap):
    numbers = np.delete(np.arange(3000), gap)
    with pytest.raises(MediaError, match=f"do not come evenly: about {(gap - 1) / 30:.2f} s into it"):
        numbers_taken(numbers / 30, 30, 30)
    slower = [*np.arange(30) / 24, *(30 / 24 + np.arange(60) / 40)]
    with pytest.raises(MediaError, match="do not come evenly"):
        numbers_taken(slower, 31, 30)


@pytest.mark.parametrize(
    ("wrong", "match"), [({"fps": 0.0}, "fps must be a positive"), ({"action_chunk_size": 0}, "multiple of 4")]
)
def test_settings_that_cannot_be(wrong, match):
    with pytest.raises(InvalidInputError, match=match):
        next(label_video(BrightnessModel(), iter(frames_of(9)), LabelSettings(get_domain("pusht"), **wrong)))


def test_too_few_frames_a_second():
    with pytest.raises(MediaError, match="5 frames a second, the labelled data shall have 10"):
        next(resampled([], 5, 10))


def test_steps_told_from_a_chunks_start_cannot_be_chained(tmp_path):
    path = tmp_path / "anchored.toml"
    path.write_text((get_file("av")).read_text().replace("backward_framewise", "backward_anchored"))
    with pytest.raises(InvalidInputError, match="is told from the first frame of a chunk"):
        pose_blocks(get_domain(path))


def get_file(name):
    from pathlib import Path

    return Path(__file__).resolve().parents[2] / "domains" / f"{name}.toml"
