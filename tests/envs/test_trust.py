"""Trust by inverse dynamics: doubles whose answer is known."""

import json

import numpy as np
import pytest
from scipy import stats

from cosmos_robot.benchmarks.trust import auroc, trust_figures
from cosmos_robot.domains.registry import get_domain
from cosmos_robot.envs.inverse_dynamics_trust import (
    EMBEDDED,
    InverseDynamicsScore,
    TrustCalibration,
    action_distance,
    calibrate,
    inverse_dynamics_trust,
)
from cosmos_robot.envs.options import EMBEDDED_STEPS, EnvSettings, find_trust
from cosmos_robot.envs.protocols import Judgement
from cosmos_robot.envs.world_model_env import WorldModelEnv
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.interface.world_model import WorldModel
from cosmos_robot.types import Actions, Rollout

DOMAIN = get_domain("pusht")
CHUNK = 4


class Drawing(WorldModel):
    """Writes its actions into its frames; inverse dynamics reads them off. From chunk `astray` on it writes others.

    Args:
        astray: chunks that are right.
        off: table pixels by which the others are wrong.
    """

    def __init__(self, astray=10**9, off=0.0):
        self.astray, self.off, self.chunk, self.batches = astray, off, 0, []

    def generate(self, requests, *, progress=None):
        self.batches.append((requests[0].mode, len(requests)))
        return [getattr(self, f"_{request.mode}")(request) for request in requests]

    def _forward_dynamics(self, request):
        wrong = self.off if self.chunk >= self.astray else 0.0
        self.chunk += 1
        frames = np.repeat(request.frames[:1], CHUNK + 1, axis=0).copy()
        frames[1:, 0, :2, 0] = (request.actions.values + wrong) / 4
        return self._answer(request, frames, request.actions.values)

    def _inverse_dynamics(self, request):
        read = 4.0 * request.frames[1:, 0, :2, 0].astype(np.float32)
        if request.action_space == "model":
            read = (read / 256.0 - 1.0).astype(np.float32)
        return self._answer(request, request.frames, read)

    def _answer(self, request, frames, actions):
        return Rollout(frames, actions, request.action_space, request.domain.name, 10.0, request.seed, request.prompt)


def drawn(rng, off=0.0):
    actions = (4 * rng.integers(10, 100, (CHUNK, 2))).astype(np.float32)
    frames = np.zeros((CHUNK + 1, 32, 32, 3), np.uint8)
    frames[1:, 0, :2, 0] = (actions + off) / 4
    return frames, actions


def test_score_is_the_distance_in_normalised_units():
    rng, score = np.random.default_rng(0), InverseDynamicsScore()
    clips = [drawn(rng), drawn(rng, 8.0), drawn(rng, 64.0)]
    scores = score.of_clips(Drawing(), clips, DOMAIN)
    np.testing.assert_allclose(scores, [0.0, 8 / 256, 64 / 256], atol=1e-6)  # the table's 512 px are 2 units
    read, asked = (Actions(clip[1], "robot", "pusht") for clip in clips[:2])
    expected = np.sqrt(np.mean((read.values / 256 - asked.values / 256) ** 2))
    assert action_distance(DOMAIN, read, asked.values) == pytest.approx(float(expected), rel=1e-5)
    assert action_distance(DOMAIN, DOMAIN.encode(read, action_dim=8), asked) == pytest.approx(float(expected), rel=1e-5)


def test_actions_that_no_robot_could_do_are_scored_without_a_warning():
    frames, actions = drawn(np.random.default_rng(0))
    frames[1:, 0, :2, 0] = 255  # reads as 1020 px, far off the table
    assert InverseDynamicsScore().of_clips(Drawing(), [(frames, actions)], DOMAIN)[0] > 1.0


@pytest.mark.parametrize("step", ["chunk", "action"])
def test_a_step_ends_where_the_actions_are_not_seen(step):
    model = Drawing(astray=2, off=40.0)
    env = WorldModelEnv(
        world_model=model,
        domain="pusht",
        starts=np.zeros((32, 32, 3), np.uint8),
        action_chunk_size=CHUNK,
        step=step,
        trust={"name": "inverse_dynamics", "threshold": 0.1},
    )
    env.reset(seed=0)
    scores = []
    for _ in range(3):
        _, _, terminated, truncated, info = env.step(np.full(env.action_space.shape, 200, np.float32))
        scores.append(info["trust_score"])
        assert not terminated
        assert truncated == (len(scores) == 3)
    assert info["truncation_reason"] == "trust"
    np.testing.assert_allclose(scores, [0.0, 0.0, 40 / 256], atol=1e-6)


@pytest.mark.parametrize("trusted", [True, False])
def test_a_success_that_is_not_to_be_trusted_is_none(trusted):
    env = WorldModelEnv(
        world_model=Drawing(astray=0, off=0.0 if trusted else 40.0),
        domain="pusht",
        starts=np.zeros((32, 32, 3), np.uint8),
        action_chunk_size=CHUNK,
        reward=lambda frames: Judgement(1.0, success=True),
        trust={"name": "inverse_dynamics", "threshold": 0.1},
    )
    env.reset(seed=0)
    _, reward, terminated, truncated, info = env.step(np.full(env.action_space.shape, 200, np.float32))
    assert reward == 1.0
    assert (terminated, truncated, info["is_success"]) == (trusted, not trusted, trusted)
    assert info.get("truncation_reason") == (None if trusted else "trust")


@pytest.mark.parametrize(
    ("given", "steps"),
    [({}, EMBEDDED_STEPS), ({"num_steps": 2}, 2), ({"world_model": "elsewhere"}, None)],
)
def test_denoising_steps_of_the_embedded_model(given, steps):
    settings = EnvSettings.of({"domain": "pusht", "starts": np.zeros((32, 32, 3), np.uint8), **given})
    assert settings.sampling.num_steps == steps


def test_the_embedded_models_own_calibration():
    assert find_trust({"name": "inverse_dynamics", "calibration": "embedded"}).threshold == EMBEDDED.threshold


def test_threshold_is_the_quantile_of_real_scores(tmp_path):
    rng = np.random.default_rng(1)
    offsets = np.arange(100) * 4.0
    clips = [drawn(rng, 0.0) for _ in offsets]
    for (frames, actions), off in zip(clips, offsets, strict=True):
        frames[1:, 0, :2, 0] = np.clip((actions + off) / 4, 0, 255)
    clips = [clip for clip in clips if clip[0].max() < 255]
    scores = InverseDynamicsScore().of_clips(Drawing(), clips, DOMAIN)
    model = Drawing()
    found = calibrate(model, clips, DOMAIN, quantile=0.9, batch=8)
    assert found.threshold == pytest.approx(np.quantile(scores, 0.9))
    assert found.clips == len(clips)
    assert {mode for mode, _ in model.batches} == {"inverse_dynamics"}
    assert max(count for _, count in model.batches) == 8
    found.write(tmp_path / "trust.json")
    assert TrustCalibration.read(tmp_path / "trust.json") == found
    specification = json.loads(json.dumps({"name": "inverse_dynamics", "calibration": str(tmp_path / "trust.json")}))
    assert find_trust(specification).threshold == found.threshold


def test_what_cannot_be_calibrated(tmp_path):
    clips = [drawn(np.random.default_rng(0)) for _ in range(5)]
    with pytest.raises(InvalidInputError, match=r"0\.99 quantile needs at least 100 real clips; got 5"):
        calibrate(Drawing(), clips, DOMAIN)
    with pytest.raises(InvalidInputError, match="between 0 and 1"):
        calibrate(Drawing(), clips, DOMAIN, quantile=1.0)
    with pytest.raises(InvalidInputError, match="a threshold or a calibration"):
        inverse_dynamics_trust()
    (tmp_path / "other.json").write_text("[]")
    with pytest.raises(InvalidInputError, match="no calibration of trust"):
        inverse_dynamics_trust(calibration=tmp_path / "other.json")


def test_auroc_is_mann_whitneys_statistic():
    rng = np.random.default_rng(3)
    scores, bad = rng.integers(0, 6, 80), rng.random(80) < 0.3
    expected = stats.mannwhitneyu(scores[bad], scores[~bad]).statistic / (bad.sum() * (~bad).sum())
    assert auroc(scores=scores, bad=bad) == pytest.approx(expected)
    assert auroc(scores=[1, 2, 3, 4], bad=[False, False, True, True]) == 1.0
    assert auroc(scores=[4, 3, 2, 1], bad=[False, False, True, True]) == 0.0
    assert np.isnan(auroc(scores=[1, 2], bad=[True, True]))


def test_figures_of_scores_that_know_and_of_scores_that_do_not():
    rng = np.random.default_rng(4)
    rows = [
        {"episode": e, "chunk": c, "pixel_error": error, "score": error * 2}
        for e in range(12)
        for c, error in enumerate(np.sort(rng.random(8)))
    ]
    for found in trust_figures(rows, resamples=50):
        assert found.auroc.value == found.auroc.low == 1.0
        assert (found.chunks, found.episodes) == (96, 12)
    blind = [{**row, "score": float(rng.random())} for row in rows]
    half = trust_figures(blind, resamples=200)[0]
    assert half.auroc.low < half.auroc.value < half.auroc.high
    assert abs(half.auroc.value - 0.5) < 0.15
