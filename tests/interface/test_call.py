"""What a call's prompts and seeds are spread to: one for all items, or one for each, and nothing left over."""

import numpy as np
import pytest

from cosmos_robot.envs.options import EnvSettings
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.interface.action_requests import (
    forward_dynamics_requests,
    inverse_dynamics_requests,
    policy_requests,
    rollout_requests,
)
from cosmos_robot.interface.media_call import first_latent_frames, media_requests
from cosmos_robot.interface.media_request import MediaRequest
from cosmos_robot.interface.reason import ReasonSampling

FRAME = np.zeros((32, 32, 3), np.uint8)
ACTIONS = np.full((4, 2), 100.0, np.float32)


def action_items(count, **options):
    frames, actions = (FRAME, ACTIONS) if count == 1 else ([FRAME] * count, [ACTIONS] * count)
    return forward_dynamics_requests(frames, actions, "pusht", options).items


def media_items(count, prompt="A cat.", **options):
    clips = [FRAME[None]] * count
    return media_requests("image2video", prompt, clips, options, batched=count > 1)[0]


@pytest.fixture(params=[action_items, media_items])
def items(request):
    return request.param


@pytest.mark.parametrize(
    ("seed", "expected"),
    [(5, [5, 6]), (np.uint8(255), [255, 256]), ([9, 3], [9, 3]), (np.array([9, 3]), [9, 3]), (range(2), [0, 1])],
)
def test_one_seed_or_one_for_each(items, seed, expected):
    got = [item.seed for item in items(2, seed=seed)]
    assert got == expected
    assert {type(seed) for seed in got} == {int}


def test_one_prompt_or_one_for_each(items):
    assert [item.prompt for item in items(2, prompt="a")] == ["a", "a"]
    assert [item.prompt for item in items(2, prompt=["a", "b"])] == ["a", "b"]
    assert [item.negative_prompt for item in items(2, negative_prompt=("a", "b"))] == ["a", "b"]


@pytest.mark.parametrize(
    ("count", "options", "sentence"),
    [
        (1, {"seed": [0, 1, 2]}, r"seed has 3 value\(s\) for 1 item"),
        (2, {"seed": [0]}, r"seed has 1 value\(s\) for 2 item"),
        (2, {"seed": np.arange(3)}, r"seed has 3 value\(s\) for 2 item"),
        (2, {"seed": [1.7, 2]}, "a seed must be an integer .*; got 1.7"),
        (1, {"seed": 1.0}, "a seed must be an integer .*; got 1.0"),
        (1, {"seed": None}, "a seed must be an integer .*; got None"),
        (1, {"seed": "5"}, "a seed must be an integer .*; got '5'"),
        (2, {"seed": 2**63 - 1}, "a seed must be an integer from 0 to"),
        (2, {"prompt": ["a", "b", "c"]}, "prompt.* 3"),
        (2, {"negative_prompt": ["a", "b", "c"]}, r"negative_prompt has 3 value\(s\) for 2 item"),
        (1, {"prompt": None}, "prompt must be a text.*; got None"),
        (2, {"prompt": ["a", 3]}, "prompt must be a text.*; got 3"),
    ],
)
def test_what_does_not_fit_is_said(items, count, options, sentence):
    with pytest.raises(InvalidInputError, match=sentence):
        items(count, **options)


INTEGERS = [
    (lambda **given: action_items(1, **given)[0], "num_steps"),
    (lambda **given: media_items(1, **given)[0], "num_steps"),
    (lambda **given: media_items(1, **given)[0], "num_frames"),
    (lambda **given: media_items(1, **given)[0], "agentic_max_iterations"),
    (lambda **given: media_items(1, **given)[0], "agentic_samples_per_iteration"),
    (lambda **given: media_items(1, **{"height": 64, "width": 64} | given)[0], "height"),
    (lambda **given: media_items(1, **given)[0], "seed"),
    (lambda **given: action_items(1, **given)[0], "seed"),
    (lambda **given: asked(inverse_dynamics_requests, **given), "action_chunk_size"),
    (lambda **given: asked(policy_requests, **given, state=None, return_frames=None), "action_chunk_size"),
    (lambda **given: asked(rollout_requests, ACTIONS, **given), "action_chunk_size"),
    (lambda **given: MediaRequest("text2image", "A cat.", **given), "seed"),
    (ReasonSampling, "max_new_tokens"),
    (ReasonSampling, "top_k"),
    (lambda **given: EnvSettings.of({"domain": "pusht", "starts": FRAME, **given}), "action_chunk_size"),
]


def asked(requests, *rest, action_chunk_size, **options):
    seen = np.stack([FRAME] * 9) if requests is inverse_dynamics_requests else FRAME
    return requests(seen, *rest, "pusht", action_chunk_size, {}, **options).items[0]


@pytest.mark.parametrize(("make", "name"), INTEGERS)
@pytest.mark.parametrize("wrong", [2.5, 8.0, True, "8", np.float32(8), -4])
def test_what_is_no_integer_is_refused(make, name, wrong):
    with pytest.raises(InvalidInputError, match=f"{name} must be a.*; got"):
        make(**{name: wrong})


@pytest.mark.parametrize("name", ["num_frames", "action_chunk_size"])
def test_zero_is_not_the_default(name):
    make = dict(map(reversed, INTEGERS))[name]
    with pytest.raises(InvalidInputError, match=f"{name} must be a.*; got 0"):
        make(**{name: 0})


@pytest.mark.parametrize(("make", "name"), INTEGERS)
def test_integers_of_numpy_become_pythons(make, name):
    """So that they can be sent as JSON."""
    value = 2 if name.startswith("agentic") else 8
    kept = getattr(make(**{name: np.int64(value)}), name)
    assert (kept, type(kept)) == (value, int)


@pytest.mark.parametrize(("name", "wrong"), [("guidance", "6"), ("shift", True), ("fps", "24"), ("guidance", np.nan)])
def test_what_is_no_number_is_refused(items, name, wrong):
    with pytest.raises(InvalidInputError, match=f"{name} must be a"):
        items(1, **{name: wrong})


@pytest.mark.parametrize("wrong", [2.0, True, 0, "2"])
def test_latent_frames_are_counted_in_integers(wrong):
    with pytest.raises(InvalidInputError, match="condition_latent_frames must be an integer of at least 1"):
        first_latent_frames(wrong)
    with pytest.raises(InvalidInputError, match=r"latent frame's number .* must be an integer|ascending"):
        MediaRequest("video2video", frames=np.stack([FRAME] * 9), condition_frame_indexes_vision=(0, wrong))


def test_half_of_a_surrogate_pair_is_no_text(items):
    for name in ("prompt", "negative_prompt"):
        with pytest.raises(InvalidInputError, match="half of a surrogate pair"):
            items(1, **{name: "a cup \ud83d"})
