"""The prompts that a model is trained with are those that it is asked with, token for token."""

import numpy as np
import pytest

from cosmos_robot.domains.registry import get_domain
from cosmos_robot.engine.checkpoint import CheckpointFacts, LoadedCheckpoint
from cosmos_robot.engine.media_plan import MediaPlanner
from cosmos_robot.interface.media_request import MediaRequest
from cosmos_robot.training.fine_tuning import prompts_of
from cosmos_robot.training.post_training import PostTrainer, PostTraining
from cosmos_robot.training.prompt_mix import ModeShare
from cosmos_robot.training.run_folder import RunFolder
from cosmos_robot.training.schedule import Budget
from cosmos_robot.training.windows import LatentWindows
from cosmos_robot.world_model import LocalWorldModel

PROMPT, CHUNK = "push the T to the left", 4


@pytest.mark.parametrize("mode", ["policy", "forward_dynamics", "inverse_dynamics"])
@pytest.mark.parametrize("prompt", [PROMPT, ""])
def test_of_the_action_modes(engines, pipelines, monkeypatch, mode, prompt):
    engine, domain = engines("nano"), get_domain("pusht")
    model = LocalWorldModel(LoadedCheckpoint(engine, CheckpointFacts(), "random"))
    asked, understand = [], engine.understanding

    def record(token_ids):
        asked.append(token_ids)
        return understand(token_ids)

    monkeypatch.setattr(engine, "understanding", record)
    frames, options = np.zeros((CHUNK + 1, 40, 56, 3), np.uint8), {"domain": domain, "num_steps": 1}
    options |= {"prompt": prompt, "guidance": 2.0}
    if mode == "forward_dynamics":
        model.forward_dynamics(frames[0], np.full((CHUNK, 2), 256.0), **options)
    elif mode == "policy":
        model.policy(frames[0], action_chunk_size=CHUNK, action_space="model", return_frames=False, **options)
    else:
        model.inverse_dynamics(frames, action_chunk_size=CHUNK, action_space="model", **options)
    canvas = model_canvas(domain, 40, 56)
    text = prompts_of(pipelines("nano"), CheckpointFacts(), domain, canvas, CHUNK)
    assert asked == [text(mode, prompt), text.unconditional(mode)]


@pytest.mark.parametrize("mode", ["image2video", "text2video"])
@pytest.mark.parametrize("native", [None, (256, 256)])
def test_of_the_modes_without_actions(engines, pipelines, mode, native):
    engine, domain, facts = engines("nano"), get_domain("pusht"), CheckpointFacts(native_canvas=native)
    frames = np.zeros((1, 256, 256, 3), np.uint8) if mode == "image2video" else None
    request = MediaRequest(
        mode=mode, prompt=PROMPT, frames=frames, negative_prompt="", num_frames=CHUNK + 1, fps=domain.fps,
        resolution=None if native else "256_1_1",
    )  # fmt: skip
    given = MediaPlanner(engine, facts, "random").plan(request).given
    text = prompts_of(pipelines("nano"), facts, domain, model_canvas(domain, 256, 256), CHUNK)
    asked = [
        engine.token_ids(words, use_system_prompt=given.use_system_prompt)
        for words in (given.prompt, given.negative_prompt)
    ]
    assert asked == [text(mode, PROMPT), text.unconditional(mode)]


def test_some_batches_have_the_prompt_of_the_unguided_pass(engines, pipelines, tmp_path):
    domain = get_domain("pusht")
    text = prompts_of(pipelines("nano"), CheckpointFacts(), domain, model_canvas(domain, 32, 32), CHUNK)
    windows = LatentWindows(
        np.zeros((4, 16, 2, 2, 2), np.float16), np.zeros((4, CHUNK, 2), np.float32), np.zeros(4, np.int64), (PROMPT,)
    )
    config = PostTraining(budget=Budget(steps=1), modes=(ModeShare("policy", 2, told=0.5),), dropped=0.25)
    transformer = engines("nano").transformer
    run = PostTrainer(RunFolder(tmp_path), transformer, text, windows, domain_id=4, fps=10.0, config=config)
    run.understanding = lambda token_ids: token_ids
    run.understanding.compute = run.understanding
    rng, prompts = np.random.default_rng(0), np.array([0])
    drawn = [run._draw(config.modes[0], prompts, rng, {}).prompts[0] for _ in range(400)]
    kinds = [text.unconditional("policy"), text("policy", ""), text("policy", PROMPT)]
    assert len(set(kinds)) == 3
    assert [drawn.count(kind) / 400 for kind in kinds] == pytest.approx([0.25, 0.375, 0.375], abs=0.07)


def model_canvas(domain, height, width):
    from cosmos_robot.domains.canvas import action_canvas

    return action_canvas(height, width, domain.tier)
