import numpy as np
import pytest
import torch

import cosmos_robot as cr
from cosmos_robot.types import ActionSpace


def rollout(**changed):
    frames = np.zeros((5, 32, 48, 3), np.uint8)
    given = {"frames": frames, "actions": np.zeros((4, 2), np.float32), "action_space": ActionSpace.ROBOT}
    return cr.Rollout(**{**given, "domain": "pusht", "fps": 10.0, "seed": 3, "prompt": "push", **changed})


def test_arrays_are_shown_by_dtype_and_shape_and_defaults_not_at_all():
    assert repr(rollout()) == (
        "Rollout(frames=uint8 [5, 32, 48, 3], actions=float32 [4, 2], action_space='robot', domain='pusht', "
        "fps=10.0, seed=3, prompt='push')"
    )
    assert "notes=('at another canvas.',)" in repr(rollout(notes=("at another canvas.",)))


def test_a_long_prompt_is_cut():
    assert repr(rollout(prompt="push " * 100)).endswith("... (500 characters))")


def test_tensors_say_where_they_are():
    frames = torch.zeros(1, 16, 16, 3, dtype=torch.uint8, device="meta")
    made = cr.Generation("text2image", frames, 24.0, None, 0, "a cup", "a cup")
    assert "frames=uint8 [1, 16, 16, 3] on meta" in repr(made)


@pytest.mark.parametrize("items", [(), (1,), [1, 2]])
def test_short_sequences_are_shown_as_they_are(items):
    assert repr(rollout(notes=items)).endswith(f"notes={items!r})") == bool(items)


def test_of_a_long_sequence_the_beginning():
    assert "notes=(0, 1, 2, 3, 4, 5, 6, 7, ... (20 in all))" in repr(rollout(notes=tuple(range(20))))


def test_errors_can_be_caught_by_the_public_names():
    with pytest.raises(cr.CosmosRobotError):
        cr.get_domain("no such robot")
    assert issubclass(cr.ServiceError, cr.CosmosRobotError)


def test_a_local_world_model_says_what_it_is():
    shown = repr(cr.load_world_model(safety="words"))
    assert shown.startswith("LocalWorldModel(")
    assert shown.endswith("pusht' on cpu, preset 'exact', safety 'words')")


def test_a_remote_world_model_says_where_it_is():
    with cr.load_world_model("http://localhost:1") as world_model:
        assert repr(world_model) == "RemoteWorldModel('http://localhost:1')"
