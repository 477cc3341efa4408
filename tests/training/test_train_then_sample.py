"""What is trained is what is sampled: a model that has learned one window by heart gives it back when it is asked.

The one test that notices any difference between training and sampling: positions, time, noise, masks, prompts, units,
canvas, domain. It is asked through the public interface, and through diffusers' own pipeline.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import Cosmos3OmniPipeline
from diffusers.pipelines.cosmos.pipeline_cosmos3_omni import CosmosActionCondition
from PIL import Image

import cosmos_robot as cr
from cosmos_robot.benchmarks.random_checkpoint import RandomCheckpoint
from cosmos_robot.domains.canvas import action_canvas
from cosmos_robot.domains.registry import get_domain
from cosmos_robot.training.fine_tuning import PUBLISHED_OBJECTIVE, FineTuning, Lora, fine_tune, published_training
from cosmos_robot.training.prompt_mix import ModeShare
from cosmos_robot.training.schedule import Budget, LearningRate
from cosmos_robot.training.window_cutter import TrainingEpisode

CHUNK, SIDE, PROMPT = 4, 32, "push the block down"
MODES = tuple(ModeShare(mode, 2) for mode in ("forward_dynamics", "inverse_dynamics", "policy"))


def window(domain, seed=0):
    """A square that goes down, and actions all over the domain's range."""
    frames = np.full((CHUNK + 1, SIDE, SIDE, 3), 200, np.uint8)
    for i in range(CHUNK + 1):
        frames[i, 5 * i : 5 * i + 10, 8:24] = (20, 90, 200)
    values = np.random.default_rng(seed).uniform(-0.8, 0.8, (CHUNK, domain.raw_action_dim)).astype(np.float32)
    return frames, domain.decode(cr.Actions(values, cr.ActionSpace.MODEL, domain.name)).values


def pipeline_of(folder):
    pipeline = Cosmos3OmniPipeline.from_pretrained(folder, enable_safety_checker=False)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def learn(start, out, domain, *, steps, rate=1e-2, seed=0, **more):
    training = published_training(
        Budget(steps=steps),
        learning_rate=LearningRate(peak=rate, warmup_steps=10, decay_from=0.4),
        modes=MODES,
        objective=replace(PUBLISHED_OBJECTIVE, action_weight=1.0),
        ema_decay=0.95,
        prompts=1,
    )
    config = FineTuning(training=training, chunk=CHUNK, **more)
    episodes = [TrainingEpisode(*window(domain, seed), PROMPT)]
    return fine_tune(pipeline_of(start), start, episodes, domain=domain, out=out, config=config)


def errors(model, domain, seed=0, **options):
    """Mean errors of what is sampled: of frames, in levels, against the window's own through the autoencoder; of actions
    in model space."""
    frames, actions = window(domain, seed)
    options = {"domain": domain, "prompt": PROMPT, "num_steps": 4, "seed": 3, **options}
    forward = model.forward_dynamics(frames[0], actions, **options)
    options["action_space"] = cr.ActionSpace.MODEL  # an untrained model's answers are far outside any robot's range
    model_space = domain.encode(actions).values
    inverse = model.inverse_dynamics(frames, action_chunk_size=CHUNK, **options)
    policy = model.policy(frames[0], action_chunk_size=CHUNK, **options)
    canvas, autoencoder = action_canvas(SIDE, SIDE, domain.tier), model.engine.autoencoder
    with torch.no_grad():
        latents = autoencoder.encode(autoencoder.pixels(frames, canvas), canvas)
        shown = model.engine.frames.to_host(latents, as_float=False)[0]

    def off(answer):
        return float(np.abs(answer.frames[1:].astype(float) - shown[1:]).mean())

    def missed(answer):
        return float(np.abs(answer.actions - model_space).mean())

    return {
        "forward": off(forward),
        "inverse": missed(inverse),
        "policy": missed(policy),
        "policy's frames": off(policy),
    }


def assert_learned(before, after, *, frames, actions):
    """The errors are at most so much of what they were."""
    for what, error in after.items():
        share = actions if what in ("inverse", "policy") else frames
        assert error < share * before[what], (what, error, before[what])


def test_a_window_that_was_learned_by_heart_is_sampled(tmp_path):
    domain = get_domain("pusht")
    start = RandomCheckpoint().save(tmp_path / "start")
    result = learn(start, tmp_path / "run", domain, steps=120)
    untrained, model = (cr.load_world_model(folder, device="cpu") for folder in (start, result))
    before, after = errors(untrained, domain), errors(model, domain)
    assert_learned(before, after, frames=0.65, actions=0.25)
    # Guidance pushes away from what the model says to the empty text, which it has to have been trained on.
    assert_learned(before, errors(model, domain, guidance=2.0), frames=0.65, actions=0.45)
    # A control: the heads of another domain have learned nothing.
    assert errors(model, replace(domain, domain_id=9))["inverse"] > 0.6 * before["inverse"]
    frames, actions = window(domain)
    told = (
        pipeline_of(result)(
            PROMPT,
            action=CosmosActionCondition(
                mode="inverse_dynamics",
                chunk_size=CHUNK,
                domain_name="pusht",
                resolution_tier=domain.tier,
                video=[Image.fromarray(frame) for frame in frames],
                view_point=domain.view_point,
            ),
            fps=domain.fps,
            num_inference_steps=20,
            guidance_scale=1.0,
            generator=torch.Generator("cpu").manual_seed(0),
            output_type="np",
            use_system_prompt=False,
        )
        .action[0]
        .numpy()
    )
    assert np.abs(told[:, :2] - domain.encode(actions).values).mean() < 0.25 * before["inverse"]


@pytest.mark.slow
def test_the_edge_form_and_a_domain_of_poses_are_too(tmp_path):
    domain = get_domain("umi")
    start = RandomCheckpoint(form="edge", native_flow=True).save(tmp_path / "start")
    result = learn(start, tmp_path / "run", domain, steps=300)
    before, after = (errors(cr.load_world_model(folder, device="cpu"), domain) for folder in (start, result))
    assert_learned(before, after, frames=0.8, actions=0.3)


@pytest.mark.slow
def test_adapters_teach_a_model_that_knows_a_robot_other_actions(tmp_path):
    pytest.importorskip("peft", reason="the extra train")
    domain = get_domain("pusht")
    start = RandomCheckpoint().save(tmp_path / "start")
    base = learn(start, tmp_path / "base", domain, steps=200)
    result = learn(base, tmp_path / "run", domain, steps=200, rate=1e-2, seed=1, lora=Lora(8, 16))
    before, after = (errors(cr.load_world_model(folder, device="cpu"), domain, seed=1) for folder in (base, result))
    assert after["inverse"] < 0.5 * before["inverse"]
    assert after["policy"] < 0.5 * before["policy"]
