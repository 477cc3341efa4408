"""Statistics in one pass: against numpy where the data fit, within the stated error where they do not."""

import json
import tomllib

import numpy as np
import pytest
from recorded_episode import RecordedEpisode, RecordedEpisodes

from cosmos_robot.datasets.action_statistics import action_statistics
from cosmos_robot.datasets.running_statistics import QUANTILES, RunningStatistics
from cosmos_robot.datasets.source_actions import actions_at
from cosmos_robot.domains.domain_file import load_domain_file
from cosmos_robot.domains.registry import get_domain
from cosmos_robot.errors import EpisodeError, InvalidInputError

RNG = np.random.default_rng(3)


def in_blocks(rows, sizes=(1, 7, 100, 3)):
    start, number = 0, 0
    while start < len(rows):
        yield rows[start : start + sizes[number % len(sizes)]]
        start, number = start + sizes[number % len(sizes)], number + 1


def test_what_fits_is_exact():
    rows = np.hstack([RNG.normal(5, 1e-3, (2000, 1)), RNG.exponential(2, (2000, 1)), np.full((2000, 1), 0.25)])
    running = RunningStatistics(kept=5000)
    for block in in_blocks(rows.astype(np.float32)):
        running.add(block)
    found, rows = running.result(), rows.astype(np.float32).astype(np.float64)
    assert (found.count, found.rank_error) == (2000, 0.0)
    np.testing.assert_allclose(found.mean, rows.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.std, rows.std(axis=0), rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(found.minimum, rows.min(axis=0))
    np.testing.assert_array_equal(found.maximum, rows.max(axis=0))
    for name, share in QUANTILES.items():
        np.testing.assert_allclose(found.quantiles[name], np.quantile(rows, share, axis=0), rtol=1e-12)


@pytest.mark.parametrize("order", ["shuffled", "sorted", "reversed"])
def test_quantiles_of_more_rows_than_are_kept(order):
    """Sorted data would betray a sample that favours the beginning or the end; an outlier changes nothing."""
    values = np.sort(RNG.lognormal(size=120_000))
    values[-1] = 1e9
    given = {"shuffled": RNG.permutation(values), "sorted": values, "reversed": values[::-1]}[order]
    running = RunningStatistics(kept=10_000)
    for block in in_blocks(given[:, None], (333, 5000, 41, 12_000)):
        running.add(block)
    found = running.result()
    assert found.rank_error == pytest.approx(2 / 100)
    for name, share in QUANTILES.items():
        rank = np.searchsorted(values, found.quantiles[name][0]) / len(values)
        assert abs(rank - share) < 4 * np.sqrt(share * (1 - share) / 10_000) <= found.rank_error + 1e-12
    np.testing.assert_allclose(found.mean[0], values.mean(), rtol=1e-9)
    assert found.maximum[0] == 1e9


def test_memory_is_bounded():
    running = RunningStatistics(kept=1000)
    for _ in range(50):
        running.add(RNG.normal(size=(1000, 3)))
    held = sum(v.nbytes for v in vars(running).values() if isinstance(v, np.ndarray))
    assert held < 1000 * 3 * 4 + 500
    with pytest.raises(InvalidInputError, match="rows must have 3 numbers; got 2"):
        running.add(np.zeros((1, 2)))
    with pytest.raises(InvalidInputError, match="no row"):
        RunningStatistics().result()


def umi(length, index, *, fps=60.0):
    columns = {
        "robot0_eef_pos": RNG.normal(scale=0.01, size=(length, 3)).cumsum(axis=0),
        "robot0_eef_rot_axis_angle": RNG.normal(scale=0.02, size=(length, 3)).cumsum(axis=0) + 0.7,
        "robot0_gripper_width": RNG.uniform(0, 0.08, (length, 1)),
    }
    return RecordedEpisode(columns, fps=fps, index=index)


def test_of_a_dataset_they_are_those_of_its_actions_at_the_domain_s_rate():
    episodes = RecordedEpisodes([umi(50, 0), umi(2, 1), umi(31, 2)])
    domain, calls = get_domain("umi"), []
    found = action_statistics(episodes, domain, progress=lambda *done: calls.append(done))
    every_third = [actions_at(e, domain, np.arange(0, len(e), 3)).actions.values for e in (episodes[0], episodes[2])]
    rows = np.concatenate(every_third).astype(np.float64)
    assert (found.figures.count, found.episodes, found.fps) == (len(rows), 3, 20.0)
    np.testing.assert_allclose(found.figures.quantiles["q01"], np.quantile(rows, 0.01, axis=0), rtol=1e-9)
    np.testing.assert_allclose(found.figures.std, rows.std(axis=0), rtol=1e-9)
    assert calls == [(1, 3), (2, 3), (3, 3)]


MY_ROBOT = """
name = "bench"
robot = "a bench's arm"
domain_id = 24
raw_action_dim = 9
action_chunk_size = 4
fps = 10.0
translation_scale = 1.35

[[channels]]
pose = "arm"
convention = "CONVENTION"
frame = []

[normaliser]
method = "METHOD"
file = "figures.SUFFIX"

[source]
facts = "ours"

[[source.layouts]]
name = "ours"
channels = [{ pose = "arm", position = "p", axis_angle = "r" }]
"""


def bench(length=41):
    turns = RNG.normal(size=(length, 3))
    return RecordedEpisode({"p": RNG.normal(size=(length, 3)), "r": turns}, fps=10)


def domain_file(folder, convention="backward_framewise", method=None, suffix="json"):
    text = MY_ROBOT.replace("CONVENTION", convention).replace("SUFFIX", suffix)
    if method is None:
        start = text.index("[normaliser]")
        text = text[:start] + text[text.index("[source]") :]
    path = folder / "bench.toml"
    path.write_text(text.replace("METHOD", method or ""))
    return path


@pytest.mark.parametrize("suffix", ["json", "toml"])
@pytest.mark.parametrize(
    ("method", "low", "high"), [("quantile", "q01", "q99"), ("minmax", "min", "max"), ("meanstd", None, None)]
)
def test_a_domain_takes_them_by_the_file_s_name(tmp_path, suffix, method, low, high):
    found = action_statistics([bench()], str(domain_file(tmp_path)))
    found.write(tmp_path / f"figures.{suffix}")
    domain = load_domain_file(domain_file(tmp_path, method=method, suffix=suffix))
    text = (tmp_path / f"figures.{suffix}").read_text()
    table = json.loads(text) if suffix == "json" else tomllib.loads(text)
    assert (table["channels"], table["actions"]) == (list(domain.channel_names), 40)
    if method == "meanstd":
        np.testing.assert_allclose(domain.normaliser.forward(table["mean"]), np.zeros(9), atol=1e-12)
    else:
        np.testing.assert_allclose(domain.normaliser.forward([table[low], table[high]]), [[-1] * 9, [1] * 9], atol=1e-9)


def test_they_are_of_what_the_normaliser_gets(tmp_path):
    """With its own least and greatest values as a normaliser, a dataset fills -1 to +1: the scale is in them."""
    episode = bench()
    action_statistics([episode], str(domain_file(tmp_path))).write(tmp_path / "figures.json")
    path = domain_file(tmp_path, method="minmax")
    model = get_domain(path).encode(episode.actions(path)).values
    np.testing.assert_allclose([model.min(axis=0), model.max(axis=0)], [[-1] * 9, [1] * 9], atol=1e-5)


def test_poses_from_the_first_of_a_chunk_are_taken_chunk_by_chunk(tmp_path):
    path, episode = domain_file(tmp_path, "backward_anchored"), bench(11)
    found = action_statistics([episode], str(path))
    chunks = [episode.actions(path, first, min(first + 5, 11)).values for first in (0, 4, 8)]
    rows = np.concatenate(chunks) * ([1.35] * 3 + [1.0] * 6)
    assert found.figures.count == 10
    np.testing.assert_allclose(found.figures.mean, rows.mean(axis=0), rtol=1e-5, atol=1e-7)


def test_damaged_episodes_are_left_out_and_named():
    episodes = [umi(31, 0), umi(31, 1)]
    episodes[0]._columns["robot0_eef_pos"][12, 1] = np.nan
    with pytest.raises(EpisodeError, match="episode 0, frame 12"):
        action_statistics(episodes, "umi")
    found = action_statistics(episodes, "umi", on_error="skip")
    assert (found.episodes, found.figures.count) == (1, 10)
    assert "episode 0, frame 12: column 'robot0_eef_pos'" in found.skipped[0]


def test_what_cannot_be(tmp_path):
    with pytest.raises(InvalidInputError, match="frames would repeat at 20"):
        action_statistics([umi(9, 0, fps=10)], "umi")
    for fps in (0, -5, float("nan")):
        with pytest.raises(InvalidInputError, match=f"fps must be a positive number; got {fps}"):
            action_statistics([umi(9, 0)], "umi", fps=fps)
    with pytest.raises(InvalidInputError, match="on_error is 'raise' or 'skip'; got 'ignore'"):
        action_statistics([umi(9, 0)], "umi", on_error="ignore")
    with pytest.raises(InvalidInputError, match="no episode of 1 episodes has two frames"):
        action_statistics([umi(1, 0)], "umi")
    with pytest.raises(InvalidInputError, match=r"\.json or \.toml"):
        action_statistics([umi(9, 0)], "umi").write(tmp_path / "a.txt")
    for text, match in [
        ("{}", "has no q01"),
        ("[]", "no table"),
        ("{", "neither json nor toml"),
        (None, "cannot read"),
    ]:
        (tmp_path / "figures.json").unlink(missing_ok=True)
        if text is not None:
            (tmp_path / "figures.json").write_text(text)
        with pytest.raises(InvalidInputError, match=match):
            load_domain_file(domain_file(tmp_path, method="quantile"))


def test_the_framework_s_blocks_are_chosen_by_name(tmp_path):
    (tmp_path / "figures.json").write_text(
        json.dumps({"metadata": {}, "global_raw": {"q01": [-2.0] * 9, "q99": [2.0] * 9}})
    )
    path = domain_file(tmp_path, method='quantile"\nblock = "global_raw')
    np.testing.assert_allclose(load_domain_file(path).normaliser.forward([2.0] * 9), np.ones(9))
    with pytest.raises(InvalidInputError, match="no block 'other'; it has metadata, global_raw"):
        load_domain_file(domain_file(tmp_path, method='quantile"\nblock = "other'))
