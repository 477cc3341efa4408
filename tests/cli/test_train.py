import importlib.util
import json
import shutil

import numpy as np
import pytest
from lerobot_folder import write_v2
from numbered_video import numbers_of
from zarr_v2 import replay_buffer

pytest.importorskip("gym_pusht", reason="the extra pusht")

from cosmos_robot.domains.registry import get_domain
from cosmos_robot.engine.checkpoint import load_checkpoint
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.training.post_training import PostTraining
from cosmos_robot.training.pusht_recording import HELD_OUT_SEED, RecordingConfig, record
from cosmos_robot.training.recorded_episodes import episodes_in
from cosmos_robot.training.schedule import Budget
from cosmos_robot.training.stop_request import TrainingStopped


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recordings")
    record(folder, RecordingConfig(episodes=2, steps=40, shard_episodes=2))
    return folder


@pytest.fixture
def small_checkpoint(checkpoint_folder, tmp_path):
    folder = shutil.copytree(checkpoint_folder, tmp_path / "start")
    (folder / "cosmos_robot.json").write_text(json.dumps({"native_canvas": [96, 96], "domain_ids": [7]}))
    return folder


def test_episodes_come_in_pieces_with_a_prompt_each(recordings):
    pieces = list(episodes_in(recordings, get_domain("pusht"), 16))
    assert [len(piece.actions) for piece in pieces] == [32, 32]
    assert all(len(piece.frames) == 33 for piece in pieces)
    assert all(piece.prompt for piece in pieces)


def test_held_out_episodes_are_refused(tmp_path):
    record(tmp_path, RecordingConfig(episodes=1, steps=16, first_seed=HELD_OUT_SEED))
    with pytest.raises(InvalidInputError, match="held out"):
        list(episodes_in(tmp_path, get_domain("pusht"), 16))


def arguments(checkpoint, recordings, *more, domain="pusht"):
    return ("train", "--checkpoint", checkpoint, "--data", recordings, "--domain", domain, "--out", "run", *more)


@pytest.mark.parametrize(
    ("domain", "words"),
    [("puhst", "pusht"), ("umi", "have 2 channels")],
)
def test_a_domain_that_does_not_fit_is_a_sentence(cosmos_robot, recordings, small_checkpoint, domain, words):
    result = cosmos_robot(*arguments(small_checkpoint, recordings, domain=domain))
    assert result.exit_code == 2
    assert words in result.stderr


def test_data_that_are_not_there_are_a_sentence(cosmos_robot, small_checkpoint, tmp_path):
    (tmp_path / "nothing").mkdir()
    result = cosmos_robot(*arguments(small_checkpoint, tmp_path / "nothing"))
    assert result.exit_code == 2
    assert "is no dataset that is known here" in result.stderr


@pytest.fixture
def demonstrations(tmp_path):
    """Diffusion-policy's layout at Push-T's own rate: episodes of 40, 9 and 18 time steps."""
    rng, lengths = np.random.default_rng(0), (40, 9, 18)
    buffer = replay_buffer(np.cumsum(lengths))
    pictures = rng.integers(0, 255, (sum(lengths), 32, 32, 3)).astype(np.uint8)
    targets = rng.uniform(0, 512, (sum(lengths), 2)).astype(np.float32)
    buffer.array("data/img", pictures.astype(np.float32)).array("data/action", targets)
    return buffer.folder(tmp_path / "demos.zarr"), pictures, targets


def test_any_dataset_is_trained_on_whole_episodes(demonstrations):
    source, pictures, targets = demonstrations
    first, third = episodes_in(source, get_domain("pusht"), 16)
    assert (first.frames == pictures[:37]).all()  # 39 actions are 36 in whole latent frames
    np.testing.assert_allclose(first.actions, targets[:36])
    np.testing.assert_allclose(third.actions, targets[49:65])
    with pytest.raises(InvalidInputError, match=r"no episode of .* has the 40 actions"):
        list(episodes_in(source, get_domain("pusht"), 40))


def test_cameras_are_those_that_are_named(tmp_path):
    folder = write_v2(tmp_path / "v21")
    episode = next(iter(episodes_in(folder, get_domain("pusht"), 4, ["observation.images.wrist"])))
    assert numbers_of(episode.frames)[:3] == [500, 501, 502]
    other = next(iter(episodes_in(folder, get_domain("pusht"), 4, ["observation.images.top"])))
    assert numbers_of(other.frames)[:3] == [0, 1, 2]


def test_a_domain_with_a_state_row_is_not_trained(demonstrations):
    with pytest.raises(InvalidInputError, match="clean first action row"):
        episodes_in(demonstrations[0], get_domain("droid_lerobot_joint"), 16)


def test_batches_keep_their_proportions():
    shares = {mode.mode: mode.items for mode in PostTraining(budget=Budget(steps=1)).with_batch(3).modes}
    assert shares == {"forward_dynamics": 3, "inverse_dynamics": 1, "policy": 2, "image2video": 1, "text2video": 1}


def test_adapters_without_peft_name_the_extra(cosmos_robot, recordings, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "peft" else find(name, *more))
    result = cosmos_robot(*arguments("start", recordings, "--lora-rank", 4))
    assert result.exit_code == 2
    assert "cosmos-robot[train]" in result.stderr


def test_a_training_that_is_stopped_says_how_to_go_on(cosmos_robot, recordings, monkeypatch):
    def stopped(*_, **__):
        raise TrainingStopped(
            "stopped after step 7 of the transformer, which is saved in run; the same command goes on."
        )

    monkeypatch.setattr("cosmos_robot.training.from_folders.train_from_folders", stopped)
    result = cosmos_robot(*arguments("start", recordings))
    assert result.exit_code == 130
    assert result.stderr.strip().endswith("the same command goes on.")


@pytest.mark.slow
def test_training_goes_on_and_gives_a_checkpoint(cosmos_robot, recordings, small_checkpoint, tmp_path):
    for steps in (1, 2):
        result = cosmos_robot(*arguments(small_checkpoint, recordings, "--steps", steps, "--device", "cpu"))
        assert result.exit_code == 0, result.stderr
    trained = load_checkpoint(tmp_path / "run" / "checkpoint", device="cpu")
    assert trained.facts.domain_ids == (4, 7)
    assert trained.facts.native_canvas == (96, 96)


@pytest.mark.slow
def test_adapters_are_written_alone(cosmos_robot, recordings, small_checkpoint, tmp_path):
    pytest.importorskip("peft", reason="the extra train")
    more = ("--steps", 1, "--lora-rank", 2, "--device", "cpu")
    result = cosmos_robot(*arguments(small_checkpoint, recordings, *more))
    assert result.exit_code == 0, result.stderr
    assert list((tmp_path / "run" / "lora").glob("*.safetensors"))
