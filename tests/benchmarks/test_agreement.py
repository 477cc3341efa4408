"""Agreement between worlds: known answers, a perfect world model, and the controls."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from typer.testing import CliRunner

from cosmos_robot.benchmarks.agreement_statistics import mmrv, pearson, spearman
from cosmos_robot.benchmarks.bootstrap_interval import statistic_of
from cosmos_robot.benchmarks.weights_digest import weights_digest
from cosmos_robot.errors import InvalidInputError

pytest.importorskip("gym_pusht")

from bench_models import Copying, Random
from perfect_pusht import PerfectPushT

from cosmos_robot.benchmarks.agreement_config import COMMITTED as COMMITTED_FILE
from cosmos_robot.benchmarks.agreement_config import AgreementConfig
from cosmos_robot.benchmarks.agreement_report import agreement_table, least_gap, policies_table
from cosmos_robot.benchmarks.agreement_suite import COVERAGE, ERROR, REAL, AgreementSuite, policy_means
from cosmos_robot.benchmarks.pusht_expert import Grade
from cosmos_robot.benchmarks.report import write_report
from cosmos_robot.benchmarks.report_figures import compare, read_figures
from cosmos_robot.benchmarks.run_config import RunConfig
from cosmos_robot.benchmarks.run_execution import execute
from cosmos_robot.cli.app import app
from cosmos_robot.domains.registry import get_domain
from cosmos_robot.interface.world_model import WorldModel

COMMITTED = AgreementConfig.read(COMMITTED_FILE)


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


@pytest.mark.slow
def test_intervals_hold_what_they_should():
    """The share of 95 % intervals that hold the true correlation, over many drawn data sets."""
    rng = np.random.default_rng(1)
    truth, held = np.linspace(0, 1, 8), 0
    noise, suite = 0.6, AgreementSuite()
    for _ in range(30):
        real, simulated = (truth[:, None] + rng.normal(0, noise, (8, 30)) for _ in range(2))
        rows = [_row(f"p{p}", s, real[p, s], simulated[p, s]) for p in range(8) for s in range(30)]
        found = {each.metric: each for each in suite.pooled(rows, get_domain("pusht"))}
        across = found["Pearson r of the policies"]
        estimate = statistic_of(across.values, {key: key[0] for key in across.values}, across.measure)
        assert (estimate.n, estimate.episodes) == (240, 30)
        assert estimate.value == pytest.approx(pearson(real=real.mean(axis=1), simulated=simulated.mean(axis=1)))
        expected = np.var(truth) / (np.var(truth) + noise**2 / 30)
        held += estimate.low <= expected <= estimate.high
    assert held >= 24


def _row(policy, start, real, simulated):
    figures = {COVERAGE: {REAL: real, "model": simulated}, ERROR: {"model": abs(real - simulated)}}
    return {"episode": start, "start": 0, "seed": 0, "case": policy, "figures": figures}


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
    policies = {name: COMMITTED.policies[name] for name in names}
    return replace(COMMITTED, policies=policies, chunks=4, first_start=1_000_105, starts=2)


def _config(small):
    return RunConfig(suite="agreement", domain="pusht", batch=2, own=small)


@pytest.fixture(scope="module")
def played(small, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SDL_VIDEODRIVER", "dummy")
        folder = tmp_path_factory.mktemp("agreement") / "run"
        execute(_config(small), folder, load=lambda *_: PerfectPushT(*small.start_numbers), digest="perfect")
    return folder


@pytest.mark.slow
def test_a_perfect_model_agrees_and_the_controls_do_not(played):
    run = read_figures(played)
    value = {key: estimate.value for key, (_, estimate) in run.pooled.items()}
    assert list(dict.fromkeys(variant for _, variant in value)) == ["model", "copy-first-frame", "shuffled-actions"]
    assert value["Pearson r of the policies", "model"] > 0.999
    assert value["Spearman of the policies", "model"] == pytest.approx(1.0)
    assert value["MMRV of the policies", "model"] == 0.0
    perfect = value["mean error of the policies", "model"]
    assert perfect < 0.02
    assert value["Pearson r of the policies", "copy-first-frame"] is None
    assert value["MMRV of the policies", "copy-first-frame"] > 0.1
    assert value["mean error of the policies", "shuffled-actions"] > 5 * perfect
    assert all(row["figures"][ERROR]["model"] < 0.05 for row in run.rows)
    assert least_gap(run.rows) > 0.0


@pytest.mark.slow
def test_the_report_ranks_a_perfect_a_copying_and_a_random_model(played, small, tmp_path):
    """Where nothing moves the T stays where it starts, and in noise there is no T at all."""
    alone = replace(_config(small), controls=False)
    for name, model in {"copying": Copying(), "random": Random()}.items():
        execute(alone, tmp_path / name, load=lambda *_, model=model: model, digest=name)
    folders = [played, tmp_path / "copying", tmp_path / "random"]
    runs = [read_figures(folder) for folder in folders]
    lines = {(line.metric, line.variant): [e and e.value for e in line.estimates] for line in compare(runs)}
    good, still, noise = lines[ERROR, "model"]
    assert good < still < noise
    assert noise == pytest.approx(lines[COVERAGE, REAL][0])
    assert still == lines[ERROR, "copy-first-frame"][0]
    for run in runs[1:]:  # whoever plays, a start ends in the same way
        assert len({(row["episode"], row["figures"][COVERAGE]["model"]) for row in run.rows}) == small.starts
    assert lines[COVERAGE, REAL][0] == lines[COVERAGE, REAL][1] == lines[COVERAGE, REAL][2]
    good, still, noise = lines["mean error of the policies", "model"]
    assert good < still < noise
    # Nothing tells policies apart in a world where they all end alike.
    assert lines["Pearson r of the policies", "model"][1:] == [None, None]
    assert lines["Spearman of the policies", "model"][1:] == [None, None]
    assert lines["MMRV of the policies", "model"][0] == 0.0 < min(lines["MMRV of the policies", "model"][1:])
    _, markdown, _ = write_report(folders, tmp_path / "page.html")
    (told,) = [line for line in markdown.read_text().splitlines() if line.startswith("| coverage error ↓ | model |")]
    better, worse = (float(cell.split(" (")[0]) for cell in told.split("|")[6:8])
    assert 0 < better < worse  # the differences from the perfect one


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on(played, small, tmp_path):
    shutil.copytree(played, tmp_path / "cut")
    file = tmp_path / "cut" / "rows.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    assert len(lines) == len(small.policies) * small.starts
    file.write_text("".join(lines) + lines[3][:20])  # a row that was torn while it was written

    class Unused(WorldModel):
        def generate(self, requests, *, progress=None):
            raise AssertionError("nothing is missing")

    again = execute(_config(small), tmp_path / "cut", load=lambda *_: Unused(), digest="perfect")
    assert again == [json.loads(line) for line in lines]
    with pytest.raises(InvalidInputError, match="chunks"):
        execute(_config(replace(small, chunks=3)), tmp_path / "cut", load=lambda *_: Unused(), digest="perfect")


@pytest.mark.slow
def test_the_tables_and_the_page(played, tmp_path):
    run = read_figures(played)
    table = policies_table(run.rows)
    assert table.row_count == 4
    assert "over 2 starts" in table.title
    assert agreement_table(run).row_count == 3
    page, markdown, _ = write_report([played], tmp_path / "page.html")
    assert page.read_text().count("<svg") == 3
    assert "| Pearson r of the policies ↑ | copy-first-frame |  |" in markdown.read_text()


def test_every_policy_from_every_start(small):
    rows = AgreementSuite().plan(_config(small))
    assert [(row.case, row.episode) for row in rows] == [
        (name, start) for name in small.policies for start in small.start_numbers
    ]
    assert len({row.seed for row in rows}) == small.starts  # a start has the same noise for all policies
    with pytest.raises(InvalidInputError, match="starts, not rows"):
        AgreementSuite().plan(replace(_config(small), rows=3))
    with pytest.raises(InvalidInputError, match="of domain pusht"):
        AgreementSuite().plan(replace(_config(small), domain="umi"))


def test_the_command_says_what_it_cannot_do():
    answer = CliRunner().invoke(app, ["bench", "agreement", "--env", "libero"])
    assert answer.exit_code == 2
    assert "no agreement run for the environment 'libero'" in answer.output


def test_other_weights_at_the_same_place_are_told_apart(tmp_path):
    def write(value):
        (tmp_path / "transformer").mkdir(exist_ok=True)
        (tmp_path / "transformer" / "model.safetensors").write_bytes(bytes(2 << 20) + value + bytes(2 << 20))
        return weights_digest(str(tmp_path))

    assert write(b"one") == write(b"one") != write(b"two")
    assert weights_digest("nvidia/Cosmos3-Nano") is None


def test_the_published_figures_are_those_of_the_published_rows():
    results = COMMITTED_FILE.parent / "results"
    rows = [json.loads(line) for line in (results / "agreement_rows.jsonl").read_text().splitlines()]
    told = {
        (figure["metric"], figure["variant"]): figure["estimates"][0]["value"]
        for figure in json.loads((results / "agreement.json").read_text())["figures"]
    }
    assert {(row["case"], row["episode"]) for row in rows} == {
        (name, start) for name in COMMITTED.policies for start in COMMITTED.start_numbers
    }
    assert len(rows) == len(COMMITTED.policies) * COMMITTED.starts
    assert least_gap(rows) > 0.05
    for world in ("model", "shuffled-actions"):
        ends = [(row["case"], row["figures"][COVERAGE][REAL], row["figures"][COVERAGE][world]) for row in rows]
        _, real, simulated = policy_means(ends)
        for metric, measure in (("Pearson r", pearson), ("Spearman", spearman), ("MMRV", mmrv)):
            figure = told[f"{metric} of the policies", world]
            assert measure(real=real, simulated=simulated) == pytest.approx(figure, abs=1e-6), metric
