"""Playing over HTTP: the real table is gym-pusht, figures are true, players are few, and the queue goes on meanwhile."""

import asyncio
import base64
import io
import sys
import threading
import time
import uuid
from functools import partial

import numpy as np
import pytest
from page_world import PageWorld
from PIL import Image
from starlette.testclient import WebSocketDenialResponse
from stepping_model import SteppingModel

import cosmos_robot as cr
from cosmos_robot.serving.page_facts import play_refusal, served_modes
from cosmos_robot.serving.play_session import PlayLimits, PlaySession, PlaySessions
from cosmos_robot.serving.play_tables import LearnedTable, RealTable, recorded_start
from cosmos_robot.serving.problems import RequestError
from cosmos_robot.training.pusht_recording import HELD_OUT_SEED, open_simulator

pytest.importorskip("gym_pusht", reason="gym-pusht comes with the extra pusht")
WAY = [[40.0 * i, 300.0] for i in range(1, 9)]


def frames_of(strip):
    """Frames `[T, H, W, 3]` of a strip."""
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(strip))))
    return pixels.reshape(-1, pixels.shape[1], *pixels.shape[1:])


def simulated(table, targets=()):
    """What gym-pusht shows of a table, from its reset on."""
    env = open_simulator()
    seen = [env.reset(seed=HELD_OUT_SEED + table)[0]["pixels"]]
    seen += [env.step(np.array(target))[0]["pixels"] for target in targets]
    env.close()
    return np.stack(seen)


@pytest.fixture(scope="module")
def world():
    return PageWorld(3, 4)


@pytest.fixture
def player(serve, world):
    """A client, and the address of a session at table 3."""
    world.wrong = False
    world.gate.set()
    with serve(world) as client:
        answer = client.post("/play", json={"seed": 3})
        assert answer.status_code == 201, answer.text
        yield client, f"/play/{answer.json()['id']}", answer.json()


def stepped(client, url, targets):
    answer = client.post(f"{url}/steps", json={"targets": targets})
    assert answer.status_code == 200, answer.text
    return answer.json()


def offered(client):
    answer = client.get("/facts")
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_real_table_is_the_simulator(player):
    client, url, first = player
    chunks = [stepped(client, url, WAY[:4]), stepped(client, url, WAY[4:])]
    real = np.concatenate([frames_of(first["real"]), *(frames_of(chunk["real"]) for chunk in chunks)])
    np.testing.assert_array_equal(real, simulated(3, WAY))
    learned = np.concatenate([frames_of(first["learned"]), *(frames_of(chunk["learned"]) for chunk in chunks)])
    np.testing.assert_array_equal(learned, real)  # this learned world is exactly right
    assert chunks[1]["agreement"]["psnr"] == [60.0] * 4
    assert max(chunks[1]["agreement"]["pusher"]) < 4
    assert chunks[1]["coverage"]["learned"] == pytest.approx(chunks[1]["coverage"]["real"], abs=0.02)


def test_figures_of_a_wrong_world_and_sync(player, world):
    client, url, _ = player
    world.wrong = True
    wrong = stepped(client, url, WAY)
    figures, real = wrong["agreement"], frames_of(wrong["real"])
    error = np.square(frames_of(wrong["learned"])[-1] / 255.0 - real[-1] / 255.0).mean()
    assert figures["psnr"][-1] == pytest.approx(-10 * np.log10(error), abs=0.01)
    assert figures["pusher"][-1] > 100
    synced = client.post(f"{url}/sync").json()
    np.testing.assert_array_equal(frames_of(synced["learned"])[0], real[-1])
    world.wrong = False
    assert stepped(client, url, WAY[:4])["agreement"]["psnr"] == [60.0] * 4


def test_chunks_are_imagined_with_those_before_them(player, world):
    """Up to the model's longest chunk; then from the last frame on, with another seed."""
    client, url, _ = player
    world.batches.clear()
    first = stepped(client, url, WAY)
    later = [stepped(client, url, WAY[:4]) for _ in range(3)]
    asked = [batch[0] for batch in world.batches]
    assert [request.action_chunk_size for request in asked] == [8, 12, 16, 4]
    assert len({request.seed for request in asked[:3]}) == 1
    assert asked[3].seed != asked[0].seed
    np.testing.assert_array_equal(asked[2].frames, asked[0].frames)
    np.testing.assert_array_equal(asked[3].frames[0], frames_of(later[1]["learned"])[-1])
    shown = np.concatenate([frames_of(chunk["learned"]) for chunk in (first, *later)])
    np.testing.assert_array_equal(shown, simulated(3, [*WAY, *WAY[:4], *WAY[:4], *WAY[:4]])[1:])


def test_another_table(player):
    client, url, _ = player
    stepped(client, url, WAY)
    answer = client.post(f"{url}/reset", json={"seed": 4}).json()
    assert answer["seed"] == 4
    np.testing.assert_array_equal(frames_of(answer["real"]), simulated(4))
    np.testing.assert_array_equal(frames_of(answer["learned"]), simulated(4))
    assert stepped(client, url, WAY)["agreement"]["psnr"] == [60.0] * 8


def test_kept_starts_are_the_first_tables():
    table = RealTable(0)
    for seed in range(8):
        table.reset(seed)
        np.testing.assert_array_equal(recorded_start(seed), table.frame)
    np.testing.assert_array_equal(recorded_start(8 + 5), recorded_start(5))
    assert not np.array_equal(recorded_start(5), recorded_start(6))


def test_without_the_simulator(serve, world, monkeypatch):
    with serve(world) as client:
        assert offered(client)["play"]["without_simulator"] is None
        with monkeypatch.context() as absent:
            absent.setitem(sys.modules, "gym_pusht", None)  # as where it is not installed
            assert "pip install 'cosmos-robot[pusht]'" in offered(client)["play"]["without_simulator"]
            begun = client.post("/play", json={"seed": 3}).json()
        assert (begun["real"], begun["coverage"]["real"]) == (None, None)
        url = f"/play/{begun['id']}"
        answer = stepped(client, url, WAY)
        np.testing.assert_array_equal(frames_of(answer["learned"]), simulated(3, WAY)[1:])
        assert (answer["real"], answer["agreement"]) == (None, None)
        assert client.post(f"{url}/sync").status_code == 409


@pytest.mark.parametrize("targets", [[[0, 0]] * 6, [[0, 0]] * 20, [[0, 513]] * 4, [[1, 2, 3]] * 4, [["1", 2]] * 4, []])
def test_targets_that_are_refused(player, targets):
    client, url, _ = player
    answer = client.post(f"{url}/steps", json={"targets": targets})
    assert answer.status_code == 422
    assert stepped(client, url, WAY)["agreement"]["psnr"] == [60.0] * 8  # nothing moved in either world


def test_tables_that_are_gone(player):
    client, url, _ = player
    assert client.delete(url).status_code == 204
    assert client.delete(url).status_code == 204
    assert client.post(f"{url}/steps", json={"targets": WAY}).status_code == 404


def test_players_are_few(player):
    client, _, _ = player
    others = [client.post("/play", json={"seed": 3}) for _ in range(PlayLimits().sessions - 1)]
    assert {answer.status_code for answer in others} == {201}
    refused = client.post("/play", json={})
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "30")
    client.delete(f"/play/{others[0].json()['id']}")
    assert client.post("/play", json={"seed": 3}).status_code == 201


def test_idle_tables_are_freed(world):
    begin = partial(LearnedTable, world)

    async def play():
        sessions = PlaySessions(PlayLimits(sessions=2, idle_seconds=0.2))
        left, kept = [await sessions.open(lambda: PlaySession(begin, None, 3)) for _ in range(2)]
        with pytest.raises(RequestError, match="2 are playing"):
            await sessions.open(lambda: PlaySession(begin, None, 3))
        with kept.claimed():  # never freed while it is in use
            await asyncio.sleep(0.5)
            with pytest.raises(RequestError, match="no such table"):
                sessions.get(left.id)
            assert sessions.get(kept.id) is kept
        await asyncio.sleep(0.5)
        assert len(sessions) == 0

    asyncio.run(play())


def test_the_queue_goes_on_and_the_server_answers(player, world):
    """A chunk waits for the batch that runs, the next batch for the chunk, and nobody else for either."""
    client, url, _ = player
    world.batches.clear()
    world.gate.clear()
    ids = [str(uuid.uuid4()) for _ in range(2)]

    def submit(index):
        request = {"mode": "text2image", "prompt": "a", "seed": index, "num_steps": 2 + index}  # no common batch
        assert client.put(f"/jobs/{ids[index]}", json={"requests": [request]}).status_code == 202

    submit(0)
    wait_until(lambda: len(world.batches) == 1)
    answers = []

    def ask():
        answers.append(client.post(f"{url}/steps", json={"targets": WAY}))

    chunks = [threading.Thread(target=ask) for _ in range(2)]
    for chunk in chunks:
        chunk.start()
    wait_until(lambda: len(answers) == 1)
    assert answers[0].status_code == 409  # whichever came second
    submit(1)
    assert client.get(f"/jobs/{ids[0]}").json()["state"] == "running"
    world.gate.set()
    for chunk in chunks:
        chunk.join()
    assert client.get(f"/jobs/{ids[1]}/answer?wait=10").status_code == 200
    assert [batch[0].mode for batch in world.batches] == ["text2image", "forward_dynamics", "text2image"]
    assert answers[1].status_code == 200
    assert answers[1].json()["seconds"]["waited"] > 0


def wait_until(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_key_is_wanted_of_all_but_the_page_itself(serve, world):
    with serve(world, api_keys=("right",), domain="pusht") as client:
        page = client.get("/")
        assert page.status_code == 200
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert client.get("/page/main.js").headers["content-type"].startswith("text/javascript")
        for method, path in (("GET", "/facts"), ("POST", "/play"), ("POST", "/play/x/steps"), ("DELETE", "/play/x")):
            assert client.request(method, path, json={}).status_code == 401
        assert client.get("/facts", headers={"Authorization": "Bearer right"}).status_code == 200
        for path in ("/", "/page/main.js"):  # openpi's websocket has the page's path, and is no page
            with pytest.raises(WebSocketDenialResponse) as denied, client.websocket_connect(f"ws://localhost{path}"):
                pass
            assert denied.value.status_code == 401
        with client.websocket_connect("ws://localhost/", headers={"Authorization": "Api-Key right"}):
            pass


@pytest.mark.parametrize("name", ["none.js", "..%2Fplay.py", "%2Fetc%2Fhostname", "index.html%00"])
def test_no_other_files_are_given(client, name):
    assert client.get(f"/page/{name}").status_code == 404


def test_what_world_models_offer(serve):
    fal = cr.load_world_model("fal+http://localhost:9", api_key="k")
    assert served_modes(fal) == ("text2image", "image2video")
    assert "no forward dynamics" in play_refusal(fal)
    other = SteppingModel(longest=16)
    other.facts.domain_ids = [1]
    with serve(other) as client:
        facts = offered(client)
        assert "not trained on Push-T" in facts["play"]["refusal"]
        assert [domain["name"] for domain in facts["domains"]] == ["av"]
        answer = client.post("/play", json={})
        assert (answer.status_code, answer.json()["error"]["message"]) == (422, facts["play"]["refusal"])
