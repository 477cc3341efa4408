import numpy as np
import pytest

from cosmos_robot.training.pusht_prompts import (
    DIRECTIONS,
    all_prompts,
    direction_name,
    direction_vector,
    hindsight_prompt,
    push_prompt,
)


def window(agent_way=(0, 0), block_way=(0, 0), turn=0.0):
    share = np.linspace(0, 1, 17)[:, None]
    agent = np.array([100.0, 300.0]) + share * np.array(agent_way, dtype=float)
    block = np.array([250.0, 250.0, 0.3]) + share * np.array([*block_way, turn], dtype=float)
    return agent, block


@pytest.mark.parametrize(
    ("way", "name"),
    [
        ((30, 0), "right"),
        ((-30, 0), "left"),
        ((0, -30), "top"),
        ((0, 30), "bottom"),
        ((-30, -28), "upper left"),
        ((25, 30), "lower right"),
    ],
)
def test_a_push_is_named_by_its_direction(way, name):
    assert hindsight_prompt(*window(agent_way=(60, 0), block_way=way)) == f"push the T to the {name}"


def test_what_happened_is_told_in_the_order_of_its_weight():
    assert hindsight_prompt(*window(agent_way=(0, -60))) == "move the pusher to the top"
    assert hindsight_prompt(*window()) == "hold the pusher still"
    # a turn about the T's centre of mass moves its origin but not its centre
    agent, block = window(agent_way=(60, 0))
    angles = np.linspace(0.0, 0.8, 17)
    block[:, 0] = 250.0 + 45.0 * np.sin(angles)
    block[:, 1] = 250.0 - 45.0 * np.cos(angles)
    block[:, 2] = angles
    assert hindsight_prompt(agent, block) == "turn the T clockwise"


def test_every_prompt_is_in_the_list():
    for wording in range(3):
        for way in ((40, 0), (0, 40), (-40, 40)):
            assert hindsight_prompt(*window(block_way=way), wording=wording) in all_prompts()
            assert hindsight_prompt(*window(agent_way=way), wording=wording) in all_prompts()
        assert hindsight_prompt(*window(), wording=wording) in all_prompts()
    assert len(set(all_prompts())) == len(all_prompts())


def test_directions_and_vectors_are_inverse():
    for name in DIRECTIONS:
        assert direction_name(50.0 * direction_vector(name)) == name
        assert push_prompt(name) in all_prompts()
