"""The report on presets: it tells an error where there is one, and none where there is none."""

import json

import numpy as np
import pytest
import torch

from cosmos_robot.benchmarks import preset_error
from cosmos_robot.benchmarks.float8_emulation import RoundedLinear, emulate_float8, rounded
from cosmos_robot.benchmarks.random_checkpoint import RandomCheckpoint
from cosmos_robot.engine.float8 import float8_layers
from cosmos_robot.engine.preview_decoder import FILE


def test_rounding_to_eight_bits():
    """Three bits of mantissa: at most one part in sixteen of each number; a row's scale is its own."""
    rows = torch.randn(64, 256) * torch.logspace(-3, 3, 64)[:, None]
    error = (rounded(rows) - rows).abs() / rows.abs().clamp_min(1e-3 * rows.abs().amax(1, keepdim=True))
    assert 0.02 < error.max() <= 1 / 16
    exact = torch.tensor([[448.0, 1.0, -0.5, 0.0]])
    assert torch.equal(rounded(exact), exact)


def test_the_same_layers_as_the_preset():
    transformer = RandomCheckpoint(layers=3).transformer()
    names = float8_layers(transformer)
    emulate_float8(transformer)
    assert names == [name for name, module in transformer.named_modules() if isinstance(module, RoundedLinear)]


@pytest.mark.slow
def test_every_preset_is_reported(tmp_path):
    pytest.importorskip("gym_pusht", reason="the extra pusht")
    pytest.importorskip("skimage", reason="the extra bench")
    from cosmos_robot.engine.checkpoint import FACTS_FILE

    folder = RandomCheckpoint(layers=3).save(tmp_path / "checkpoint")
    facts = {"native_canvas": [96, 96], "max_action_chunk_size": 16, "domain_ids": [4]}
    (folder / FACTS_FILE).write_text(json.dumps(facts))
    written = tmp_path / "presets.json"
    preset_error.main(checkpoint=folder, out=written, clips=2, rounds=1, num_steps=4, threads=1, fit_clips=4)
    assert not (folder / FILE).exists()  # what was fitted for the run stays nowhere
    rows = {row["preset"]: row for row in json.loads((tmp_path / "presets.json").read_text())["rows"]}
    assert set(rows) == set(preset_error.LOSSY)
    for name, row in rows.items():
        assert row["psnr"] < 60.0, name  # none is exact
        assert row["emulated"] == (name == "fp8" and not torch.cuda.is_available())
        assert len(row["drift"]) == (0 if name == "preview" else 3)
    assert rows["few-steps"]["num_steps"] == 2
    exact = preset_error.open_preset(folder, "exact")[0]
    frames = [np.zeros((96, 96, 3), np.uint8)]
    from types import SimpleNamespace

    episodes = [SimpleNamespace(frames=frames, actions=np.zeros((48, 2), np.float32))]
    assert preset_error.drift(exact, exact, episodes, 2, 2) == [60.0] * 3  # the control: nothing to tell
