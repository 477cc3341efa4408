"""A prompt's keys and values are bit-equal to those inside diffusers' forward, and are worked out once."""

import pytest
import torch
from action_case import SIZES, model_input, recording, reference

from cosmos_robot.engine.understanding import UnderstandingTower


@pytest.mark.parametrize("checkpoint", ["nano", "edge"])
def test_bit_equal_to_the_full_forward(checkpoint, pipelines, engines, monkeypatch):
    pipeline, engine = pipelines(checkpoint), engines(checkpoint)
    seen = []
    attention = pipeline.transformer.layers[-1].self_attn
    original = attention.to_v.forward
    monkeypatch.setattr(attention.to_v, "forward", lambda x: seen.append(original(x)) or seen[-1])
    frames, actions = recording(SIZES[1])
    reference(pipeline, "policy", frames, actions)
    monkeypatch.undo()

    engine.understanding.clear()
    request = model_input("policy", frames, actions)
    keys = engine.understanding(engine._tokens(request, request.prompt))
    assert len(seen) == request.num_steps
    assert all(torch.equal(value.view_as(keys.values[-1]), keys.values[-1]) for value in seen)


def test_computed_once_for_a_prompt(engines, monkeypatch):
    engine = engines("nano")
    engine.understanding.clear()
    computed = []
    compute = UnderstandingTower.compute
    monkeypatch.setattr(UnderstandingTower, "compute", lambda self, ids: computed.append(ids) or compute(self, ids))
    for seed in range(3):
        engine.generate([model_input("policy", *recording(SIZES[1]), seed=seed, guidance=2.0)])
    assert len(computed) == 2  # the prompt and the negative prompt


def test_least_recently_used_is_forgotten(pipelines):
    tower = UnderstandingTower(pipelines("nano").transformer, capacity=2)
    first, second = tower((1, 2)), tower((1, 3))
    assert tower((1, 2)) is first
    tower((1, 4))
    assert tower((1, 2)) is first
    assert tower((1, 3)) is not second


def test_bounded_in_memory_too(pipelines):
    """Long prompts fill a device before there are many; the newest is kept even where it is too large alone."""
    transformer = pipelines("nano").transformer
    one = UnderstandingTower(transformer)((1, 2, 3)).nbytes
    assert one == 3 * 2 * 3 * 2 * 16 * 4  # layers, keys and values, tokens, heads, their width, bytes
    tower = UnderstandingTower(transformer, max_bytes=2 * one)
    first = tower((1, 2, 3))
    tower((1, 2, 4))
    assert tower((1, 2, 3)) is first
    tower((1, 2, 5))
    tower((1, 2, 6))
    assert (tower.kept_bytes, tower((1, 2, 3)) is first) == (2 * one, False)
    small = UnderstandingTower(transformer, max_bytes=1)
    assert small((1, 2)) is small((1, 2))
