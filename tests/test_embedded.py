"""The checkpoint that comes with the library: its size, that it loads everywhere, and that it listens to actions."""

import json
import os

import numpy as np
import pytest

from cosmos_robot.world_model import EMBEDDED, load_world_model

pytestmark = pytest.mark.skipif(not EMBEDDED.is_dir(), reason="this build carries no embedded checkpoint")


@pytest.fixture(scope="module")
def world_model():
    return load_world_model(device="cpu")


@pytest.fixture(scope="module")
def windows():
    """A window of each of twelve held-out episodes."""
    pytest.importorskip("gym_pusht", reason="the extra pusht")
    from cosmos_robot.benchmarks.pusht_windows import held_out_windows
    from cosmos_robot.training.pusht_recording import HELD_OUT_SEED, open_simulator, record_episode

    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    simulator = open_simulator()
    episodes = [record_episode(simulator, HELD_OUT_SEED + 500 + i, 40) for i in range(12)]
    simulator.close()
    return held_out_windows(episodes, 16)


def test_it_is_small_and_described():
    sizes = [path.stat().st_size for path in EMBEDDED.rglob("*") if path.is_file()]
    assert sum(sizes) <= 40_000_000
    assert max(sizes) < 16_000_000
    facts = json.loads((EMBEDDED / "cosmos_robot.json").read_text())
    assert facts["native_canvas"] == [96, 96]
    assert facts["domain_ids"] == [4]
    assert "Held out" in (EMBEDDED / "README.md").read_text()


def test_it_loads_without_a_name(world_model):
    frame = np.full((96, 96, 3), 255, np.uint8)
    rollout = world_model.forward_dynamics(frame, np.full((16, 2), 256.0, np.float32), domain="pusht", num_steps=1)
    assert rollout.frames.shape == (17, 96, 96, 3)
    assert not rollout.notes


def test_the_pusher_goes_where_the_actions_say(world_model, windows):
    """And elsewhere with another episode's actions."""
    from cosmos_robot.benchmarks.pusht_forward import forward_scores

    scores = forward_scores(world_model, windows)
    assert scores.position.median < 6.0
    assert scores.psnr > scores.psnr_shuffled + 1.0


def test_it_reads_the_actions_off_real_frames(world_model, windows):
    from cosmos_robot.benchmarks.pusht_forward import inverse_scores

    assert min(inverse_scores(world_model, windows).r2) > 0.85


@pytest.fixture(scope="module")
def pushes():
    """For each direction the first frame of a held-out window in which the T is really pushed that way."""
    pytest.importorskip("gym_pusht", reason="the extra pusht")
    from cosmos_robot.training.pusht_prompts import DIRECTIONS, direction_name
    from cosmos_robot.training.pusht_recording import HELD_OUT_SEED, open_simulator, record_episode
    from cosmos_robot.training.pusht_scripts import block_centre

    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    simulator, found, seed = open_simulator(), {}, HELD_OUT_SEED + 500
    while len(found) < len(DIRECTIONS):
        episode = record_episode(simulator, seed, 100)
        centres, seed = block_centre(episode.block), seed + 1
        for start in range(0, len(centres) - 16, 4):
            way = centres[start + 16] - centres[start]
            if np.linalg.norm(way) >= 30:
                found.setdefault(direction_name(way), episode.frames[start])
    simulator.close()
    return found


@pytest.mark.slow
def test_the_block_goes_where_the_prompt_says(world_model, pushes):
    """And not without a prompt."""
    from cosmos_robot.benchmarks.pusht_direction import Movement
    from cosmos_robot.training.pusht_prompts import push_caption

    def right(prompts):
        made = world_model.image2video(list(pushes.values()), prompts, num_frames=17, seed=0)
        return sum(Movement.of(clip.frames).block_goes(name) for clip, name in zip(made, pushes, strict=True))

    told = right([push_caption(direction) for direction in pushes])
    assert told >= 6
    assert right("") < told


@pytest.mark.parametrize("mode", ["forward_dynamics", "policy"])
def test_diffusers_loads_it_and_gives_the_same(mode):
    import torch
    from action_case import model_input, recording, reference
    from diffusers import Cosmos3OmniPipeline

    from cosmos_robot.engine.engine import Engine

    pipeline = Cosmos3OmniPipeline.from_pretrained(
        EMBEDDED, dtype=torch.float32, enable_safety_checker=False, safety_checker=None, local_files_only=True
    )
    frames, actions = recording((96, 96))
    prediction = Engine.from_pipeline(pipeline).generate([model_input(mode, frames, actions)], as_float=True)[0]
    expected = reference(pipeline, mode, frames, actions)
    assert np.abs(prediction.frames - expected.video).max() <= 1e-3
    if mode == "policy":
        assert np.abs(prediction.actions - expected.action[0].numpy()).max() <= 1e-4
