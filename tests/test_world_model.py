"""The public interface on a whole random-weight checkpoint: units, batches, chained rollouts, bad input."""

import json
import shutil

import numpy as np
import pytest
import torch

import cosmos_robot as cr
from cosmos_robot import errors
from cosmos_robot.interface.chain import chunk_seed
from cosmos_robot.types import Actions, ActionSpace

STEPS = 2


@pytest.fixture(scope="module")
def wm(checkpoint_folder):
    return cr.load_world_model(checkpoint_folder, device="cpu")


@pytest.fixture(scope="module")
def native(checkpoint_folder, tmp_path_factory):
    """The same weights with facts beside them, as the embedded checkpoint has."""
    folder = tmp_path_factory.mktemp("native") / "checkpoint"
    shutil.copytree(checkpoint_folder, folder)
    facts = {"native_canvas": [96, 96], "domain_ids": [4], "max_action_chunk_size": 16, "num_steps": 2, "shift": 5.0}
    (folder / "cosmos_robot.json").write_text(json.dumps(facts))
    return cr.load_world_model(folder)


def picture(seed=0, height=64, width=64):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def clip(count=17, height=64, width=64):
    return np.stack([picture(i, height, width) for i in range(count)])


def push(length=16, seed=0):
    return np.random.default_rng(seed).uniform(0, 512, (length, 2)).astype(np.float32)


def test_forward_dynamics(wm):
    rollout = wm.forward_dynamics(picture(), push(), domain="pusht", prompt="push", num_steps=STEPS, seed=3)
    assert rollout.frames.shape == (17, 64, 64, 3)
    assert rollout.frames.dtype == np.uint8
    np.testing.assert_array_equal(rollout.actions, push())
    assert (rollout.domain, rollout.fps, rollout.seed, rollout.prompt) == ("pusht", 10.0, 3, "push")
    assert rollout.action_space == "robot"
    assert rollout.notes == ()


def test_inverse_dynamics_returns_the_frames_it_was_given(wm):
    frames = clip(17, 70, 90)
    rollout = wm.inverse_dynamics(frames, domain="pusht", num_steps=STEPS)
    np.testing.assert_array_equal(rollout.frames, frames)
    assert rollout.actions.shape == (16, 2)


def test_longer_clip_is_cut_and_says_so(wm):
    rollout = wm.inverse_dynamics(clip(20), domain="pusht", num_steps=STEPS)
    assert len(rollout.frames) == 17
    assert "first 17" in rollout.notes[0]


def test_policy(wm):
    rollout = wm.policy(picture(), prompt="push the T to the left", domain="pusht", num_steps=STEPS)
    assert rollout.frames.shape[0] == 17
    assert rollout.actions.shape == (16, 2)
    only = wm.policy(picture(), prompt="push the T to the left", domain="pusht", num_steps=STEPS, return_frames=False)
    assert only.frames is None
    np.testing.assert_array_equal(only.actions, rollout.actions)


def test_robot_units_and_model_space_are_two_views_of_one_request(wm):
    domain, actions = cr.get_domain("pusht"), push()
    encoded = domain.encode(actions)
    np.testing.assert_allclose(encoded.values, actions / 256 - 1, atol=1e-6)
    robot = wm.forward_dynamics(picture(), actions, domain="pusht", num_steps=STEPS)
    model = wm.forward_dynamics(picture(), encoded.values, domain="pusht", action_space="model", num_steps=STEPS)
    marked = wm.forward_dynamics(picture(), encoded, domain="pusht", num_steps=STEPS)
    np.testing.assert_array_equal(robot.frames, model.frames)
    np.testing.assert_array_equal(robot.frames, marked.frames)
    assert marked.action_space is ActionSpace.MODEL
    in_model = wm.policy(picture(), domain="pusht", num_steps=STEPS, action_space="model")
    in_robot = wm.policy(picture(), domain="pusht", num_steps=STEPS)
    np.testing.assert_allclose(domain.decode(in_model.actions).values, in_robot.actions, atol=1e-4)


def test_a_batch_gives_a_list_with_seeds_in_order(wm):
    pictures, actions = [picture(0), picture(1), picture(2)], [push(seed=i) for i in range(3)]
    common = {"domain": "pusht", "num_steps": STEPS}
    rollouts = wm.forward_dynamics(pictures, actions, prompt=["a", "longer prompt", "c"], seed=5, **common)
    assert [r.seed for r in rollouts] == [5, 6, 7]
    for i, prompt in enumerate(["a", "longer prompt", "c"]):
        alone = wm.forward_dynamics(pictures[i], actions[i], prompt=prompt, seed=5 + i, **common)
        assert np.abs(alone.frames.astype(int) - rollouts[i].frames.astype(int)).max() <= 1
    stacked = wm.forward_dynamics(np.stack(pictures), np.stack(actions), prompt="a", seed=[9, 9, 5], **common)
    assert [r.seed for r in stacked] == [9, 9, 5]
    clips = wm.inverse_dynamics([clip(), clip()[::-1]], **common)
    assert len(clips) == 2


def test_chained_rollout_has_no_doubled_frame(wm):
    actions = push(20)
    common = {"domain": "pusht", "num_steps": STEPS, "prompt": "push"}
    whole = wm.rollout(picture(), actions, action_chunk_size=8, seed=4, **common)
    assert whole.frames.shape[0] == 21
    np.testing.assert_array_equal(whole.actions, actions)
    frame, expected = picture(), []
    for k, seed in enumerate([4, chunk_seed(4, 1), chunk_seed(4, 2)]):
        rows = actions[8 * k : 8 * k + 8]
        padded = np.concatenate([rows, np.repeat(rows[-1:], 8 - len(rows), axis=0)])
        part = wm.forward_dynamics(frame, padded, seed=seed, **common)
        expected.append(part.frames[:1] if k == 0 else part.frames[:0])
        expected.append(part.frames[1 : len(rows) + 1])
        frame = part.frames[-1]
    np.testing.assert_array_equal(whole.frames, np.concatenate(expected))
    assert chunk_seed(4, 1) == np.random.SeedSequence([4, 1]).generate_state(1)[0]


def test_chained_batch_of_different_lengths(wm):
    steps = []
    actions = [push(5, seed=0), push(12, seed=1)]
    common = {"domain": "pusht", "num_steps": STEPS, "action_chunk_size": 4}
    rollouts = wm.rollout(
        [picture(0), picture(1)], actions, progress=lambda done, total: steps.append((done, total)), **common
    )
    assert [len(r.frames) for r in rollouts] == [6, 13]
    assert steps[-1] == (6, 6)
    alone = wm.rollout(picture(1), actions[1], seed=1, **common)
    assert np.abs(alone.frames.astype(int) - rollouts[1].frames.astype(int)).max() <= 1


def test_droid_joint_policy_starts_from_the_state(wm):
    state = np.array([0, 0.2, 0, -2, 0, 2, 0.5, 1], np.float32)
    common = {"domain": "droid_lerobot_joint", "num_steps": STEPS, "action_chunk_size": 8}
    rollout = wm.policy(picture(0, 108, 128), state=state, **common)
    assert rollout.frames is None
    assert rollout.actions.shape == (8, 8)
    other = wm.policy(picture(0, 108, 128), state=state * 0.5, **common)
    assert np.abs(other.actions - rollout.actions).max() > 1e-3
    seen = cr.Observation(picture(0, 108, 128), state=state)
    np.testing.assert_array_equal(wm.policy(seen, **common).actions, rollout.actions)
    with pytest.raises(errors.InvalidInputError, match="joint_1"):
        wm.policy(picture(0, 108, 128), **common)
    with pytest.raises(errors.InvalidInputError, match="no place for a state"):
        wm.policy(picture(), state=state, domain="pusht")
    with pytest.raises(errors.InvalidInputError, match="1 state vector"):
        wm.policy(picture(0, 108, 128), state=np.stack([state, state]), **common)


def test_a_domain_file_of_ones_own(wm, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("""
name = "mine"
robot = "a slider"
source = "this test"
domain_id = 30
raw_action_dim = 1
action_chunk_size = 4
fps = 5.0
view_point = "third_person_view"
tier = 256
gripper = "none"

[[channels]]
names = ["speed"]
unit = "m/s"
low = -1.0
high = 1.0

[normaliser]
method = "minmax"
source = "this test"
min = [-1.0]
max = [1.0]
""")
    rollout = wm.policy(picture(), domain=path, num_steps=STEPS)
    assert rollout.actions.shape == (4, 1)


def test_native_canvas_is_answered_and_noted(native):
    rollout = native.forward_dynamics(picture(0, 200, 170), push(), domain="pusht")
    assert rollout.frames.shape == (17, 96, 96, 3)
    assert "96x96" in rollout.notes[0]
    assert native.forward_dynamics(picture(0, 96, 96), push(), domain="pusht").notes == ()


def test_untrained_domain_is_a_warning_that_names_it(native):
    with pytest.warns(errors.UntrainedDomainWarning, match="'av'"):
        native.policy(picture(), domain="av", action_chunk_size=4)


def test_a_chunk_past_the_trained_length_points_to_rollout(native):
    with pytest.raises(errors.InvalidInputError, match="rollout"):
        native.forward_dynamics(picture(), push(20), domain="pusht")


def test_raw_actions_marked_as_model_space_give_a_warning(wm):
    with pytest.warns(errors.ActionRangeWarning, match="target_x"):
        wm.forward_dynamics(picture(), push(), domain="pusht", action_space="model", num_steps=1)


def bad(frame=None, actions=None, **options):
    return (picture() if frame is None else frame, push() if actions is None else actions, options)


BAD = {
    "unknown domain": (bad(domain="brigde_orig_lerobot"), errors.UnknownDomainError, "bridge_orig_lerobot"),
    "width": (bad(actions=np.zeros((16, 3))), errors.InvalidInputError, "target_x, target_y"),
    "NaN": (bad(actions=np.full((16, 2), np.nan)), errors.InvalidInputError, "row 0, channel 0 is nan"),
    "infinity": (bad(actions=np.full((16, 2), np.inf)), errors.InvalidInputError, "finite"),
    "chunk": (bad(actions=push(10)), errors.InvalidInputError, "Use 8 or 12"),
    "no rows": (bad(actions=np.zeros((0, 2))), errors.InvalidInputError, "at least one row"),
    "float image": (bad(frame=np.zeros((64, 64, 3))), errors.MediaError, "uint8"),
    "grey image": (bad(frame=np.zeros((64, 64), np.uint8)), errors.MediaError, r"\[H, W, 3\]"),
    "channels first": (bad(frame=np.zeros((3, 64, 64), np.uint8)), errors.MediaError, "channels last"),
    "tiny image": (bad(frame=np.zeros((8, 64, 3), np.uint8)), errors.MediaError, "16 pixels"),
    "tier": (bad(image_size=123), errors.InvalidInputError, "256, 480, 704, 720"),
    "action space": (bad(action_space="robots"), errors.InvalidInputError, "'robot' or 'model'"),
    "view point": (bad(view_point="ego"), errors.InvalidInputError, "ego_view"),
    "steps": (bad(num_steps=0), errors.InvalidInputError, "at least 1"),
    "guidance": (bad(guidance=0.5), errors.InvalidInputError, "at least 1"),
    "shift": (bad(shift=-1.0), errors.InvalidInputError, "positive"),
    "fps": (bad(fps=0.0), errors.InvalidInputError, "from 0.01 to 1000; got 0.0"),
    "absurd fps": (bad(fps=1e10), errors.InvalidInputError, "from 0.01 to 1000"),
    "fps that is no number": (bad(fps=float("nan")), errors.InvalidInputError, "from 0.01 to 1000; got nan"),
    "seed": (bad(seed=-1), errors.InvalidInputError, "seed"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_clear_sentence(name, wm):
    (frame, actions, options), kind, message = BAD[name]
    with pytest.raises(kind, match=message):
        wm.forward_dynamics(frame, actions, **({"domain": "pusht", "num_steps": 1} | options))


def test_unknown_keyword(wm):
    with pytest.raises(TypeError, match="num_inference_steps"):
        wm.forward_dynamics(picture(), push(), domain="pusht", num_inference_steps=3)


def test_too_few_frames(wm):
    with pytest.raises(errors.MediaError, match="17 frames, the video has 9"):
        wm.inverse_dynamics(clip(9), domain="pusht")


def test_batch_that_does_not_fit(wm):
    with pytest.raises(errors.InvalidInputError, match="2 action sequences"):
        wm.forward_dynamics([picture(), picture()], [push()], domain="pusht")
    with pytest.raises(errors.InvalidInputError, match="prompt"):
        wm.forward_dynamics([picture(), picture()], [push(), push()], domain="pusht", prompt=["one"])
    with pytest.raises(errors.MediaError, match="empty"):
        wm.policy([], domain="pusht")


def test_a_batch_says_which_item_is_wrong(wm, native):
    frames = [picture(), picture(1)]
    with pytest.raises(errors.InvalidInputError, match=r"^item 2 of 2: .*got 3"):
        wm.forward_dynamics(frames, [push(), np.zeros((16, 3), np.float32)], domain="pusht")
    with pytest.raises(errors.InvalidInputError, match=r"^item 2 of 2: action_chunk_size must be"):
        wm.forward_dynamics(frames, [push(), push(15)], domain="pusht")
    with pytest.raises(errors.MediaError, match=r"^item 1 of 2: an image must be RGB"):
        wm.policy([picture()[..., 0], picture()], domain="pusht")
    with pytest.raises(errors.InvalidInputError, match=r"^item 2 of 2: the prompt is too long"):
        wm.policy(frames, prompt=["push", "word " * 5000], domain="pusht")
    with pytest.raises(errors.InvalidInputError, match=r"^item 1 of 2: checkpoint .* at most 16 actions; got 20"):
        native.policy(frames, domain="pusht", action_chunk_size=20)


def test_actions_of_another_domain(wm):
    with pytest.raises(errors.InvalidInputError, match="'av'"):
        wm.forward_dynamics(picture(), Actions(np.zeros((4, 9)), ActionSpace.ROBOT, "av"), domain="pusht")


def test_no_action_heads(pipelines, tmp_path):
    pipelines("no actions").save_pretrained(tmp_path)
    with pytest.raises(errors.UnsupportedModeError, match="no action heads"):
        cr.load_world_model(tmp_path).policy(picture(), domain="pusht")


def test_stopping_from_progress_leaves_the_model_usable(wm):
    class StopError(Exception):
        pass

    def stop(done, total):
        raise StopError

    with pytest.raises(StopError):
        wm.policy(picture(), domain="pusht", num_steps=STEPS, progress=stop)
    assert wm.policy(picture(), domain="pusht", num_steps=STEPS).frames is not None


def test_bfloat16_on_the_cpu(checkpoint_folder, wm):
    half = cr.load_world_model(checkpoint_folder, dtype="bfloat16")
    assert half.engine.transformer.proj_in.weight.dtype == torch.bfloat16
    ours = half.forward_dynamics(picture(), push(), domain="pusht", num_steps=STEPS).frames
    exact = wm.forward_dynamics(picture(), push(), domain="pusht", num_steps=STEPS).frames
    assert np.abs(ours.astype(int) - exact.astype(int)).mean() < 4
