"""Windows: where they lie, what is in them, what is read for them, and what happens at damaged data."""

import pickle

import numpy as np
import pytest
from recorded_episode import RecordedEpisode, RecordedEpisodes, numbered_pictures

from cosmos_robot.datasets.windows import resampled_steps, windows
from cosmos_robot.domains.registry import get_domain
from cosmos_robot.errors import EpisodeError, InvalidInputError, UnknownFactError


def pusht(length, *, index=0, fps=10.0, broken=(), task="push"):
    """Push-T whose targets and pictures are the time step's number."""
    target = np.arange(length)[:, None] + [0.0, 100.0]
    pictures = {"observation.image": numbered_pictures(length)}
    return RecordedEpisode({"action": target}, pictures, fps=fps, index=index, task=task, broken=broken)


def numbers(window):
    return window.frames[:, 0, 0, 0].tolist()


@pytest.mark.parametrize(
    ("recorded", "fps", "steps"),
    [
        (10, 10, [0, 1, 2, 3, 4, 5]),
        (59.94, 20, [0, 3, 6, 9, 12, 15]),
        (60, 20, [0, 3, 6, 9, 12, 15]),
        (15, 10, [0, 1, 3, 4, 6, 7]),  # 1.5 is as near to 1 as to 2
        (30, 20, [0, 1, 3, 4, 6, 7]),
        (50, 20, [0, 2, 5, 7, 10, 12]),
        (25, 10, [0, 2, 5, 7, 10, 12]),
        (50, 15, [0, 3, 7, 10, 13, 17]),
        (30, 10, [0, 3, 6, 9, 12, 15]),
        (29.97, 30, [0, 1, 2, 3, 4, 5]),
    ],
)
def test_the_nearest_time_step(recorded, fps, steps):
    assert resampled_steps(6, recorded, fps).tolist() == steps


def test_umi_s_rate_does_not_drift_within_a_long_chunk():
    np.testing.assert_array_equal(resampled_steps(161, 59.94, 20), 3 * np.arange(161))


def test_a_window():
    episodes = RecordedEpisodes([pusht(9), pusht(7, index=1, task="shove it | push it")])
    cut = windows(episodes, "pusht", 4)
    assert len(cut) == 5 + 3
    window = cut[6]
    assert (window.episode, window.start, window.fps, window.prompt) == (1, 1, 10.0, "shove it")
    assert numbers(window) == [1, 2, 3, 4, 5]
    np.testing.assert_array_equal(window.actions.values, np.array([1, 2, 3, 4])[:, None] + [0, 100])
    assert window.state is None
    assert (window.actions.domain, window.frames.dtype) == ("pusht", np.uint8)


def test_no_window_reaches_beyond_its_episode():
    lengths = [4, 5, 6, 23, 1, 12]
    cut = windows(RecordedEpisodes([pusht(n, index=i) for i, n in enumerate(lengths)]), "pusht", 4, 3)
    by_hand = [(e, start) for e, n in enumerate(lengths) for start in range(0, n - 4, 3)]
    assert [cut.place(i) for i in range(len(cut))] == by_hand
    assert [(w.episode, w.start) for w in cut] == by_hand
    assert all(numbers(w)[-1] < lengths[w.episode] for w in cut)


def test_the_stride_counts_frames_that_are_shown():
    cut = windows([pusht(40, fps=30)], "pusht", 4, 2)
    assert [cut.place(i)[1] for i in range(len(cut))] == [0, 6, 12, 18, 24]
    assert numbers(cut[1]) == [6, 9, 12, 15, 18]
    chained = windows([pusht(40, fps=30)], "pusht", 4, 4)
    assert numbers(chained[0])[-1] == numbers(chained[1])[0]
    assert windows([pusht(40, fps=30)], "pusht", 4, fps=30)[0].fps == 30


def test_the_last_frame_may_be_the_episode_s_last():
    assert numbers(windows([pusht(5)], "pusht", 4)[-1]) == [0, 1, 2, 3, 4]
    with pytest.raises(InvalidInputError, match="spans 5 time steps; the longest of 1 episodes has 4"):
        windows([pusht(4)], "pusht", 4)


def test_the_domain_s_own_chunk_and_rate():
    cut = windows([pusht(60)], "pusht")
    assert (cut.chunk, cut.fps, len(cut)) == (16, 10.0, 60 - 16)
    with pytest.raises(UnknownFactError, match="action_chunk_size"):
        windows([pusht(60)], "robotwin")


def test_the_state_is_that_of_the_first_frame():
    columns = {
        "action.joint_position": np.zeros((9, 7)),
        "action.gripper_position": np.zeros(9),
        "observation.state.joint_positions": np.arange(9.0)[:, None] * np.ones(7),
        "observation.state.gripper_position": np.linspace(0, 1, 9),
    }
    episode = RecordedEpisode(columns, {"wrist": numbered_pictures(9)}, fps=15)
    window = windows([episode], "droid_lerobot_joint", 4, cameras=("wrist",))[3]
    np.testing.assert_allclose(window.state, [3.0] * 7 + [1 - 3 / 8], rtol=1e-6)


@pytest.mark.parametrize(
    ("wanted", "match"),
    [
        ({"chunk": 6}, "multiple of 4"),
        ({"stride": 0}, "stride must be at least 1"),
        ({"fps": 0.0}, "fps must be a positive"),
        ({"fps": 20.0}, "10 frames a second, so that frames would repeat at 20"),
        ({"on_error": "ignore"}, "'raise' or 'skip'"),
    ],
)
def test_what_cannot_be_cut(wanted, match):
    with pytest.raises(InvalidInputError, match=match):
        windows([pusht(60)], "pusht", **wanted)


def test_episodes_of_two_rates_are_cut_apart():
    with pytest.raises(InvalidInputError, match="one frame rate; got 10, 30"):
        windows([pusht(20), pusht(20, fps=30)], "pusht")


def test_slices_are_lazy():
    episodes = RecordedEpisodes([pusht(30, index=i) for i in range(3)])
    cut = windows(episodes[1:], "pusht", 4)
    some = cut[30:40:3]
    assert episodes.opened == 0
    assert [some.place(i) for i in range(len(some))] == [(1, 4), (1, 7), (1, 10), (1, 13)]
    assert some[-1].frames[0, 0, 0, 0] == 13
    assert cut[-1].start == 25
    with pytest.raises(IndexError):
        cut[len(cut)]


def test_only_what_a_window_needs_is_read():
    episode = pusht(200, fps=30)
    window = windows([episode], "pusht", 4)[10]
    assert numbers(window) == [30, 33, 36, 39, 42]
    assert [frame for _, frame in episode.frames_read] == [30, 33, 36, 39, 42]
    assert {row for _, row in episode.rows_read} == set(range(30, 43))


class Table:
    """Fifty thousand episodes of which nothing but the lengths may be asked."""

    fps = 15.0

    def __init__(self, lengths):
        self._lengths = lengths

    def lengths(self):
        return self._lengths

    def __len__(self):
        raise AssertionError("the episodes were counted one by one")


def test_fifty_thousand_episodes_are_arrays():
    lengths = np.random.default_rng(0).integers(1, 80, 50_000)
    cut = windows(Table(lengths), "droid_lerobot", 16)
    assert len(cut) == np.maximum(lengths - 16, 0).sum()
    bytes_held = sum(v.nbytes for v in vars(cut).values() if isinstance(v, np.ndarray))
    assert bytes_held < 8 * 50_000 + 2_000  # one number an episode, none a window
    assert len(pickle.dumps(cut._ends)) < 8 * 50_000 + 2_000
    last = int(np.flatnonzero(lengths > 16)[-1])
    assert cut.place(len(cut) - 1) == (last, lengths[last] - 17)


def test_damage_is_raised_with_its_place():
    cut = windows([pusht(30, broken={12})], "pusht", 4)
    assert numbers(cut[7]) == [7, 8, 9, 10, 11]
    with pytest.raises(EpisodeError, match="frame 12 does not decode"):
        cut[8]
    with pytest.raises(EpisodeError, match="frame 12"):
        list(cut)
    assert cut.skipped == ()


def test_damage_is_skipped_and_reported():
    episodes = [pusht(10, broken={6}), pusht(10, index=1), pusht(10, index=2)]
    episodes[2]._columns["action"][9, 1] = np.nan  # only a target that leads nowhere
    episodes[2]._columns["action"][3, 0] = np.nan
    cut = windows(episodes, "pusht", 4, on_error="skip")
    seen = [(w.episode, w.start) for w in cut]
    assert seen == [(0, 0), (0, 1), *((1, s) for s in range(6)), (2, 4), (2, 5)]
    assert [(s.episode, s.start) for s in cut.skipped] == [
        (0, 2),
        (0, 3),
        (0, 4),
        (0, 5),
        (2, 0),
        (2, 1),
        (2, 2),
        (2, 3),
    ]
    assert "memory, episode 0" in cut.skipped[0].reason
    assert "frame 3: column 'action'" in cut.skipped[4].reason


def test_a_window_asked_for_by_number_is_replaced():
    cut = windows([pusht(10, broken={6}), pusht(10, index=1)], "pusht", 4, on_error="skip")
    window = cut[3]
    assert (window.episode, window.start) == (1, 0)
    assert [(s.episode, s.start) for s in cut.skipped] == [(0, 3)]
    nothing = windows([pusht(10, broken=range(10))] * 2, "pusht", 4, on_error="skip")
    with pytest.raises(EpisodeError, match=r"none of 2 episodes could be read; the first: .*frame 0"):
        nothing[0]


def test_a_wrong_question_is_no_damage():
    cut = windows([pusht(30, fps=15)], "droid_lerobot", on_error="skip")
    with pytest.raises(InvalidInputError, match=r"lacks observation.state.cartesian_position"):
        cut[0]
    with pytest.raises(InvalidInputError, match="no camera for these places"):
        windows([RecordedEpisode({"action": np.zeros((30, 2))}, fps=10)], get_domain("pusht"), on_error="skip")[0]


@pytest.mark.parametrize("stride", [1, 3])
def test_a_recording_a_thousandth_slower_is_taken_step_by_step(stride):
    assert resampled_steps(1300, 29.97, 30).tolist() == list(range(1300))
    cut = windows([pusht(1200, fps=29.97)], "pusht", 4, stride, fps=30)
    assert [cut.place(i)[1] for i in range(len(cut))] == list(range(0, 1196, stride))


def test_no_window_twice_where_a_short_chunk_fits_a_slower_recording():
    cut = windows([pusht(200, fps=29)], "pusht", 4, fps=30)
    assert [cut.place(i)[1] for i in range(len(cut))] == list(range(196))


def test_a_selection_backwards():
    episodes = RecordedEpisodes([pusht(10 + i, index=i) for i in range(4)])
    assert episodes[::-1].lengths().tolist() == [13, 12, 11, 10]
    assert episodes[3::-1][1:].lengths().tolist() == [12, 11, 10]
    assert episodes[4:].lengths().tolist() == []
    assert [w.frames[0, 0, 0, 0] for w in windows(episodes[::-1], "pusht", 8)[:6]] == [0, 1, 2, 3, 4, 0]


def test_what_was_skipped_is_not_known_when_the_process_that_knew_has_ended():
    cut = windows([pusht(10)], "pusht", 4, on_error="skip")
    later = pickle.loads(pickle.dumps(cut))
    del cut  # as its process's end does, it removes the file
    assert later.skipped == ()
    assert later[0].start == 0
