"""A model behind a service answers as the same model does here: to the last bit, or up to the service's video codec.

The local model is the oracle. Where a service sends H.264, what is expected is the local answer after the same codec.
"""

import dataclasses

import gymnasium
import numpy as np
import pytest
from live_server import live_server
from service_urls import at

import cosmos_robot as cr
from cosmos_robot.datasets.video import read_video, write_video
from cosmos_robot.engine.checkpoint import CheckpointFacts, LoadedCheckpoint
from cosmos_robot.serving.settings import ServerSettings
from cosmos_robot.world_model import LocalWorldModel

FACTS = CheckpointFacts(
    native_canvas=(64, 64), max_action_chunk_size=16, domain_ids=(4,), num_steps=2, guidance=1.0, shift=5.0, fps=10.0
)
WORLD_MODEL = "cosmos_robot:cosmos_robot/WorldModel-v0"
PUSHT = {"domain": "pusht", "prompt": "push", "seed": 3}


@pytest.fixture(scope="module")
def local(engines):
    return LocalWorldModel(LoadedCheckpoint(engines("sound"), FACTS, "small"))


@pytest.fixture(scope="module")
def url(local, tmp_path_factory):
    with live_server(ServerSettings(data=tmp_path_factory.mktemp("data"), port=0), local) as started:
        yield started


@pytest.fixture(scope="module")
def remote(url):
    with cr.load_world_model(url) as opened:
        yield opened


@pytest.fixture(scope="module")
def still():
    return np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def moving(still):
    return np.stack([np.roll(still, index, axis=1) for index in range(17)])


def equal(found, expected, *, but=()):
    """Every field of two answers, sounds included."""
    assert type(found) is type(expected)
    for field in dataclasses.fields(expected):
        ours, theirs = getattr(found, field.name), getattr(expected, field.name)
        if field.name in but:
            continue
        if field.name == "sound" and theirs is not None:
            np.testing.assert_array_equal(ours.samples, theirs.samples)
            assert ours.sample_rate == theirs.sample_rate
        elif isinstance(theirs, np.ndarray):
            np.testing.assert_array_equal(ours, theirs, err_msg=field.name)
        else:
            assert ours == theirs, field.name


CALLS = {
    "forward dynamics": lambda wm, still, moving, rows: wm.forward_dynamics(still, rows[:16], **PUSHT),
    "inverse dynamics": lambda wm, still, moving, rows: wm.inverse_dynamics(moving, **PUSHT),
    "policy": lambda wm, still, moving, rows: wm.policy(still, **PUSHT, guidance=2.0, negative_prompt="stand"),
    "policy, actions alone": lambda wm, still, moving, rows: wm.policy(still, **PUSHT, return_frames=False),
    "rollout of two chunks": lambda wm, still, moving, rows: wm.rollout(still, rows, **PUSHT),
    "image": lambda wm, still, moving, rows: wm.text2image("a cup", seed=5),
    "video with sound": lambda wm, still, moving, rows: wm.text2video("a cup", seed=5, num_frames=9, enable_sound=True),
    "video of a picture": lambda wm, still, moving, rows: wm.image2video(still, "it falls", seed=5, num_frames=7),
    "video of a video": lambda wm, still, moving, rows: wm.video2video(
        moving, "it falls", seed=5, num_frames=9, condition_frame_indexes_vision=[0], condition_video_keep="last"
    ),
    "a longer video": lambda wm, still, moving, rows: wm.extend_video(moving, "on", num_frames=9, extra_frames=6),
}


@pytest.fixture(scope="module")
def rows():
    return np.random.default_rng(0).uniform(0, 512, (20, 2)).astype(np.float32)


@pytest.mark.parametrize("name", CALLS)
def test_our_own_server_loses_nothing(name, remote, local, still, moving, rows):
    equal(CALLS[name](remote, still, moving, rows), CALLS[name](local, still, moving, rows))


def test_a_batch_is_the_same_batch_there(remote, local, still, rows):
    given = ([still, still[::-1]], [rows[:16], rows[4:]])
    found, expected = (wm.forward_dynamics(*given, **{**PUSHT, "prompt": ["a", "b"]}) for wm in (remote, local))
    for one, other in zip(found, expected, strict=True):
        equal(one, other)


def test_another_seed_or_action_is_another_answer(remote, local, still, rows):
    expected = local.forward_dynamics(still, rows[:16], **PUSHT)
    assert not np.array_equal(remote.forward_dynamics(still, rows[:16], **{**PUSHT, "seed": 4}).frames, expected.frames)
    assert not np.array_equal(remote.forward_dynamics(still, rows[4:], **PUSHT).frames, expected.frames)


@pytest.fixture
def within_the_codec(tmp_path):
    """Whether frames are others after H.264 as this library writes it, which is not the same twice, within a level."""

    def compare(found, expected):
        write_video(tmp_path / "coded.mp4", expected, 10.0)
        coded = read_video(tmp_path / "coded.mp4")[0].astype(int)
        return found.shape == expected.shape and np.abs(found - coded).mean() < 1.0

    return compare


def test_our_own_server_with_the_codec(url, local, still, rows, within_the_codec):
    expected = local.forward_dynamics(still, rows[:16], **PUSHT)
    found = cr.load_world_model(url, lossless=False).forward_dynamics(still, rows[:16], **PUSHT)
    equal(found, expected, but=("frames",))
    assert within_the_codec(found.frames, expected.frames)
    assert not within_the_codec(
        local.forward_dynamics(still, rows[:16], **{**PUSHT, "seed": 4}).frames, expected.frames
    )


@pytest.mark.parametrize("service", ["nim", "baseten"])
def test_other_interfaces_are_equal_up_to_their_codec(service, url, local, still, rows, tmp_path, within_the_codec):
    """Pictures travel as png, and actions as numbers: what depends on them alone is equal to the last bit."""
    remote, but = cr.load_world_model(at(service, url)), ("frames", "notes")
    for call in (
        lambda wm: wm.forward_dynamics(still, rows[:16], **PUSHT),
        lambda wm: wm.policy(still, **PUSHT),
    ):
        found, expected = call(remote), call(local)
        equal(found, expected, but=but)
        assert within_the_codec(found.frames, expected.frames)
    plain = np.stack([np.full((64, 64, 3), 20 + 10 * index, np.uint8) for index in range(17)])
    write_video(tmp_path / "coded.mp4", plain, 10.0)  # plain frames are coded to the same bytes each time
    expected = local.inverse_dynamics(read_video(tmp_path / "coded.mp4")[0], **PUSHT)
    found = remote.inverse_dynamics(plain, **PUSHT)
    equal(found, expected, but=but)
    np.testing.assert_array_equal(found.frames, plain)


@pytest.mark.parametrize("service", ["fal", "pixazo"])
def test_images_of_the_queues_are_equal(service, url, local):
    equal(
        cr.load_world_model(at(service, url)).text2image("a cup", seed=5),
        local.text2image("a cup", seed=5),
        but=("notes", "fps"),  # of an image no service tells a rate
    )


@pytest.mark.slow
def test_an_environment_imagines_the_same(url, local, still, rows):
    """Also as one of a batch."""
    keywords = {"domain": "pusht", "starts": still[None], "reward": "pusht_coverage"}
    here = gymnasium.make(WORLD_MODEL, world_model=local, **keywords)
    there = gymnasium.make(WORLD_MODEL, world_model=url, **keywords)
    both = gymnasium.make_vec(WORLD_MODEL, num_envs=2, world_model=url, **keywords)
    for env in (here, there, both):
        env.reset(seed=5)
    expected, found = here.step(rows[:16]), there.step(rows[:16])
    np.testing.assert_array_equal(found[0]["pixels"], expected[0]["pixels"])
    np.testing.assert_array_equal(found[4]["frames"], expected[4]["frames"])
    assert found[1:4] == expected[1:4]
    batch = both.step(np.stack([rows[:16], rows[4:]]))
    assert np.abs(batch[0]["pixels"][0].astype(int) - expected[0]["pixels"]).max() <= 1  # rounding in a batch
    for env in (here, there, both):
        env.close()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::cosmos_robot.errors.ActionRangeWarning")  # what random weights choose
def test_a_benchmark_measures_the_same(engines, tmp_path, monkeypatch):
    """Rows over a service are those of the same model here, to the last figure."""
    pytest.importorskip("gym_pusht", reason="the extra pusht")
    from bench_models import record_episodes

    from cosmos_robot.benchmarks.run_config import RunConfig
    from cosmos_robot.benchmarks.run_execution import execute

    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    episodes = str(record_episodes(tmp_path / "episodes", episodes=2, steps=20))
    facts = dataclasses.replace(FACTS, native_canvas=(96, 96), num_steps=1)
    local = LocalWorldModel(LoadedCheckpoint(engines("nano"), facts, "small"))
    with live_server(ServerSettings(data=tmp_path / "data", port=0), local) as url:
        for suite in ("forward-dynamics", "policy"):
            config = RunConfig(suite=suite, episodes=episodes, domain="pusht", batch=2, checkpoint=url)
            there = execute(config, tmp_path / suite / "there")
            here = execute(config, tmp_path / suite / "here", load=lambda *_: local)
            assert [row["error"] for row in there] == [None, None]
            assert [row["figures"] for row in there] == [row["figures"] for row in here]
            assert there[0]["figures"]
