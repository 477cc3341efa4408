"""openpi's websocket: driven by its real client where that is installed, by its protocol written by hand, and by this
library's own adapter. The client's package asks for an older numpy than this library and is installed without that."""

import logging
import time
from contextlib import contextmanager

import httpx
import numpy as np
import pytest
from live_server import live_server
from scipy.spatial.transform import Rotation
from stepping_model import SteppingModel, answered_actions
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from cosmos_robot.datasets.camera_canvas import compose
from cosmos_robot.domains.registry import get_domain
from cosmos_robot.envs.openpi_policy import OpenPIPolicy
from cosmos_robot.interface.openpi_wire import pack, unpack
from cosmos_robot.serving.settings import Batching, ServerSettings
from cosmos_robot.world_model import load_world_model

RANDOM = np.random.default_rng(5)
PICTURE = RANDOM.integers(0, 255, (96, 96, 3), dtype=np.uint8)
WIDE = [RANDOM.integers(0, 255, (36, 64, 3), dtype=np.uint8) for _ in range(3)]
PUSHT = {"observation/image": PICTURE, "prompt": "push the T"}
DROID = {
    "observation/wrist_image_left": WIDE[0],
    "observation/exterior_image_1_left": WIDE[1],
    "observation/exterior_image_2_left": WIDE[2],
    "observation/joint_position": np.linspace(-1, 0, 7),
    "observation/gripper_position": np.array([0.25]),
    "prompt": "pick up the cup",
}
LIBERO = {
    "observation/image": PICTURE,
    "observation/wrist_image": WIDE[0],
    "observation/state": np.zeros(8),
    "prompt": "open the drawer",
}
JOINT = "/openpi?domain=droid_lerobot_joint"
NO_BYTES = {"__ndarray__": True, "data": None, "dtype": "|u1", "shape": [96, 96, 3]}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    model = SteppingModel()
    settings = ServerSettings(data=tmp_path_factory.mktemp("openpi"), port=0, domain="pusht")
    with live_server(settings, model) as url:
        model.url = url
        yield model


@pytest.fixture
def model(server):
    server.batches.clear()
    server.step, server.stopped = 0.0, 0
    return server


@contextmanager
def by_hand(model, path="", **options):
    """A connection that has been greeted."""
    url = model.url.replace("http", "ws") + path
    with connect(url, compression=None, max_size=None, **options) as connection:
        assert "observation_keys" in unpack(connection.recv(timeout=10))
        yield connection


def infer(model, observation, path=""):
    with by_hand(model, path) as connection:
        connection.send(pack(observation))
        answer = connection.recv(timeout=20)
        assert isinstance(answer, bytes), answer
        return unpack(answer)


def theirs(model, path=""):
    client = pytest.importorskip("openpi_client.websocket_client_policy")
    if path:
        return client.WebsocketClientPolicy(host=model.url.replace("http", "ws") + path)
    host, _, port = model.url.removeprefix("http://").partition(":")
    return client.WebsocketClientPolicy(host=host, port=int(port))


def test_openpis_own_client_drives_the_policy(model):
    policy = theirs(model)
    assert policy.get_server_metadata() == {
        "domain": "pusht", "observation_keys": ["observation/image", "prompt"], "actions": "the domain's own units",
        "action_chunk_size": 16, "fps": 10.0,
    }  # fmt: skip
    answers = [policy.infer(PUSHT) for _ in range(2)]
    expected = answered_actions(0, 16, get_domain("pusht"))
    for answer in answers:
        np.testing.assert_array_equal(answer["actions"], expected)
        assert answer["actions"].dtype == np.float32
    assert answers[0]["server_timing"].keys() == {"infer_ms"}
    assert answers[1]["server_timing"]["prev_total_ms"] >= answers[0]["server_timing"]["infer_ms"]
    ((request,), _) = model.batches
    assert (request.mode, request.action_space, request.prompt, request.return_frames) == (
        "policy", "robot", "push the T", False)  # fmt: skip
    np.testing.assert_array_equal(request.frames, PICTURE[None])
    policy.reset()
    with pytest.raises(RuntimeError, match="observation/image"):
        policy.infer({"prompt": "push"})


def test_openpis_chunk_broker(model):
    broker = pytest.importorskip("openpi_client.action_chunk_broker")
    policy = broker.ActionChunkBroker(theirs(model, f"{JOINT}&seed=4&action_chunk_size=8"), action_horizon=8)
    actions = np.stack([policy.infer(DROID)["actions"] for _ in range(8)])
    expected = answered_actions(4, 8, get_domain("droid_lerobot_joint"))
    np.testing.assert_array_equal(actions[:, :7], expected[:, :7])
    assert len(model.batches) == 1


def test_droid(model):
    answer = infer(model, DROID, JOINT)
    expected = answered_actions(0, 32, get_domain("droid_lerobot_joint"))
    np.testing.assert_array_equal(answer["actions"][:, :7], expected[:, :7])
    np.testing.assert_allclose(answer["actions"][:, 7], 1 - expected[:, 7], rtol=1e-6)  # 1 is closed there
    np.testing.assert_array_equal(answer["action"], answer["actions"])
    ((request,),) = model.batches
    np.testing.assert_array_equal(request.frames, compose([view[None] for view in WIDE], "stacked"))
    np.testing.assert_allclose(request.state, [*np.linspace(-1, 0, 7), 0.75], rtol=1e-6)
    history = {**DROID, "observation/joint_position": np.tile(np.linspace(-1, 0, 7), (3, 1)), "session_id": "x"}
    infer(model, {**history, "observation/image": PICTURE}, JOINT)  # what is composed already is taken as it is
    np.testing.assert_array_equal(model.batches[1][0].frames, PICTURE[None])
    np.testing.assert_allclose(model.batches[1][0].state, request.state)


def test_libero(model):
    answer = infer(model, LIBERO, "/openpi?domain=libero")
    given = answered_actions(0, 16, get_domain("libero"))
    assert answer["actions"].shape == (16, 7)
    np.testing.assert_array_equal(answer["actions"][:, :3], given[:, :3])
    np.testing.assert_allclose(answer["actions"][:, 6], np.clip(1 - 2 * given[:, 9], -1, 1), rtol=1e-5)
    for row, action in zip(given, answer["actions"], strict=True):
        first = row[3:6] / np.linalg.norm(row[3:6])
        turned = Rotation.from_rotvec(action[3:6]).as_matrix()
        np.testing.assert_allclose(turned @ turned.T, np.eye(3), atol=1e-6)
        assert turned[:, 0] @ first > 0.5  # the noise is no rotation; the nearest one is not far from it
    ((request,),) = model.batches
    assert request.frames.shape == (1, 256, 512, 3)


def test_settings_of_a_connection(model):
    query = "/openpi?domain=pusht&action_chunk_size=4&num_steps=2&guidance=1.5&shift=3&image_size=480&seed=11"
    assert infer(model, PUSHT, query)["actions"].shape == (4, 2)
    ((request,),) = model.batches
    found = (request.num_steps, request.guidance, request.shift, request.image_size, request.seed)
    assert found == (2, 1.5, 3.0, "480", 11)


@pytest.mark.parametrize(
    "picture",
    [
        PICTURE.transpose(2, 0, 1),
        PICTURE.astype(np.float32) / 255,
        (PICTURE / 255).transpose(2, 0, 1),
    ],
    ids=["channels first", "floating point", "both"],
)
def test_pictures_as_openpi_takes_them(picture, model):
    infer(model, {**PUSHT, "observation/image": picture})
    np.testing.assert_array_equal(model.batches[0][0].frames, PICTURE[None])


BAD = [
    ("", b"\xc1", "msgpack"),
    ("", pack([1]), "map"),
    ("", "words", "binary"),
    ("", pack({"prompt": "x"}), "observation/image"),
    ("", pack({**PUSHT, "prompt": 3}), "prompt"),
    ("", pack({**PUSHT, "observation/image": "a.png"}), "observation/image: expected a picture"),
    ("", pack({**PUSHT, "observation/image": PICTURE[..., :2]}), "3 channels"),
    ("", pack({**PUSHT, "observation/image": PICTURE.astype(np.int64)}), "int64"),
    ("", pack({**PUSHT, "observation/image": NO_BYTES}), "openpi's form"),
    ("", pack({**PUSHT, "observation/image": PICTURE.astype(float)}), "from 0 to 1"),
    ("", pack({**PUSHT, "observation/image": np.full((8, 8, 3), np.nan)}), "from 0 to 1"),
    (JOINT, pack({k: v for k, v in DROID.items() if "image_2" not in k}), "observation/exterior_image_2_left"),
    (JOINT, pack({k: v for k, v in DROID.items() if "joint" not in k}), "observation/joint_position"),
    (JOINT, pack({**DROID, "observation/joint_position": np.zeros(6)}), "7 finite"),
    (JOINT, pack({**DROID, "observation/gripper_position": "open"}), "1 number"),
    (JOINT, pack({**DROID, "observation/joint_position": np.full(7, np.nan)}), "7 finite"),
    (JOINT, pack({**DROID, "observation/joint_position": np.full(7, 1e300)}), "joint_position: a number is too large"),
    ("/openpi?domain=libero", pack(PUSHT), "observation/wrist_image"),
    ("", pack({**PUSHT, "prompt": "break"}), "its log says why"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "message", "said"), BAD, ids=lambda value: value if isinstance(value, str) else "")
def test_an_error_is_one_sentence_in_a_text_and_the_end(path, message, said, model):
    with by_hand(model, path) as connection:
        connection.send(message)
        answer = connection.recv(timeout=10)
        assert isinstance(answer, str)
        assert said in answer
        assert "Traceback" not in answer
        assert "hostname" not in answer
        with pytest.raises(ConnectionClosed) as closed:
            connection.recv(timeout=10)
    assert closed.value.rcvd.code == 1011


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/openpi?domain=nobody", "unknown domain"),
        ("/openpi?domain=/etc/hosts", "not given by a path"),
        ("/openpi?domian=pusht", "domian"),
        ("/openpi?num_steps=0", "num_steps"),
        ("/openpi?action_chunk_size=5", "action_chunk_size"),
        ("/openpi?seed=-1", "seed"),
        ("/openpi?image_size=512", "image_size"),
        ("/openpi?domain=galbot", "has not been published"),
    ],
)
def test_a_connection_that_cannot_be_served_is_refused_at_the_door(path, said, model):
    with pytest.raises(InvalidStatus) as refused, by_hand(model, path):
        pass
    assert refused.value.response.status_code in (400, 422)
    assert said in refused.value.response.body.decode()


def test_without_a_robot_there_is_no_policy(tmp_path):
    model = SteppingModel()
    with live_server(ServerSettings(data=tmp_path, port=0), model) as model.url:
        with pytest.raises(InvalidStatus) as refused, by_hand(model):
            pass
        assert b"--domain" in refused.value.response.body
        assert infer(model, PUSHT, "/openpi?domain=pusht")["actions"].shape == (16, 2)


def test_keys_and_health(tmp_path):
    model = SteppingModel()
    with live_server(ServerSettings(data=tmp_path, port=0, domain="pusht", api_keys=("right",)), model) as model.url:
        for headers in ({}, {"Authorization": "Api-Key wrong"}):
            for path in ("", "/openpi"):
                with pytest.raises(InvalidStatus) as refused, by_hand(model, path, additional_headers=headers):
                    pass
                assert refused.value.response.status_code == 401
                assert b"API key" in refused.value.response.body
        with by_hand(model, additional_headers={"Authorization": "Api-Key right"}):
            pass
        health = httpx.get(model.url + "/healthz")
        assert (health.status_code, health.text) == (200, "OK\n")


def until(what, seconds=10.0):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_client_that_leaves_takes_its_question_back(model):
    model.step = 0.05
    with by_hand(model, "/openpi?domain=pusht&num_steps=1000") as connection:
        connection.send(pack(PUSHT))
        until(lambda: model.batches)
    until(lambda: model.stopped == 1)
    model.step = 0.0
    assert infer(model, PUSHT)["actions"].shape == (16, 2)
    counts = httpx.get(model.url + "/jobs").json()["counts"]
    assert counts["queued"] == counts["running"] == 0


def test_what_comes_too_early_is_answered_in_its_turn(model):
    with by_hand(model) as connection:
        for prompt in ("one", "two", "three"):
            connection.send(pack({**PUSHT, "prompt": prompt}))
        for _ in range(3):
            assert unpack(connection.recv(timeout=10))["actions"].shape == (16, 2)
    assert [batch[0].prompt for batch in model.batches] == ["one", "two", "three"]


def test_clients_share_a_forward_pass_and_answers_leave_nothing(tmp_path):
    model = SteppingModel()
    settings = ServerSettings(data=tmp_path, port=0, domain="pusht", batching=Batching(window=2.0, size=2))
    with live_server(settings, model) as model.url:
        with by_hand(model) as one, by_hand(model) as other:
            one.send(pack(PUSHT))
            other.send(pack(PUSHT))
            for connection in (one, other):
                assert unpack(connection.recv(timeout=10))["actions"].shape == (16, 2)
        assert [len(batch) for batch in model.batches] == [2]
        assert httpx.get(model.url + "/jobs").json()["jobs"] == []
        assert not any((tmp_path / "jobs").iterdir())


def test_this_librarys_own_adapter(model):
    with OpenPIPolicy(model.url.replace("http", "ws"), prompt="push the T") as policy:
        actions = policy.act({"pixels": PICTURE, "agent_pos": np.zeros(2, np.float32)})
    np.testing.assert_array_equal(actions, answered_actions(0, 16, get_domain("pusht")))


def test_what_is_wrong_in_the_model_is_logged_with_its_traceback(model, caplog):
    with by_hand(model) as connection, caplog.at_level(logging.ERROR, "cosmos_robot.serving"):
        connection.send(pack({**PUSHT, "prompt": "break"}))
        connection.recv(timeout=10)
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.slow
def test_the_embedded_model_gives_a_client_what_it_gives_the_library(tmp_path):
    world_model = load_world_model(device="cpu")
    with live_server(ServerSettings(data=tmp_path, port=0), world_model) as world_model.url:  # it knows one robot
        actions = infer(world_model, PUSHT)["actions"]
    expected = world_model.policy(PICTURE, prompt="push the T", domain="pusht", seed=0)
    np.testing.assert_allclose(actions, expected.actions, atol=1e-3)
