import gc
import json
import os
import signal
import time
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import get_context

import numpy as np
import pytest
import torch
from small_disk import small_disk
from small_trainer import train_and_exit, trainer

from cosmos_robot.domains.registry import get_domain
from cosmos_robot.errors import InvalidInputError, RecordingError, TrainingError
from cosmos_robot.training.fine_tuning import is_trained
from cosmos_robot.training.flow_matching import FlowMatching, mode_layout
from cosmos_robot.training.prompt_mix import ModeShare, TextEncoder
from cosmos_robot.training.pusht_prompts import all_prompts
from cosmos_robot.training.run_folder import RunFolder
from cosmos_robot.training.state_reading import reading_loss
from cosmos_robot.training.tokenizer import train_tokenizer
from cosmos_robot.training.windows import LatentWindows

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
    np.testing.assert_array_equal(read.latents_of(np.arange(24)), windows.latents)
    other = LatentWindows(windows.latents[:2], windows.actions[:2], np.array([1, 0]), ("new", PROMPTS[2]))
    other.save(tmp_path / "windows_b.npz")
    joined = LatentWindows.load_folder(tmp_path)
    assert joined.prompts == (*PROMPTS, "new")
    assert joined.prompt_ids[-2:].tolist() == [2, 3]
    rows = np.array([25, 3, 24, 3])  # of both files, one of them twice, in no order
    np.testing.assert_array_equal(joined.latents_of(rows), windows.latents[[1, 3, 0, 3]])


def test_latents_stay_on_disk_while_they_are_trained_on(tmp_path, windows):
    path = tmp_path / "windows_a.npz"
    windows.save(path)
    read = LatentWindows.load_folder(tmp_path)
    changed = np.random.default_rng(1).standard_normal(windows.latents.shape).astype(np.float16)
    replace(windows, latents=changed).save(path)
    np.testing.assert_array_equal(read.latents_of(np.array([5])), changed[[5]])
    np.savez_compressed(path, latents=changed, **{n: getattr(windows, n) for n in ("actions", "prompt_ids", "prompts")})
    with pytest.raises(InvalidInputError, match="is compressed"):
        LatentWindows.load(path)


def metrics_of(folder):
    """The lines, without what the clock says."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in ("time", "elapsed")} for line in lines]


@contextmanager
def training_elsewhere(*arguments, **changes):
    """A process that trains, in the end killed. A fresh one: a forked one has its parent's locks and no threads."""
    process = get_context("spawn").Process(target=train_and_exit, args=arguments, kwargs=changes)
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def wait_for_step(folder, step):
    """Until a state of so many steps is saved."""
    until = time.monotonic() + 60.0
    while (RunFolder(folder).load() or {"step": 0})["step"] < step:
        assert time.monotonic() < until
        time.sleep(0.002)


@pytest.mark.slow
@pytest.mark.parametrize("muon_rate", [None, 0.02])
def test_training_that_is_killed_again_and_again_ends_as_if_it_had_not_been(tmp_path, text, windows, muon_rate):
    """State, averages, optimisers and metrics, to the last bit; half of the kills come while a state is written."""
    changes = {"muon_rate": muon_rate, "log_steps": 4, "save_seconds": 0.0, "modes": (ModeShare("policy", 2),)}
    trainer(tmp_path / "whole", text, windows, 30, **changes).run()
    rng, step = np.random.default_rng(0), 0
    for _ in range(6):
        with training_elsewhere(tmp_path / "parts", text, windows, 30, **changes):
            wait_for_step(tmp_path / "parts", step + 1)
            time.sleep(rng.uniform(0.0, 0.06))
        step = min(RunFolder(tmp_path / "parts").load()["step"], 29)
    trainer(tmp_path / "parts", text, windows, 30, **changes).run()
    whole, parts = (torch.load(tmp_path / name / "state.pt") for name in ("whole", "parts"))
    for state in (whole, parts):
        del state["elapsed"]
    assert_same(whole, parts)
    assert metrics_of(tmp_path / "whole") == metrics_of(tmp_path / "parts")
    assert [line["step"] for line in metrics_of(tmp_path / "parts")] == [4, 8, 12, 16, 20, 24, 28, 30]
    before = (tmp_path / "parts" / "metrics.jsonl").read_bytes()
    trainer(tmp_path / "parts", text, windows, 30, **changes).run()  # there is nothing left to do
    assert (tmp_path / "parts" / "metrics.jsonl").read_bytes() == before


def assert_same(one, other):
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for left, right in zip(one, other, strict=True):
            assert_same(left, right)
    elif isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    else:
        assert one == other


def test_lines_of_steps_that_were_not_saved_are_taken_back(tmp_path):
    folder = RunFolder(tmp_path)
    for step in (10, 20, 30):
        folder.log(step=step, loss=1.0)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"time": "2026-01-01T00:00:00", "st')  # killed as it was written
    folder.forget_after(20)
    assert [line["step"] for line in metrics_of(tmp_path)] == [10, 20]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_training_that_is_asked_to_stop_saves_what_it_has(tmp_path, text, windows, number, capfd):
    changes = {"modes": (ModeShare("policy", 2),), "save_seconds": 1e9, "log_steps": 1}
    with training_elsewhere(tmp_path, text, windows, 100_000, **changes) as process:
        until = time.monotonic() + 60.0
        while not (tmp_path / "metrics.jsonl").exists() or len(metrics_of(tmp_path)) < 3:
            assert time.monotonic() < until
            time.sleep(0.01)
        os.kill(process.pid, number)
        process.join(60)
        assert process.exitcode == 130
    saved = RunFolder(tmp_path).load()["step"]
    assert saved == metrics_of(tmp_path)[-1]["step"] >= 3
    told = capfd.readouterr()
    assert f"stopped after step {saved} of the transformer" in told.out
    assert "transformer: 0.0 %, step 1, loss" in told.err  # a plain line, because that is no terminal


def test_a_gradient_that_is_no_number_ends_a_training_before_it_spoils_the_weights(tmp_path, text, windows):
    run = trainer(tmp_path, text, windows, 4, modes=(ModeShare("policy", 2),))
    run.advance(0.0)
    run.save()
    spoilt = replace(windows, latents=np.full_like(windows.latents, np.nan))
    run.windows, before = spoilt, {name: p.clone() for name, p in run.transformer.named_parameters()}
    with pytest.raises(TrainingError, match="gradient of step 2 is nan"):
        run.run()
    assert RunFolder(tmp_path).load()["step"] == 1
    for name, parameter in run.transformer.named_parameters():
        assert torch.equal(parameter, before[name]), name


def test_a_full_disk_is_a_sentence_and_the_last_state_is_kept(tmp_path, text, windows):
    with small_disk(tmp_path / "disk", 1_200) as place:
        run = trainer(place, text, windows, 4, modes=(ModeShare("policy", 2),))
        run.folder.save({"step": 7})
        (place / "filler").write_bytes(b"x" * 900_000)
        with pytest.raises(RecordingError, match="cannot be written"):
            run.save()
        assert RunFolder(place).load() == {"step": 7}
        gc.collect()  # torch closes the file that it could not finish when it is forgotten
        assert sorted(path.name for path in place.iterdir()) == ["filler", "state.pt"]


def test_a_folder_belongs_to_one_training(tmp_path):
    RunFolder(tmp_path).claim({"data": ["a"], "lora": None})
    RunFolder(tmp_path).claim({"data": ["a"], "lora": None})
    with pytest.raises(InvalidInputError, match=r"data was \['a'\] and is \['b'\]"):
        RunFolder(tmp_path).claim({"data": ["b"], "lora": None})
    RunFolder(tmp_path / "older").save({"step": 1})
    with pytest.raises(InvalidInputError, match="does not say what it is of"):
        RunFolder(tmp_path / "older").claim({"data": ["a"]})


@pytest.mark.parametrize("changes", [{"items_at_once": 1}, {"recompute": True}])
def test_what_saves_memory_leaves_the_step_as_it_is(tmp_path, text, windows, changes):
    """Windows one by one, and activations computed again: the gradients of the whole batch, up to rounding."""
    settings = {"modes": (ModeShare("policy", 4, told=1.0), ModeShare("image2video", 4, told=1.0)), "prompts": 1}
    gradients = []
    for name, more in (("plain", {}), ("changed", changes)):
        run = trainer(tmp_path / name, text, windows, 1, **settings, **more)
        run.config = replace(
            run.config, objective=FlowMatching(uniform_share=0.0, pure_noise_share=1.0, moving_weight=0.0)
        )
        run.transformer.requires_grad_(False)
        for parameter_name, parameter in run.transformer.named_parameters():
            parameter.requires_grad_(is_trained(parameter_name))
        run._understanding_learns = False
        torch.nn.init.normal_(run.transformer.proj_out.weight, std=0.1, generator=torch.Generator().manual_seed(0))
        noises = iter(np.random.default_rng(0).standard_normal((64, 4, 5, 6, 6), dtype=np.float32))

        def noise(rng, like, noises=noises):
            del rng
            if like.ndim == 3:
                return torch.ones_like(like)
            return torch.from_numpy(np.stack([next(noises) for _ in range(len(like))]))

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("cosmos_robot.training.flow_matching._noise", noise)
            losses = run._backward(np.random.default_rng(0))
        gradients.append({n: p.grad for n, p in run.transformer.named_parameters() if p.grad is not None} | losses)
    assert gradients[0].keys() == gradients[1].keys()
    for name, value in gradients[0].items():
        torch.testing.assert_close(torch.as_tensor(gradients[1][name]), torch.as_tensor(value), atol=1e-5, rtol=1e-4)


def test_the_levels_of_videos_are_wavers():
    """Against the density that the map has: more at both ends, symmetric, and logit-normal where no video is made."""
    rng, objective = np.random.default_rng(0), FlowMatching(shift=1.0, waver=True, uniform_share=0.0)
    video = objective.draw_sigmas(rng, 20_000, video=True).numpy()
    image = objective.draw_sigmas(rng, 20_000).numpy()
    assert video.min() >= 0
    assert video.max() <= 1
    assert np.quantile(video, [0.1, 0.5, 0.9]) == pytest.approx([0.1 - 1.29 * (np.sin(0.05 * np.pi) ** 2 - 0.1), 0.5, 0.9 + 1.29 * (np.sin(0.05 * np.pi) ** 2 - 0.1)], abs=0.015)  # fmt: skip
    assert np.mean((video < 0.05) | (video > 0.95)) > 5 * np.mean((image < 0.05) | (image > 0.95))
