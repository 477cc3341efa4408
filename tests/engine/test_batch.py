"""A batch gives what its items give alone: own prompt, start, actions and seed each."""

from dataclasses import replace

import numpy as np
import pytest
from action_case import SIZES, model_input, recording

from cosmos_robot.errors import InvalidInputError


@pytest.mark.parametrize("guidance", [1.0, 2.0])
@pytest.mark.parametrize("mode", ["forward_dynamics", "inverse_dynamics", "policy"])
def test_batch_equals_items(mode, guidance, engines):
    engine = engines("nano")
    prompts = [
        "short",
        "a much longer prompt than the first one",
        "other",
        "a much longer prompt than the first one",
    ]
    requests = [
        model_input(mode, *recording(SIZES[0], seed=i), guidance=guidance, seed=100 + i, prompt=prompt)
        for i, prompt in enumerate(prompts)
    ]
    together = engine.generate(requests, as_float=True)
    for request, batched in zip(requests, together, strict=True):
        alone = engine.generate([request], as_float=True)[0]
        if alone.frames is not None:
            np.testing.assert_allclose(batched.frames, alone.frames, atol=1e-5)
        if alone.actions is not None:
            np.testing.assert_allclose(batched.actions, alone.actions, atol=1e-4)


def test_mixture_of_kinds_keeps_its_order(engines):
    requests = [
        model_input("policy", *recording(SIZES[0], seed=0)),
        model_input("inverse_dynamics", *recording(SIZES[1], seed=1)),
        model_input("policy", *recording(SIZES[1], seed=2)),
        model_input("policy", *recording(SIZES[0], seed=3), seed=1),
    ]
    engine = engines("nano")
    steps = []
    together = engine.generate(requests, progress=lambda done, total: steps.append((done, total)))
    for request, prediction in zip(requests, together, strict=True):
        alone = engine.generate([request])[0]
        np.testing.assert_allclose(prediction.actions, alone.actions, atol=1e-4)
    assert steps == [(i + 1, 12) for i in range(12)]  # three kinds of four steps


def test_max_batch_splits(engines):
    engine = engines("nano")
    requests = [model_input("policy", *recording(SIZES[1], seed=i), seed=i) for i in range(3)]
    whole = engine.generate(requests)
    engine.max_batch = 2
    split = engine.generate(requests)
    engine.max_batch = 16
    for one, other in zip(whole, split, strict=True):
        np.testing.assert_allclose(one.actions, other.actions, atol=1e-4)


@pytest.mark.parametrize("field", ["prompt", "negative_prompt"])
def test_a_prompt_that_is_too_long_is_refused_before_anything_is_computed(field, engines, monkeypatch):
    engine = engines("nano")
    monkeypatch.setattr(engine, "denoise", lambda *_: pytest.fail("it was generated"))
    request = model_input("policy", *recording(SIZES[0]))
    with pytest.raises(InvalidInputError, match=f"the {field.replace('_', ' ')} is too long"):
        engine.generate([request, replace(request, **{field: "a b " * 5000})])
