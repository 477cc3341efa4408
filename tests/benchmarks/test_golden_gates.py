"""The golden gates: what passes, what does not, and what cannot be held against anything."""

import numpy as np
import pytest

from cosmos_robot.benchmarks.golden_gates import gates_of, mse_gate, psnr_gate
from cosmos_robot.errors import InvalidInputError


def _clip(error):
    truth = np.full((5, 16, 16, 3), 100, np.uint8)
    made = truth + np.uint8(error)
    made[0] = 255  # the conditioning frame is not held against anything
    return made, truth


def test_psnr_of_the_steps_is_held_against_the_bound():
    fourteen = 255 / 10 ** (14 / 20)  # the error of every pixel at 14 dB: 50.88
    near, far = psnr_gate("a", 14.0, *_clip(50)), psnr_gate("a", 14.0, *_clip(51))
    assert near.passed
    assert not far.passed
    assert near.measured == pytest.approx(20 * np.log10(255 / 50))
    assert 50 < fourteen < 51
    made, truth = _clip(10)
    longer = np.concatenate([truth, truth])
    assert psnr_gate("a", 14.0, made, longer).measured == pytest.approx(20 * np.log10(25.5))
    with pytest.raises(InvalidInputError, match="3 frames"):
        psnr_gate("a", 14.0, made, truth[:3])


def test_the_error_of_actions_is_held_against_the_bound():
    truth = np.random.default_rng(0).uniform(-1, 1, (16, 64))
    off = truth[:, :10] + np.sqrt(0.05) * 0.99
    assert mse_gate("a", 0.05, off, truth).passed
    assert mse_gate("a", 0.05, off, truth).measured == pytest.approx(0.05 * 0.99**2)
    assert not mse_gate("a", 0.05, truth[:, :10] + np.sqrt(0.05) * 1.01, truth).passed
    assert mse_gate("a", 0.0, truth[:, :10], truth).passed
    for recorded in (truth[:8], truth[:, :9], truth[0]):
        with pytest.raises(InvalidInputError, match="recorded"):
            mse_gate("a", 0.05, off, recorded)


def test_a_sample_says_its_gates():
    assert gates_of({"golden_psnr_min": 14, "other": "x"}) == {"golden_psnr_min": 14.0}
    assert gates_of({"golden_mse_max": 0.05, "golden_psnr_min": None}) == {"golden_mse_max": 0.05}
    assert gates_of({}) == {}
    for wrong in ("14", True):
        with pytest.raises(InvalidInputError, match="must be a number"):
            gates_of({"golden_psnr_min": wrong})
