"""Services that misbehave: what is tried again, what is not, and what is said in the end."""

import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from faulty_server import CUT, CUT_AFTER, HALF, Silent, Status, faulty_server
from server_process import server as server_process
from service_urls import SERVICES, at

import cosmos_robot as cr
from cosmos_robot.errors import (
    AccessError,
    AnswerError,
    CosmosRobotError,
    InvalidInputError,
    ServiceError,
    UnsafeContentError,
)

QUICK = cr.Retries(count=3, first_wait=0.01, longest_wait=0.02)
BUSY = Status(429, b'{"detail": "full"}', {"Retry-After": "0"})
SYNCHRONOUS = ("nim", "baseten", "cosmic")
QUEUED = ("fal", "pixazo")


@pytest.fixture(scope="module")
def faulty(server):
    """A server in front of the running one."""
    with faulty_server(server) as started:
        yield started


@pytest.fixture
def open_at(faulty):
    """Open world models of a service behind the faults."""
    opened = []

    def start(service, **options):
        opened.append(cr.load_world_model(at(service, faulty.url), **{"retries": QUICK, **options}))
        return opened[-1]

    yield start
    for world_model in opened:
        world_model.close()


def draw(world_model, **options):
    return world_model.text2image("a cup", seed=7, **options)


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    "faults",
    [[BUSY, BUSY], [Status(503, headers={"Retry-After": "0"})]],
    ids=["429", "503 that names a wait"],
)
def test_a_service_that_has_no_room_is_asked_again(service, faults, open_at, faulty, model):
    faulty.misbehave(*faults)
    assert draw(open_at(service)).seed == 7
    assert len(model.batches) == 1


def test_a_wait_that_is_named_is_kept(open_at, faulty):
    faulty.misbehave(Status(429, headers={"Retry-After": "1"}))
    begun = time.monotonic()
    draw(open_at("nim"))
    assert time.monotonic() - begun >= 1.0


def test_a_wait_past_the_deadline_is_not_begun(open_at, faulty):
    faulty.misbehave(Status(429, headers={"Retry-After": "600"}))
    begun = time.monotonic()
    with pytest.raises(ServiceError, match=r"within 30 s \(it asks to wait 600 s more\)"):
        draw(open_at("nim", timeout=30.0))
    assert time.monotonic() - begun < 5.0


@pytest.mark.parametrize("service", ["http", *QUEUED])
def test_a_connection_that_ends_while_it_is_asked_how_far_it_is(service, open_at, faulty, model):
    """Questions are asked again; what was submitted is not submitted again."""
    faulty.misbehave(CUT, HALF, Status(502), CUT_AFTER, on="GET")
    answer = draw(open_at(service, retries=cr.Retries(count=4, first_wait=0.01, longest_wait=0.02)))
    assert abs(int(answer.frames.mean()) - 7) <= 1
    assert len(model.batches) == 1


@pytest.mark.parametrize("fault", [CUT, CUT_AFTER, HALF, Status(500), Status(502), Status(503)], ids=str)
@pytest.mark.parametrize("service", [*SYNCHRONOUS, *QUEUED])
def test_what_may_have_arrived_is_not_submitted_again(service, fault, open_at, faulty):
    faulty.misbehave(fault)
    with pytest.raises(ServiceError, match=r"may have arrived|failed \(50\d\)"):
        draw(open_at(service))
    assert faulty.methods() == ["POST"]


@pytest.mark.parametrize("fault", [CUT, CUT_AFTER, HALF, Status(500), Status(502)], ids=str)
def test_a_job_under_our_own_id_is_submitted_again_and_done_once(fault, open_at, faulty, model):
    faulty.misbehave(fault, on="PUT")
    assert draw(open_at("http")).seed == 7
    assert faulty.methods().count("PUT") == 2
    assert len(model.batches) == 1


@pytest.mark.parametrize("fault", [CUT, Status(500)], ids=str)
def test_an_answer_that_is_there_is_not_lost_with_the_thanks(fault, open_at, faulty):
    faulty.misbehave(fault, on="DELETE")
    assert draw(open_at("http")).seed == 7
    assert faulty.methods().count("DELETE") == 1


def test_a_server_that_forgot_the_job(open_at, faulty):
    faulty.misbehave(Status(404), on="GET")
    with pytest.raises(ServiceError, match="knows nothing of this job any more"):
        draw(open_at("http"))


def test_it_is_given_up_in_the_end(open_at, faulty):
    faulty.misbehave(*[Status(503, b"<html>down</html>")] * 9)
    with pytest.raises(ServiceError, match=r"server at http://.* failed \(503\): <html>down</html>"):
        draw(open_at("http"))
    assert faulty.methods() == ["PUT"] * 4


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_that_is_not_there(service):
    with socket.socket() as bound:  # nobody listens, and nobody else can
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        with pytest.raises(ServiceError, match=r"127\.0\.0\.1.* cannot be reached: "):
            draw(cr.load_world_model(at(service, url), retries=QUICK))


def test_a_service_that_comes_up_late_gets_what_never_arrived():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
    world_model = cr.load_world_model(f"nim://127.0.0.1:{port}", retries=cr.Retries(100, 0.1, 0.2))
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(draw, world_model)
        time.sleep(0.2)
        with socket.create_server(("127.0.0.1", port)) as late:
            connection, _ = late.accept()
            with connection:
                assert connection.recv(65536).startswith(b"POST /v1/infer")
                connection.sendall(b'HTTP/1.1 422 X\r\nContent-Length: 18\r\n\r\n{"detail": "late"}')
                with pytest.raises(InvalidInputError, match="late"):
                    asking.result(timeout=10)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_that_is_silent(service, open_at, faulty):
    faulty.misbehave(Silent(0.6))
    begun = time.monotonic()
    with pytest.raises(ServiceError, match=r"was silent for 0\.2 s|no answer within"):
        draw(open_at(service, retries=0, timeout=cr.Timeouts(read=0.2)))
    assert time.monotonic() - begun < 3.0


@pytest.mark.parametrize("service", ["http", "nim", "fal", "pixazo"])
def test_the_whole_takes_no_longer_than_it_may(service, server, model):
    model.gate.clear()
    try:
        begun = time.monotonic()
        with pytest.raises(ServiceError, match=r"no answer within 0\.7 s"):
            draw(cr.load_world_model(at(service, server), timeout=0.7))
        assert time.monotonic() - begun < 4.0
    finally:
        model.gate.set()


@pytest.mark.parametrize("service", SERVICES)
def test_a_key_that_is_wrong(service, tmp_path):
    from live_server import live_server
    from stepping_model import SteppingModel

    from cosmos_robot.serving.settings import ServerSettings

    settings = ServerSettings(data=tmp_path / "data", port=0, api_keys=("right",))
    with live_server(settings, SteppingModel()) as url:
        for key in (None, "wrong"):
            with pytest.raises(AccessError, match=r"does not let this key in \(401\)"):
                draw(cr.load_world_model(at(service, url), api_key=key))
        assert draw(cr.load_world_model(at(service, url), api_key="right")).seed == 7


@pytest.mark.parametrize(
    ("fault", "error", "said"),
    [
        (Status(402, b'{"error": "Insufficient Balance", "message": "no money"}'), AccessError, "no money"),
        (Status(403, b"<html>"), AccessError, "403"),
        (Status(404, b"not here"), InvalidInputError, "Check the address"),
        (Status(308, b"", {"Location": "https://example.com/"}), InvalidInputError, "sends on to https://example.com/"),
        (Status(422, b'{"detail": [{"loc": ["body", "a"], "msg": "bad"}]}'), InvalidInputError, "a: bad"),
        (
            Status(422, b'{"detail": "x", "error_type": "content_policy_violation"}'),
            UnsafeContentError,
            "refuses",
        ),
        (Status(422, b'{"error": {"type": "unsupported", "message": "no sound"}}'), NotImplementedError, "no sound"),
        (Status(200, b"<html>"), AnswerError, "no JSON"),
        (Status(200, b"[1]"), AnswerError, "without b64_image"),
        (Status(200, b'{"b64_image": "%"}'), AnswerError, "not base64"),
        (Status(200, b'{"b64_image": "aGVsbG8="}'), AnswerError, "neither a picture nor a video"),
        (Status(200, b'{"b64_image": "iVBORw0KGgo="}'), AnswerError, "cannot be used"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_an_answer_is_in_our_errors(fault, error, said, open_at, faulty):
    faulty.misbehave(fault)
    with pytest.raises(error, match=said) as raised:
        draw(open_at("nim"))
    assert isinstance(raised.value, CosmosRobotError)
    assert "NIM at http" in str(raised.value)


def test_answers_of_another_shape(open_at, faulty, frame, clip):
    world_model = open_at("nim")
    for body, said in (
        (b"{}", "without action"),
        (b'{"action": {"data": "x"}}', "no rows of numbers"),
        (b'{"action": {"data": [[1, 2]]}}', "expected 16 rows of 2"),
        (b'{"action": {"data": [[1, null]]}}', "finite numbers"),
    ):
        faulty.misbehave(Status(200, body))
        with pytest.raises(AnswerError, match=said):
            world_model.inverse_dynamics(clip, domain="pusht")
    faulty.misbehave(Status(200, b'{"id": "x", "items": []}'), on="GET")
    with pytest.raises(AnswerError, match="one for each of 1"):
        open_at("http").policy(frame, domain="pusht")


def test_one_that_fails_ends_the_others(open_at, faulty, frame, actions):
    faulty.misbehave(Silent(0.5), Status(422, b'{"detail": "this one"}'))
    begun = time.monotonic()
    with pytest.raises(InvalidInputError, match="this one"):
        open_at("nim", concurrency=2).forward_dynamics([frame] * 6, [actions] * 6, domain="pusht")
    assert time.monotonic() - begun < 5.0
    time.sleep(0.7)
    assert len(faulty.seen) <= 2


@pytest.mark.parametrize("service", ["http", "fal"])
def test_whoever_gives_up_cancels_at_the_service(service, server, model):
    def enough(done, _total):
        raise KeyboardInterrupt

    stopped = model.stopped
    model.step = 0.3
    try:
        with pytest.raises(KeyboardInterrupt):
            draw(cr.load_world_model(at(service, server)), num_steps=40, progress=enough)
        end = time.monotonic() + 5
        while model.stopped == stopped:
            assert time.monotonic() < end, "the model went on"
            time.sleep(0.02)
    finally:
        model.step = 0.0


def test_ctrl_c_cancels_all_of_a_batch_at_the_service(open_at, faulty, model):
    """When the call has ended, the process may end too: the last calls have been made by then."""

    def interrupt():
        end = time.monotonic() + 10
        while faulty.methods().count("GET") < 3 and time.monotonic() < end:
            time.sleep(0.02)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    faulty.misbehave()
    world_model = open_at("fal", concurrency=3)
    model.gate.clear()
    interrupting = threading.Thread(target=interrupt)
    interrupting.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            world_model.text2image(["a cup"] * 3, num_steps=40)
        cancelled = {path for method, path, _ in list(faulty.seen) if method == "PUT"}
        assert len(cancelled) == 3
        assert all(path.endswith("/cancel") for path in cancelled)
        assert not [thread for thread in threading.enumerate() if thread.name == "remote world model"]
    finally:
        model.gate.set()
        interrupting.join()


def test_who_gives_up_does_not_wait_for_a_silent_service(open_at, faulty, monkeypatch):
    monkeypatch.setattr("cosmos_robot.remote.sync_sender.LAST_CALL_SECONDS", 0.2)
    monkeypatch.setattr("cosmos_robot.remote.sync_sender._NOTICE_SECONDS", 0.2)
    faulty.misbehave(Silent(4.0), Status(422, b'{"detail": "this one"}'))
    begun = time.monotonic()
    with pytest.raises(InvalidInputError, match="this one"):
        open_at("nim", concurrency=2).text2image(["a cup"] * 2)
    assert time.monotonic() - begun < 3.0


def test_progress_is_told_in_steps(server, model):
    told = []
    model.step = 0.25
    try:
        draw(cr.load_world_model(server), num_steps=6, progress=lambda *step: told.append(step))
    finally:
        model.step = 0.0
    assert (1, 1) in told
    assert any(total == 6 and 0 < done < 6 for done, total in told)


@pytest.mark.slow
def test_a_server_that_is_killed_and_started_again_while_it_is_waited_for(tmp_path):
    """The job was accepted; the answer comes from the second server, at the same address."""
    with server_process(tmp_path / "data", 0.3) as first:
        port = first.url.rpartition(":")[2]
        world_model = cr.load_world_model(first.url, retries=cr.Retries(400, 0.5, 0.5))
        answers = []
        asking = threading.Thread(target=lambda: answers.append(draw(world_model, num_steps=5)))
        asking.start()
        while not any(job["state"] == "running" for job in first.jobs().values()):
            time.sleep(0.05)
        first.kill()
        with server_process(tmp_path / "data", 0.0, "--port", port):
            asking.join(timeout=120)
    assert [answer.seed for answer in answers] == [7]
    assert np.all(answers[0].frames == 7)
