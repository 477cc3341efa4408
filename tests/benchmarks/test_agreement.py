"""Agreement between worlds: known answers, a perfect world model, and the controls."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from typer.testing import CliRunner

from cosmos_robot.benchmarks.agreement_statistics import mmrv, pearson, spearman, with_interval
from cosmos_robot.benchmarks.row_file import RowFile
from cosmos_robot.benchmarks.weights_digest import weights_digest
from cosmos_robot.errors import InvalidInputError

pytest.importorskip("gym_pusht")

from perfect_pusht import PerfectPushT

from cosmos_robot.benchmarks.agreement import (
    CONFIGS,
    LEARNED,
    REAL,
    AgreementConfig,
    agreements,
    coverages,
    least_gap,
    run_agreement,
)
from cosmos_robot.benchmarks.agreement_report import summary, write_report
from cosmos_robot.benchmarks.pusht_expert import Grade
from cosmos_robot.cli.app import app
from cosmos_robot.interface.world_model import WorldModel

COMMITTED = AgreementConfig.read(CONFIGS["pusht"])


@pytest.fixture(autouse=True)
def _no_display(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")


def test_mmrv_by_hand():
    real = [0.1, 0.5, 0.9]
    assert mmrv(real=real, simulated=[1, 2, 3]) == 0.0
    # 0.5 and 0.9 change places: each is violated by their difference of 0.4, the first by nothing.
    assert mmrv(real=real, simulated=[1, 3, 2]) == pytest.approx((0.0 + 0.4 + 0.4) / 3)
    assert mmrv(real=real, simulated=[3, 2, 1]) == pytest.approx((0.8 + 0.4 + 0.8) / 3)
    # Ties in the simulation violate in one direction: where real i is below j and the simulation does not say so.
    assert mmrv(real=real, simulated=[1, 1, 1]) == pytest.approx((0.8 + 0.4 + 0.0) / 3)
    assert mmrv(real=[0.2, 0.2], simulated=[1, 2]) == 0.0  # differences of nothing weigh nothing
    assert mmrv(real=[0, 1, 2], simulated=[0, 20, 10]) != mmrv(real=[0, 20, 10], simulated=[0, 1, 2])


def test_correlations_are_scipys():
    rng = np.random.default_rng(0)
    real, simulated = rng.random(9), rng.random(9)
    assert pearson(real=real, simulated=simulated) == pytest.approx(stats.pearsonr(real, simulated)[0])
    assert spearman(real=real, simulated=simulated) == pytest.approx(stats.spearmanr(real, simulated)[0])
    assert spearman(real=real, simulated=np.exp(real * 9)) == pytest.approx(1.0)
    assert np.isnan(pearson(real=real, simulated=np.ones(9)))
    with pytest.raises(TypeError):
        mmrv(real, simulated)
    with pytest.raises(InvalidInputError, match="same two or more policies"):
        pearson(real=real, simulated=simulated[:4])


def test_intervals_hold_what_they_should():
    """The share of 95 % intervals that hold the true correlation, over many drawn data sets."""
    rng = np.random.default_rng(1)
    truth, held = np.linspace(0, 1, 8), 0
    noise = 0.6
    for _ in range(60):
        real, simulated = (truth[:, None] + rng.normal(0, noise, (8, 30)) for _ in range(2))
        found = with_interval(mmrv, real=real, simulated=simulated, resamples=60)
        assert found.low <= found.high
        across = with_interval(pearson, real=real, simulated=simulated, resamples=60)
        expected = np.var(truth) / (np.var(truth) + noise**2 / 30)
        held += across.low <= expected <= across.high
    assert held >= 48


def test_what_is_run_is_fixed():
    assert len(COMMITTED.policies) >= 8
    assert COMMITTED.starts >= 50
    assert COMMITTED.policy("aimless-20", 1_000_105) is not COMMITTED.policy("aimless-20", 1_000_105)
    with pytest.raises(InvalidInputError, match="trained on"):
        replace(COMMITTED, first_start=12)
    with pytest.raises(InvalidInputError, match="probability"):
        Grade(aimless=2.0)


def test_policies_of_ones_own_are_cut_to_whole_chunks(small):
    class Still:
        def act(self, observation):
            return np.full((40, 2), 256.0)

    own = replace(small, policies={"still": lambda start: Still(), "expert": Grade()})
    assert own.runner("still", 5).act({}).shape == (16, 2)


def test_a_file_that_is_none(tmp_path):
    (tmp_path / "a.toml").write_text('env = "pusht"\n[policies]\nexpert = { speed = 3 }\n')
    with pytest.raises(InvalidInputError, match=r"does not describe an agreement run.*speed"):
        AgreementConfig.read(tmp_path / "a.toml")


@pytest.fixture(scope="module")
def small():
    """Four policies that differ soon, from two starts where the T is near its goal."""
    names = ("expert", "gives-up-2", "gives-up-1", "aimless-100")
    return replace(
        COMMITTED,
        policies={name: COMMITTED.policies[name] for name in names},
        chunks=4,
        first_start=1_000_105,
        starts=2,
        resamples=20,
    )


@pytest.fixture(scope="module")
def played(small, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SDL_VIDEODRIVER", "dummy")
        folder = tmp_path_factory.mktemp("agreement")
        model = PerfectPushT(*small.start_numbers)
        rows = RowFile(folder, {"a": 1})
        run_agreement(model, small, rows, batch=2)
    return folder


@pytest.mark.slow
def test_a_perfect_model_agrees_and_the_controls_do_not(played, small):
    rows = RowFile(played, {"a": 1}).read()
    by_world = {found.world: found for found in agreements(rows, small)}
    assert list(by_world) == [LEARNED, "copy-first-frame", "shuffled-actions"]
    perfect = by_world[LEARNED]
    assert perfect.pearson.value > 0.999
    assert perfect.spearman.value == pytest.approx(1.0)
    assert perfect.mmrv.value == 0.0
    assert perfect.mean_error < 0.02
    assert np.isnan(by_world["copy-first-frame"].pearson.value)
    assert by_world["copy-first-frame"].mmrv.value > 0.1
    assert by_world["shuffled-actions"].mean_error > 5 * perfect.mean_error
    real = coverages(rows, small, REAL)
    np.testing.assert_allclose(coverages(rows, small, LEARNED), real, atol=0.05)
    assert least_gap(real) > 0.0


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on(played, small, tmp_path):
    shutil.copytree(played, tmp_path / "cut")
    file = tmp_path / "cut" / "rows.jsonl"
    whole = file.read_text()
    lines = whole.splitlines(keepends=True)
    file.write_text("".join(lines[:3]) + lines[3][:20])  # a row that was torn while it was written

    class Unused(WorldModel):
        def generate(self, requests, *, progress=None):
            raise AssertionError("nothing of the learned world is missing")

    kept = [line for line in lines if json.loads(line)["world"] != REAL]
    file.write_text(file.read_text()[: file.read_text().rfind("\n") + 1] + "".join(kept) + lines[3][:20])
    again = run_agreement(Unused(), small, RowFile(tmp_path / "cut", {"a": 1}), batch=2)
    assert sorted(map(json.dumps, again)) == sorted(map(json.dumps, (json.loads(line) for line in lines)))
    with pytest.raises(InvalidInputError, match="other settings"):
        RowFile(tmp_path / "cut", {"a": 2})


@pytest.mark.slow
def test_the_report(played, small):
    rows = RowFile(played, {"a": 1}).read()
    write_report(rows, small, played)
    figures = json.loads((played / "summary.json").read_text())
    assert figures == json.loads(json.dumps(summary(rows, small)))
    assert figures["agreement"][1]["pearson"]["value"] is None
    assert (played / "scatter.png").stat().st_size > 10_000
    with pytest.raises(InvalidInputError, match=r"episode\(s\) have not been played in learned"):
        agreements([row for row in rows if (row["world"], row["policy"]) != (LEARNED, "expert")], small)


def test_the_command_says_what_it_cannot_do():
    answer = CliRunner().invoke(app, ["bench", "agreement", "--env", "libero"])
    assert answer.exit_code == 2
    assert "no benchmark for the environment 'libero'" in answer.output


def test_other_weights_at_the_same_place_are_told_apart(tmp_path):
    def write(value):
        (tmp_path / "transformer").mkdir(exist_ok=True)
        (tmp_path / "transformer" / "model.safetensors").write_bytes(b"header" + bytes(3 << 20) + value)
        return weights_digest(str(tmp_path))

    assert write(b"one") == write(b"one") != write(b"two")
    assert weights_digest("nvidia/Cosmos3-Nano") is None
