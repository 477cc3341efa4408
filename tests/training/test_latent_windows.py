"""What the windows of a training tell beside their latents: goals, captions, and how much each channel shows."""

import numpy as np
import pytest
import torch

from cosmos_robot.domains.registry import get_domain
from cosmos_robot.training.flow_matching import FlowMatching
from cosmos_robot.training.latent_sensitivity import channel_weights
from cosmos_robot.training.prompt_mix import ModeShare, TextEncoder, draw_prompts, draw_windows
from cosmos_robot.training.pusht_prompts import DIRECTIONS, captions, push_caption, push_prompt
from cosmos_robot.training.pusht_recording import PushTRecording
from cosmos_robot.training.pusht_windows import WindowConfig, encode_windows
from cosmos_robot.training.windows import LatentWindows


def late_push():
    """Sixty steps in which the T is pushed to the right from step 24 on."""
    block = np.tile(np.array([200.0, 200.0, 0.0], np.float32), (61, 1))
    block[24:, 0] += np.arange(37) * 4
    agent = np.tile(np.array([80.0, 240.0], np.float32), (61, 1))
    agent[:, 0] += np.arange(61)
    frames = np.zeros((61, 96, 96, 3), np.uint8)
    return PushTRecording(seed=1, frames=frames, actions=agent[1:], agent=agent, block=block)


def test_a_goal_speaks_of_what_comes_after_the_window_and_a_prompt_does_not():
    config = WindowConfig(per_episode=45, look_ahead=32, quiet_share=1.0)
    made = encode_windows(lambda pixels: torch.zeros(len(pixels), 2, 5, 6, 6), [late_push()], config)
    ends = np.arange(45) + 16  # every start is taken, in order
    plain = [made.prompts[i] for i in made.prompt_ids]
    sought = [made.prompts[i] for i in made.goal_ids]
    about_t = [prompt.split()[0] in ("push", "shove") for prompt in plain]
    assert not any(about_t[i] for i in np.flatnonzero(ends <= 28))
    early = [sought[i].split()[0] in ("push", "shove") for i in np.flatnonzero(ends <= 28)]
    assert 0 < np.mean(early) < 1  # where the look ahead is short, nothing has happened by its end


def test_goals_are_kept_with_the_windows_and_numbered_anew(tmp_path):
    parts = [
        LatentWindows(
            np.zeros((2, 4, 5, 6, 6), np.float16), np.zeros((2, 16, 2), np.float32), np.zeros(2, np.int64), names,
            goal_ids=np.array([0, 1]),
        )
        for names in (("a", "b"), ("b", "c"))
    ]  # fmt: skip
    for number, part in enumerate(parts):
        part.save(tmp_path / f"windows_{number}.npz")
    joined = LatentWindows.load_folder(tmp_path)
    assert [joined.prompts[i] for i in joined.goal_ids] == ["a", "b", "b", "c"]


def test_a_policy_is_told_goals_and_prompts_are_such_as_both_know():
    shown = [np.array([0, 1, 2]), np.array([3]), np.array([], dtype=np.intp)]
    sought = [np.array([3]), np.array([0]), np.array([1, 2])]
    rng = np.random.default_rng(0)
    drawn = {int(i) for _ in range(50) for i in draw_prompts(shown, sought, 1, rng)}
    assert drawn == {0, 1}
    rows, told = draw_windows(ModeShare("policy", 4, told=1.0), np.array([0]), sought, rng)
    assert rows.tolist() == [3, 3, 3, 3]
    assert told == [0, 0, 0, 0]


def test_videos_are_asked_for_by_captions_and_policies_by_instructions():
    text = TextEncoder(None, get_domain("pusht"), (96, 96), 16, captions())
    for name in DIRECTIONS:
        assert text.text("image2video", push_prompt(name)).startswith(push_caption(name) + ". ")
        assert push_prompt(name) in text.text("policy", push_prompt(name))
    assert text.text("text2video", "shove the block to the left").startswith(push_caption("left"))
    assert text.text("text2image", push_prompt("left")).endswith("left. This image is of 96x96 resolution.")


def test_a_channel_weighs_what_it_shows():
    """An autoencoder whose first latent channel paints everything and whose second paints nothing."""
    from types import SimpleNamespace

    def encode(pixels):
        latents = pixels[:, :2, :1, ::16, ::16]
        return SimpleNamespace(latent_dist=SimpleNamespace(mean=latents))

    def decode(latents):
        shown = 1.0 * latents[:, :1] + 0.5 * latents[:, 1:2]
        return SimpleNamespace(sample=shown.repeat(1, 3, 1, 16, 16))

    config = SimpleNamespace(latents_mean=[0.0, 0.0], latents_std=[1.0, 1.0])
    vae = SimpleNamespace(config=config, encode=encode, decode=decode)
    weights = channel_weights(vae, torch.zeros(64, 3, 1, 96, 96))
    assert weights == pytest.approx((1.6, 0.4), abs=0.1)  # squares 1 and 1/4, of mean 1


def test_channel_weights_multiply_the_weights_of_the_cells():
    latents = torch.randn(2, 3, 5, 4, 4)
    plain = FlowMatching().cell_weights(latents)
    weighted = FlowMatching(channel_weights=(2.0, 0.5, 0.5)).cell_weights(latents)
    torch.testing.assert_close(weighted, plain * torch.tensor([2.0, 0.5, 0.5]).view(1, 3, 1, 1, 1))
    assert float(weighted.mean()) == pytest.approx(1.0, abs=1e-5)
