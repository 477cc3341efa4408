import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from cosmos_robot.domains.registry import get_domain
from cosmos_robot.training.flow_matching import FlowMatching, mode_layout
from cosmos_robot.training.post_training import PostTrainer, PostTraining
from cosmos_robot.training.prompt_mix import ModeShare, TextEncoder
from cosmos_robot.training.pusht_prompts import all_prompts
from cosmos_robot.training.run_folder import RunFolder
from cosmos_robot.training.schedule import Budget, LearningRate
from cosmos_robot.training.small_checkpoint import TransformerForm, build_transformer
from cosmos_robot.training.state_reading import reading_loss
from cosmos_robot.training.tokenizer import train_tokenizer
from cosmos_robot.training.windows import LatentWindows

FORM = TransformerForm(
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=2,
    num_key_value_heads=1,
    head_dim=16,
    intermediate_size=48,
    latent_channel=4,
    latent_patch_size=2,
    rope_axes_dim=(4, 2, 2),
)
PROMPTS = ("push the T to the left", "move the pusher to the top", "hold the pusher still")


@pytest.fixture(scope="module")
def text():
    bare = TextEncoder(None, get_domain("pusht"), (96, 96), 16)
    corpus = [bare.text(mode, prompt) for mode in ("policy", "text2video") for prompt in ("", *all_prompts())]
    return TextEncoder(train_tokenizer(corpus, vocab_size=700), get_domain("pusht"), (96, 96), 16)


@pytest.fixture(scope="module")
def windows():
    rng = np.random.default_rng(0)
    actions = np.repeat(rng.uniform(-1, 1, (24, 1, 2)), 16, axis=1).astype(np.float32)
    latents = np.zeros((24, 4, 5, 6, 6), dtype=np.float16)
    latents[:, :2, 1:] = actions[:, 0, :, None, None, None]  # what the actions are stands in every later cell
    return LatentWindows(latents, actions, rng.integers(0, 3, 24), PROMPTS)


def trainer(folder, text, windows, steps, **changes):
    settings = {
        "modes": (
            ModeShare("forward_dynamics", 6, told=0.3),
            ModeShare("inverse_dynamics", 4, told=0.3),
            ModeShare("policy", 4),
            ModeShare("image2video", 2, every=2),
            ModeShare("text2video", 2, every=3),
            ModeShare("text2image", 2, every=3),
        ),
        "autocast": False,
        **changes,
    }
    rate = LearningRate(peak=3e-3, warmup_steps=3, decay_from=1.0)
    config = PostTraining(budget=Budget(steps=steps), learning_rate=rate, **settings)
    model = build_transformer(FORM, vocab_size=len(text.tokenizer))
    return PostTrainer(RunFolder(folder), model, text, windows, domain_id=4, fps=10.0, config=config)


def test_training_lowers_the_loss_and_every_mode_takes_part(tmp_path, text, windows):
    run = trainer(tmp_path, text, windows, 60, log_steps=30)
    run.run()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [30, 60]
    wanted = {"forward_dynamics_vision", "inverse_dynamics_action", "policy_vision", "policy_action"}
    assert wanted | {"image2video_vision", "text2video_vision"} <= lines[0].keys()
    assert "forward_dynamics_action" not in lines[0]
    assert lines[1]["loss"] < 0.9 * lines[0]["loss"]


@pytest.mark.parametrize("muon_rate", [None, 0.02])
def test_training_goes_on_after_a_stop_as_if_there_had_been_none(tmp_path, text, windows, muon_rate):
    whole = trainer(tmp_path / "whole", text, windows, 6, muon_rate=muon_rate)
    whole.run()
    trainer(tmp_path / "parts", text, windows, 3, muon_rate=muon_rate).run()
    parts = trainer(tmp_path / "parts", text, windows, 6, muon_rate=muon_rate)
    assert parts.step == 3
    parts.run()
    for name, value in whole.ema.average.items():
        torch.testing.assert_close(parts.ema.average[name], value, atol=1e-6, rtol=1e-5)


def test_the_average_can_be_put_in_for_a_while(tmp_path, text, windows):
    run = trainer(tmp_path, text, windows, 3)
    run.run()
    weight = run.transformer.proj_in.weight
    own, average = weight.detach().clone(), run.ema.average["proj_in.weight"].clone()
    assert not torch.equal(own, average)
    with run.ema.applied(run.transformer):
        torch.testing.assert_close(weight.detach(), average)
    torch.testing.assert_close(weight.detach(), own)


def test_both_towers_learn(tmp_path, text, windows):
    run = trainer(tmp_path, text, windows, 4)
    before = {name: value.clone() for name, value in run.transformer.state_dict().items()}
    for _ in range(4):
        run.take_step(0.0)
    after = run.transformer.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    for part in ("embed_tokens", "layers.0.self_attn.to_k", "layers.0.self_attn.add_q_proj", "layers.1.mlp_moe_gen"):
        assert any(part in name for name in changed), part


def test_noise_levels_are_shifted_towards_one():
    rng = np.random.default_rng(0)
    plain = FlowMatching(shift=1.0, uniform_share=0.0).draw_sigmas(rng, 4000)
    shifted = FlowMatching(shift=5.0, uniform_share=0.0).draw_sigmas(rng, 4000)
    assert 0 < plain.min() < shifted.max() < 1
    assert float(plain.mean()) == pytest.approx(0.5, abs=0.02)
    assert float(shifted.median()) == pytest.approx(5 / 6, abs=0.02)


def test_some_items_are_noise_and_nothing_else():
    rng = np.random.default_rng(0)
    levels = FlowMatching(pure_noise_share=0.25).draw_sigmas(rng, 4000)
    assert float((levels == 1.0).float().mean()) == pytest.approx(0.25, abs=0.03)
    assert not (FlowMatching().draw_sigmas(rng, 4000) == 1.0).any()


@pytest.mark.slow
def test_a_compiled_step_is_the_plain_one(tmp_path, text, windows):
    """Losses and gradients of two steps with prompts of different lengths."""
    modes = (ModeShare("policy", 4),)
    runs = [trainer(tmp_path / str(c), text, windows, 2, compile=c, prompts=1, modes=modes) for c in (False, True)]
    for _ in range(2):
        plain, compiled = (run.take_step(0.0) for run in runs)
        assert compiled == pytest.approx(plain, rel=1e-3)


@pytest.fixture(scope="module")
def windows_with_states(windows):
    """The state is the action, held: what an action token has must be read off it."""
    states = np.repeat(windows.actions[:, :1], 17, axis=1)
    return replace(windows, states=states)


def test_states_are_read_off_the_middle_and_kept_out_of_the_checkpoint(tmp_path, text, windows_with_states):
    run = trainer(tmp_path, text, windows_with_states, 60, log_steps=30)
    run.run()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines[1]["forward_dynamics_states"] < 0.75 * lines[0]["forward_dynamics_states"]
    assert "inverse_dynamics_states" in lines[0]
    assert "policy_states" not in lines[0]
    assert not any("reading" in name or "from_" in name for name in run.transformer.state_dict())
    again = trainer(tmp_path, text, windows_with_states, 60)
    for name, value in run.reading.state_dict().items():
        assert torch.equal(value, again.reading.state_dict()[name])


def test_the_states_read_are_those_of_the_frames():
    states = torch.arange(9.0)[None, :, None] * torch.ones(2)  # frame number, twice
    of_actions = states[:, 1:]
    first = torch.zeros(1, 1, 8)
    later = states[:, 1:].reshape(1, 2, 8)
    of_frames = torch.cat([first, later], dim=1)
    assert float(reading_loss(of_actions, of_frames, states)) == 0.0
    assert float(reading_loss(of_actions + 0.5, of_frames, states)) == pytest.approx(0.5)
    assert float(reading_loss(of_actions, of_frames.flip(1), states)) > 1.0


def test_cells_that_move_weigh_more_and_the_mean_stays():
    latents = torch.zeros(2, 4, 3, 2, 2)
    latents[0, :, 2, 1, 1] = 1.0
    weights = FlowMatching(moving_weight=4.0).cell_weights(latents)
    assert float(weights.mean()) == pytest.approx(1.0)
    assert float(weights[0, 0, 1, 1, 1] / weights[0, 0, 1, 0, 0]) == pytest.approx(5.0)


@pytest.mark.parametrize(
    ("mode", "frames", "rows", "clean_rows"),
    [
        ("forward_dynamics", 1, 16, 16),
        ("inverse_dynamics", 5, 16, 0),
        ("policy", 1, 16, 0),
        ("image2video", 1, 0, 0),
        ("text2video", 0, 0, 0),
        ("text2image", 0, 0, 0),
    ],
)
def test_what_a_mode_is_given(mode, frames, rows, clean_rows):
    layout = mode_layout(mode, (5, 6, 6), 16, 2)
    assert (layout.clean_latent_frames, layout.action_rows, layout.clean_action_rows) == (frames, rows, clean_rows)


def test_the_tokenizer_writes_any_text_and_prompts_in_few_tokens(text):
    tokenizer = text.tokenizer
    for sample in ("push the T to the left", "Größe 12 µm: {}\n\t<b>"):
        assert tokenizer.decode(tokenizer(sample).input_ids) == sample
    assert tokenizer.convert_ids_to_tokens(tokenizer.eos_token_id) == "<|im_end|>"
    ids = text("policy", "push the T to the left")
    assert len(ids) < 30
    assert tokenizer.convert_ids_to_tokens(list(ids[-2:])) == ["<|im_end|>", "<|vision_start|>"]
    assert text("policy", "push the T to the right") != ids


def test_windows_are_written_read_and_joined(tmp_path, windows):
    path = tmp_path / "windows_a.npz"
    windows.save(path)
    read = LatentWindows.load(path)
    np.testing.assert_array_equal(read.latents, windows.latents)
    other = LatentWindows(windows.latents[:2], windows.actions[:2], np.array([1, 0]), ("new", PROMPTS[2]))
    joined = LatentWindows.join([read, other])
    assert joined.prompts == (*PROMPTS, "new")
    assert joined.prompt_ids[-2:].tolist() == [2, 3]
    assert len(LatentWindows.load_folder(tmp_path)) == len(windows)
