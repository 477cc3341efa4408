"""The demo's figures with models whose answers are known: the simulator itself, and one that copies its input."""

import json

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("gym_pusht", reason="the extra pusht")
pytest.importorskip("matplotlib", reason="the extra viz")

from perfect_pusht import PerfectPushT

from cosmos_robot.benchmarks.demo import FILES, STAGES, run_demo, table
from cosmos_robot.benchmarks.demo_episode import FIRST_SEED, demo_window
from cosmos_robot.benchmarks.demo_pictures import GIF_LIMIT
from cosmos_robot.benchmarks.demo_policy import run_policy
from cosmos_robot.datasets.video import read_video
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.training.autoencoder_check import frame_psnr
from cosmos_robot.training.pusht_scripts import block_centre


class Bars:
    def __init__(self):
        self.started, self.finished, self.steps = [], 0, []

    def start(self, description):
        self.started.append(description)

    def step(self, done, total):
        self.steps.append((done, total))

    def finish(self, stages):
        self.finished += stages


class Copying(PerfectPushT):
    """Says that nothing ever moves."""

    def _answer(self, request, frames, actions):
        return super()._answer(request, np.repeat(frames[:1], len(frames), axis=0), actions)

    def _find(self, frames):
        return self.played[0]


class Shrinking(Copying):
    def _answer(self, request, frames, actions):
        return super()._answer(request, frames[:, :64, :64], actions)


@pytest.fixture(scope="module")
def window():
    return demo_window(0)


@pytest.fixture(scope="module")
def perfect(window, tmp_path_factory):
    """A whole demo of the simulator against itself."""
    out, bars = tmp_path_factory.mktemp("demo"), Bars()
    model = PerfectPushT(window.seed, window.seed + 10_000)
    return run_demo(model, out, bars, checkpoint="perfect"), out, bars, model


def test_the_window_is_held_out_and_the_t_moves_in_it(window):
    assert window.seed >= FIRST_SEED >= 1_000_000
    assert window.frames.shape == (65, 96, 96, 3)
    assert np.linalg.norm(np.diff(block_centre(window.block), axis=0), axis=-1).sum() > 90
    again = demo_window(0)
    np.testing.assert_array_equal(window.frames, again.frames)
    assert demo_window(1).seed != window.seed


def test_the_simulator_itself_makes_no_error(perfect):
    figures = perfect[0]
    assert min(figures.rollout.psnr_by_step) == 60.0  # what equal frames count as
    assert len(figures.rollout.psnr_by_step) == 64
    assert figures.rollout.position.percentile_95 < 0.3  # the detector's own error
    assert figures.rollout.position.found == 1.0
    assert figures.rollout.block.percentile_95 < 1.0
    assert figures.rollout.block.found == 1.0
    assert figures.inverse.r2 == [1.0, 1.0]
    assert figures.inverse.mean_error == 0.0


def test_a_model_that_copies_scores_what_copying_scores(window, tmp_path):
    model = Copying(window.seed)
    rollout = model.rollout(window.frames[0], window.actions, domain="pusht")
    copied = frame_psnr(np.repeat(window.frames[:1], 65, axis=0), window.frames)[1:]
    np.testing.assert_allclose(frame_psnr(rollout.frames, window.frames)[1:], copied)


def test_copying_is_far_from_perfect(perfect):
    rollout = perfect[0].rollout
    assert rollout.psnr_copied < 30.0
    assert rollout.psnr_copied_by_step[-1] < rollout.psnr_copied_by_step[0]


def test_every_file_is_there_and_can_be_read(perfect):
    _, out, _, _ = perfect
    assert {path.name for path in out.iterdir()} == set(FILES)
    for name in ("side_by_side.mp4", "policy.mp4"):
        frames, fps = read_video(out / name)
        assert len(frames) == 65
        assert fps == 10.0
    with Image.open(out / "side_by_side.gif") as picture:
        assert picture.n_frames > 30  # frames that are equal become one
    assert (out / "side_by_side.gif").stat().st_size <= GIF_LIMIT
    for name in ("contact_sheet.png", "errors.png", "actions.png", "policy.png"):
        with Image.open(out / name) as picture:
            assert picture.width > 800


def test_metrics_are_the_figures(perfect):
    figures, out, _, _ = perfect
    written = json.loads((out / "metrics.json").read_text())
    assert written["rollout"]["psnr"] == figures.rollout.psnr
    assert written["environment_seed"] == figures.environment_seed
    assert written["policy"]["prompt"].startswith("push the T to the ")
    assert len(table(figures)) == 10


def test_progress_is_told(perfect):
    _, _, bars, _ = perfect
    assert len(bars.started) == bars.finished == STAGES
    assert bars.steps


def test_the_policy_is_told_its_prompt_and_looks_again_before_each_chunk(window):
    model = PerfectPushT(window.seed)
    run = run_policy(model, window.seed, chunks=2, replan_every=16)
    assert model.prompts == [run.prompt] * 2
    np.testing.assert_array_equal(run.imagined, run.frames)
    assert run.actions.shape == (32, 2)
    assert run.way[0] == 0.0


def test_a_policy_that_looks_again_half_way_takes_half_of_each_chunk(window):
    model = PerfectPushT(window.seed)
    run = run_policy(model, window.seed, chunks=3, replan_every=8)
    assert len(model.prompts) == 3
    assert run.actions.shape == (24, 2)
    np.testing.assert_array_equal(run.imagined, run.frames)


def test_frames_of_another_size_are_refused(window, tmp_path):
    with pytest.raises(InvalidInputError, match=r"answers with frames of 64x64"):
        run_demo(Shrinking(window.seed), tmp_path, Bars(), checkpoint="small")


def test_a_negative_seed_is_refused():
    with pytest.raises(InvalidInputError, match="negative"):
        demo_window(-1)
