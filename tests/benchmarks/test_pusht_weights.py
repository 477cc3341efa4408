import json

import pytest

pytest.importorskip("gym_pusht", reason="the extra pusht")

from cosmos_robot.benchmarks.embedded import EmbeddedReport
from cosmos_robot.benchmarks.pusher_position import PositionError
from cosmos_robot.benchmarks.pusht_forward import ForwardScores, InverseScores
from cosmos_robot.benchmarks.pusht_weights import folder_size, install, model_card
from cosmos_robot.engine.checkpoint import ModeSampling
from cosmos_robot.errors import CheckpointError
from cosmos_robot.training.pusht_settings import PushTFolders, PushTTraining


def report():
    position = PositionError(1.0, 1.5, 3.0, 1.0, 1024)
    forward = ForwardScores(31.0, 26.0, 24.0, [31.0], [26.0], [24.0], position, [1.0], position, [1.0], position)
    sampling = {"forward_dynamics": ModeSampling(num_steps=1, guidance=1.0)}
    return EmbeddedReport(
        checkpoint="made",
        windows=64,
        weights=None,
        num_steps=None,
        sampling=sampling,
        detector=position,
        block_detector=position,
        autoencoder_psnr=33.5,
        forward=forward,
        inverse=InverseScores([0.96, 0.94], [0.9, 0.9], 9.0),
        rollout=None,
        policies=None,
        seconds=12.0,
    )


def test_the_card_says_what_was_reached_and_what_was_not(tmp_path):
    folders = PushTFolders(tmp_path)
    folders.transformer.mkdir(parents=True)
    (folders.transformer / "metrics.jsonl").write_text(json.dumps({"step": 700, "elapsed": 600.0}) + "\n")
    card = model_card(report(), PushTTraining(), folders, 31_000_000)
    assert "31.0 MB" in card
    assert "700 steps in 10 minutes" in card
    assert "| forward dynamics, mean over 16 actions | >= 30 dB | 31.00 dB | yes |" in card
    assert "| inverse dynamics, R2 | >= 0.95 | 0.960, 0.940 | no |" in card
    assert str(tmp_path) not in card


def test_a_checkpoint_takes_the_place_of_the_old_one(tmp_path):
    made, place = tmp_path / "made", tmp_path / "embedded"
    for folder, name in ((made, "new"), (place, "old")):
        folder.mkdir()
        (folder / name).write_text(name)
    install(made, place)
    assert [path.name for path in place.iterdir()] == ["new"]
    assert folder_size(place) == 3


def test_a_checkpoint_that_is_too_large_is_refused(tmp_path):
    made, place = tmp_path / "made", tmp_path / "embedded"
    made.mkdir()
    with (made / "weights").open("wb") as file:
        file.truncate(41_000_000)
    with pytest.raises(CheckpointError, match=r"41\.0 MB"):
        install(made, place)
    assert not place.exists()
