import numpy as np
import pytest

from cosmos_robot.benchmarks.block_position import block_errors
from cosmos_robot.benchmarks.pusher_position import NOT_FOUND_ERROR, PositionError, position_errors
from cosmos_robot.benchmarks.pusht_forward import forward_scores, inverse_scores, rollout_scores
from cosmos_robot.benchmarks.pusht_policy import play_tasks, policy_score, push_tasks, random_targets
from cosmos_robot.benchmarks.pusht_windows import HeldOutWindow, held_out_windows
from cosmos_robot.envs.pusht_state import find_pusher
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.interface.world_model import WorldModel
from cosmos_robot.training.pusht_prompts import direction_vector
from cosmos_robot.training.pusht_recording import HELD_OUT_SEED, open_simulator, record_episode
from cosmos_robot.training.pusht_scripts import block_centre
from cosmos_robot.types import ActionSpace, Rollout


@pytest.fixture(scope="module")
def episodes():
    pytest.importorskip("gym_pusht")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SDL_VIDEODRIVER", "dummy")
        env = open_simulator()
        made = [record_episode(env, HELD_OUT_SEED + 500 + k, 40) for k in range(3)]
        env.close()
    return made


def test_the_detector_is_within_a_third_of_a_pixel_on_real_frames(episodes):
    errors = np.concatenate([position_errors(e.frames, e.agent) for e in episodes])
    summary = PositionError.of(errors)
    assert summary.found == 1.0
    assert summary.mean <= 0.3
    assert summary.count == 3 * 41


def test_a_frame_without_a_pusher_has_none():
    frame = np.full((96, 96, 3), 255, dtype=np.uint8)
    frame[30:40, 20:60] = (119, 136, 153)
    assert find_pusher(frame) is None
    np.testing.assert_array_equal(position_errors(frame[None], np.zeros((1, 2), np.float32)), [NOT_FOUND_ERROR])


class Simulator(WorldModel):
    """Answers with what the simulator did: the best that a world model can be."""

    def __init__(self, windows):
        self.windows = {window.frames[0].tobytes(): window for window in windows}

    def generate(self, requests, *, progress=None):
        answers = []
        for request in requests:
            window = self.windows[request.frames[0].tobytes()]
            chunk = request.action_chunk_size
            answers.append(
                Rollout(
                    frames=window.frames[: chunk + 1],
                    actions=window.actions[:chunk],
                    action_space=ActionSpace.ROBOT,
                    domain="pusht",
                    fps=10.0,
                    seed=0,
                    prompt="",
                )
            )
        return answers


def test_the_simulator_itself_has_the_best_scores(episodes):
    windows = held_out_windows(episodes, 16)
    model = Simulator(windows)
    forward = forward_scores(model, windows)
    assert forward.psnr == forward.psnr_shuffled == 60.0
    assert forward.psnr_copied < 50
    assert len(forward.psnr_by_step) == 16
    assert forward.position.median < 0.3
    assert forward.block.median < 0.5
    assert forward.block_copied.median > 2 * forward.block.median
    inverse = inverse_scores(model, windows)
    assert inverse.r2 == [1.0, 1.0]
    assert inverse.mean_error == 0.0
    assert 0.5 < min(inverse.r2_of_place) < 1.0  # targets are places, and the pusher is near them: no model at all
    chained = rollout_scores(model, windows)
    assert chained.psnr_by_step == [60.0] * 16
    assert max(chained.block_by_step) < 0.6
    assert chained.block_found_by_step == [1.0] * 16


def test_a_t_that_is_gone_is_an_error_where_psnr_calls_it_a_gain(episodes):
    """A frame without the T is nearer to the truth than one with the T in a wrong place."""
    window = max(held_out_windows(episodes, 16), key=lambda w: np.ptp(w.block[:, :2], axis=0).max())
    gone = window.frames.copy()
    grey = (gone[..., 2].astype(int) - gone[..., 0] > 15) & (gone[..., 2].astype(int) - gone[..., 0] < 80)
    gone[grey] = 255
    assert (block_errors(gone, window.block) == NOT_FOUND_ERROR).all()
    assert block_errors(window.frames, window.block).max() < 2.0
    assert np.median(block_errors(np.roll(window.frames, 8, axis=2), window.block)) == pytest.approx(8.0, abs=1.0)


def test_training_episodes_are_refused(episodes):
    bad = [type(episodes[0])(3, *(getattr(episodes[0], n) for n in ("frames", "actions", "agent", "block")))]
    with pytest.raises(InvalidInputError, match="training"):
        held_out_windows(bad, 16)
    window = HeldOutWindow.cut(episodes[0], 4, 8)
    assert len(window.frames) == len(window.agent) == 9


def test_a_policy_that_pushes_is_told_from_one_that_does_not(monkeypatch):
    pytest.importorskip("gym_pusht")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    tasks = push_tasks(4)
    assert tasks == push_tasks(4)
    assert len({task.seed for task in tasks}) == 4

    def still(frames, prompts, chunk):
        return [np.repeat((find_pusher(f) * 512 / 96)[None], 16, axis=0).astype(np.float32) for f in frames]

    looks = []

    def looking(frames, prompts, chunk):
        looks.append(chunk)
        return still(frames, prompts, chunk)

    assert play_tasks(looking, tasks[:1], chunks=3, replan_every=8, every=1)[0].frames.shape == (25, 96, 96, 3)
    assert looks == [0, 1, 2]
    score = policy_score(still, tasks, chunks=1)
    assert score.reached == score.moved == 0.0
    env = open_simulator()
    plans = []
    for task in tasks:
        _, info = env.reset(seed=task.seed)
        centre, way = block_centre(info["block_pose"]), direction_vector(task.direction)
        side = np.array([-way[1], way[0]])
        behind = centre - 110 * way
        around = centre + 150 * side * np.sign(side @ (info["pos_agent"] - centre) + 1e-9)
        plans.append([around, around - 110 * way, behind, *[centre + k * 8 * way for k in range(-10, 9)]])
    env.close()

    def push(frames, prompts, chunk):
        return [
            np.repeat(np.clip(plan, 15, 497), 5, axis=0)[chunk * 16 : chunk * 16 + 16].astype(np.float32)
            for plan in plans
        ]

    assert policy_score(push, tasks, chunks=6).reached >= 0.5
    assert policy_score(random_targets(), tasks, chunks=1).median_way >= 0.0
