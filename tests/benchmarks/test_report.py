"""The report: perfect, copying and random models come out in that order, with figures known in advance."""

import base64
import json
import re
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

pytest.importorskip("gym_pusht")

from bench_models import LoadFaulty, NoNumbers, copying, perfect, random, record_episodes
from typer.testing import CliRunner

from cosmos_robot.benchmarks.metrics_frames import PSNR_LIMIT
from cosmos_robot.benchmarks.report import write_report
from cosmos_robot.benchmarks.report_figures import compare, ranked_rows, read_figures
from cosmos_robot.benchmarks.report_videos import side_by_side
from cosmos_robot.benchmarks.run_config import RunConfig
from cosmos_robot.benchmarks.run_episodes import open_run_episodes
from cosmos_robot.benchmarks.run_execution import execute, read_prediction
from cosmos_robot.cli.app import app
from cosmos_robot.datasets.video import read_video
from cosmos_robot.errors import InvalidInputError

MODELS = {"perfect": perfect, "copying": copying, "random": random}


def _run_all(folder, episodes, suite):
    for name, load in MODELS.items():
        config = RunConfig(suite=suite, episodes=episodes, domain="pusht", batch=3, keep_predictions=True)
        config = replace(config, samples=3 if suite == "policy" else 1)
        execute(config, folder / suite / name, load=load, digest=name)


@pytest.fixture(scope="module")
def runs(tmp_path_factory, pusht_shards):
    """A run of each model, backwards and as a policy."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SDL_VIDEODRIVER", "dummy")
        (folder / "episodes").symlink_to(pusht_shards)
        episodes = str(folder / "episodes")
        for suite in ("inverse-dynamics", "policy"):
            _run_all(folder, episodes, suite)
    return folder


@pytest.fixture(scope="module")
def forward(runs):
    """The same forwards, which takes the perfect model its time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SDL_VIDEODRIVER", "dummy")
        _run_all(runs, str(runs / "episodes"), "forward-dynamics")
    return runs


@cache
def _lines(folder, suite):
    figures = [read_figures(folder / suite / name) for name in MODELS]
    return {(line.metric, line.variant): line for line in compare(figures)}


def _values(line):
    return [estimate.value for estimate in line.estimates]


@pytest.mark.slow
def test_forward_dynamics_ranks_them(forward):
    lines = _lines(forward, "forward-dynamics")
    for metric in ("psnr", "psnr_moving", "ssim", "ssim_moving"):
        good, still, noise = _values(lines[metric, "model"])
        assert good > still > noise
        assert lines[metric, "model"].higher_is_better
    assert _values(lines["psnr", "model"])[0] == PSNR_LIMIT
    assert _values(lines["ssim", "model"])[0] == 1.0
    copies = _values(lines["psnr", "first frame copied"])
    assert copies[0] == copies[1] == copies[2] == _values(lines["psnr", "model"])[1]
    assert _values(lines["psnr", "model"])[2] == pytest.approx(_psnr_of_noise(forward), abs=0.02)
    # The perfect model is no longer perfect where it is told other actions.
    assert _values(lines["psnr_moving", "another episode's actions"])[0] < PSNR_LIMIT
    assert _values(lines["psnr_moving", "zero actions"])[0] < PSNR_LIMIT
    assert _values(lines["consistency", "model"])[0] == 0.0
    assert _values(lines["consistency", "true frames"])[0] == 0.0
    assert _values(lines["consistency", "first frame copied"])[0] > 0.0


def _psnr_of_noise(runs):
    """Expected square error of a uniform pixel, mean over the frames: (256^2 - 1) / 12 + (x - 127.5)^2."""
    folder = runs / "forward-dynamics" / "random"
    decibels = []
    for row in read_figures(folder).rows:
        truth = read_prediction(folder, row["row"])["true"][1:].astype(float)
        error = ((256**2 - 1) / 12 + np.square(truth - 127.5)).mean((1, 2, 3))
        decibels.append((10 * np.log10(255**2 / error)).mean())
    return float(np.mean(decibels))


def test_inverse_dynamics_ranks_them(runs):
    lines = _lines(runs, "inverse-dynamics")
    good, still, noise = _values(lines["action RMSE", "model"])
    assert good == 0.0 < still < noise
    assert _values(lines["normalised DTW", "model"])[0] == 1.0
    assert _values(lines["R², target_x", "model"])[0] == 1.0
    assert _values(lines["R², target_x", "model"])[1] <= 0.0  # a constant is no better than the mean
    # A constant in the middle of the table is exactly the control of zero actions.
    assert still == _values(lines["action RMSE", "zero actions"])[0]
    assert noise == pytest.approx(_rmse_of_noise(runs), abs=0.03)


def _rmse_of_noise(runs):
    """Of a uniform number on -1..1 the expected square error is 1/3 + x^2."""
    rows = read_figures(runs / "inverse-dynamics" / "random").rows
    truths = [np.array(row["figures"]["true"]) / 256 - 1 for row in rows]
    return float(np.mean([np.sqrt(np.mean(1 / 3 + np.square(truth))) for truth in truths]))


def test_policy_ranks_them(runs):
    """The perfect Push-T chooses what was recorded; a constant and noise are as far off as can be reckoned."""
    lines = _lines(runs, "policy")
    good, still, noise = _values(lines["action RMSE", "model"])
    assert good == 0.0 < still < noise
    assert _values(lines["normalised DTW", "model"])[0] == 1.0
    assert still == _values(lines["action RMSE", "zero actions"])[0]
    assert noise == pytest.approx(_rmse_of_noise(runs), abs=0.03)
    best = _values(lines["action RMSE, best of 3", "model"])
    assert best[:2] == [good, still]  # they always say the same
    assert best[2] < noise


def test_differences_are_of_the_same_rows(runs):
    line = _lines(runs, "inverse-dynamics")["action RMSE", "model"]
    good, still, noise = _values(line)
    assert [d.value for d in line.differences] == pytest.approx([still - good, noise - good])
    assert all(0 < d.low <= d.value <= d.high for d in line.differences)
    fit = _lines(runs, "inverse-dynamics")["R², target_x", "model"]
    good, still, noise = _values(fit)
    assert [d.value for d in fit.differences] == pytest.approx([still - good, noise - good])
    assert all(d.low <= d.value <= d.high < 0 for d in fit.differences)
    assert [(d.n, d.episodes) for d in fit.differences] == [(6, 3), (6, 3)]
    alone = compare([read_figures(runs / "policy" / "random")])
    assert alone[0].differences == ()


@pytest.mark.slow
def test_the_best_row_comes_first(forward):
    values = [value for _, value in ranked_rows(read_figures(forward / "forward-dynamics" / "copying"))]
    assert values == sorted(values, reverse=True)
    values = [value for _, value in ranked_rows(read_figures(forward / "inverse-dynamics" / "random"))]
    assert values == sorted(values)


@pytest.mark.slow
def test_the_page_is_whole_in_itself(forward, tmp_path):
    folders = [forward / "forward-dynamics" / name for name in MODELS]
    page, markdown, data = write_report(folders, tmp_path / "page.html")
    html = page.read_text()
    assert not re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', html)
    assert not re.findall(r"@import|<script|<link", html)
    assert html.count("<svg") == 4 + 3  # a curve for each metric, a scatter for each run
    assert html.count("<video") == 9
    assert "AlexNet" in html
    assert "| psnr, dB ↑ | model | 60 (60 to 60)" in markdown.read_text()
    told = json.loads(data.read_text())
    assert [run["name"] for run in told["runs"]] == list(MODELS)
    assert told["runs"][0]["run"]["checkpoint_digest"] == "perfect"
    assert len(told["runs"][0]["curves"]["psnr, model"]) == 16
    assert all(point["n"] == 6 for point in told["runs"][0]["curves"]["psnr, model"])
    again = [path.read_bytes() for path in (markdown, data)]
    assert [path.read_bytes() for path in write_report(folders, tmp_path / "page.html")[1:]] == again


@pytest.mark.slow
def test_the_videos_play(forward, tmp_path):
    (page, *_) = write_report([forward / "forward-dynamics" / "perfect"], tmp_path / "page.html")
    video = re.search(r'src="data:video/mp4;base64,([^"]+)"', page.read_text()).group(1)
    (tmp_path / "clip.mp4").write_bytes(base64.b64decode(video))
    frames, fps = read_video(tmp_path / "clip.mp4")
    assert (frames.shape[0], fps) == (17, 5.0)
    left, middle = frames[:, :192, :192].astype(int), frames[:, :192, 200:392].astype(int)
    assert np.abs(left - middle).mean() < 1.0
    assert frames[:, :, 400:].mean() > 252  # nothing differs


def test_side_by_side_shows_the_difference():
    truth = np.full((3, 16, 17, 3), 100, np.uint8)
    frames = side_by_side(truth, truth + np.uint8(20))
    assert frames.shape[1] % 2 == 0
    assert frames.shape[2] % 2 == 0
    assert (frames[0, 0, 0] == 100).all()
    assert (frames[0, 0, -1] == 255 - 40).all()


def test_failures_are_shown(runs, tmp_path):
    episodes = str(runs / "episodes")
    config = RunConfig(suite="policy", episodes=episodes, domain="pusht")
    seed = execute(config, tmp_path / "whole", load=copying, digest="x")[2]["seed"]
    execute(config, tmp_path / "faulty", load=LoadFaulty((seed,)), digest="x")
    page, markdown, _ = write_report([tmp_path / "faulty"], tmp_path / "page.html")
    assert "this one cannot be imagined" in page.read_text()
    assert "row 2 failed" in markdown.read_text()
    assert "5 of 6, 1 failed" in markdown.read_text()
    both = compare([read_figures(tmp_path / "whole"), read_figures(tmp_path / "faulty")])
    assert both[0].differences[0].n == 5


def test_a_name_cannot_break_the_page(runs, tmp_path):
    config = RunConfig(
        suite="policy", episodes=str(runs / "episodes"), domain="pusht", prompt="<script>alert(1)</script>"
    )
    execute(config, tmp_path / "run", load=copying, digest="x")
    (page, *_) = write_report([tmp_path / "run"], tmp_path / "page.html")
    assert "<script" not in page.read_text()


def test_runs_that_cannot_stand_side_by_side(runs, tmp_path):
    with pytest.raises(InvalidInputError, match="one suite"):
        write_report([runs / "policy" / "random", runs / "inverse-dynamics" / "random"], tmp_path / "page.html")
    with pytest.raises(InvalidInputError, match="no folder of a benchmark run"):
        write_report([tmp_path], tmp_path / "page.html")


def test_rows_of_other_episodes_are_not_paired(runs, tmp_path):
    """They have the same keys: the first windows of the first episodes, with the same noise."""
    own = tmp_path / "policy" / "random"
    record_episodes(tmp_path / "others", episodes=2, steps=16)
    config = RunConfig(suite="policy", episodes=str(tmp_path / "others"), domain="pusht")
    execute(config, own, load=random, digest="random")
    _, markdown, data = write_report([runs / "policy" / "random", own], tmp_path / "page.html")
    told = json.loads(data.read_text())
    assert {difference for line in told["figures"] for difference in line["differences"]} == {None}
    names = [run["name"] for run in told["runs"]]
    assert names == [f"{folder.name}/policy/random" for folder in (runs, tmp_path)]  # the same name, told apart
    for text in (markdown, tmp_path / "page.html"):
        assert f"No differences of {names[1]} and {names[0]}" in text.read_text()
    with pytest.raises(InvalidInputError, match="named twice"):
        write_report([own, own], tmp_path / "page.html")


def test_a_run_in_which_every_row_failed(runs, tmp_path):
    config = RunConfig(suite="policy", episodes=str(runs / "episodes"), domain="pusht", batch=6)
    rows = execute(config, tmp_path / "run", load=lambda *_: NoNumbers(), digest="x")
    assert {row["error"] for row in rows} == {
        "InvalidInputError: the world model answered actions that are no numbers (NaN or infinity)."
    }
    page, markdown, _ = write_report([tmp_path / "run"], tmp_path / "page.html")
    assert page.read_text().count("that are no numbers") == len(rows) == 6
    assert "0 of 6, 6 failed" in markdown.read_text()


def test_the_command(runs, tmp_path):
    out = tmp_path / "sub" / "page.html"
    result = CliRunner().invoke(app, ["report", str(runs / "policy" / "random"), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert out.is_file()
    assert out.with_suffix(".json").is_file()


def test_shards_are_read_as_they_were_recorded(runs):
    from cosmos_robot.training.pusht_recording import read_shard

    episodes = open_run_episodes(str(runs / "episodes"))
    recorded = [e for path in sorted((runs / "episodes").glob("*.npz")) for e in read_shard(path)]
    assert len(episodes) == len(recorded) == 3
    np.testing.assert_array_equal(episodes[2].frames(), recorded[2].frames)
    np.testing.assert_array_equal(episodes[2].actions("pusht").values, recorded[2].actions)
    assert episodes.lengths().tolist() == [41, 41, 41]
