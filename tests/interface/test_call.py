"""What a call's prompts and seeds are spread to: one for all items, or one for each, and nothing left over."""

import numpy as np
import pytest

from cosmos_robot.errors import InvalidInputError
from cosmos_robot.interface.action_requests import forward_dynamics_requests
from cosmos_robot.interface.media_call import media_requests

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
