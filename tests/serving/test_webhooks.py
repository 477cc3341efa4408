"""Webhooks: what is told and signed, retries, receivers that hang, private addresses, and restarts."""

import socket
import sqlite3
import stat
import time
from itertools import pairwise

import pytest
from cryptography.exceptions import InvalidSignature
from server_process import server
from stepping_model import SteppingModel
from webhook_receiver import receiver

from cosmos_robot.errors import InvalidInputError
from cosmos_robot.serving.settings import WebhookPolicy
from cosmos_robot.serving.webhook_signature import SigningKey

FAL = "/fal/queue/nvidia/cosmos-3-super"
PIXAZO = "/cosmos-3-super-text-to-image/v1/cosmos-3-super-text-to-image-request"
POLICY = WebhookPolicy(seconds=5.0, retries=3, backoff=0.05)
T2I = {"prompt": "A robot.", "seed": 3}


@pytest.fixture
def taker():
    with receiver() as found:
        yield found


@pytest.fixture
def calling(serve, taker):
    """Start servers that may call the receiver."""

    def start(model=None, policy=POLICY, **settings):
        return serve(model, allow_urls=True, url_hosts=(taker.host,), webhooks=policy, **settings)

    return start


def ask_fal(client, url, **body):
    return client.post(f"{FAL}/text-to-image", params={"fal_webhook": url}, json={**T2I, **body})


def ask_pixazo(client, url, **body):
    return client.post(PIXAZO, headers={"X-Webhook-URL": url}, json={**T2I, **body})


def rows(data):
    """State and attempts of every webhook, straight from the database's file."""
    with sqlite3.connect(data / "jobs.sqlite") as connection:
        return connection.execute("SELECT state, attempts FROM webhooks ORDER BY rowid").fetchall()


def wait_for_rows(data, expected, seconds=15.0):
    end = time.monotonic() + seconds
    while rows(data) != expected:
        assert time.monotonic() < end, rows(data)
        time.sleep(0.02)


def make_due(data):
    """Cut the pause before the next attempt short; the server is down."""
    with sqlite3.connect(data / "jobs.sqlite") as connection:
        pauses = [at - time.time() for (at,) in connection.execute("SELECT next_at FROM webhooks WHERE attempts > 0")]
        connection.execute("UPDATE webhooks SET next_at = 0")
    return pauses


def test_fal_tells_the_result(calling, taker, tmp_path):
    with calling(public_url="http://robots.example/", data=tmp_path / "data") as client:
        request_id = ask_fal(client, taker.url("/hook?for=me"), num_images=2).json()["request_id"]
        (call,) = taker.wait(1)
        assert (call.path, call.headers["content-type"]) == ("/hook?for=me", "application/json")
        assert set(call.json()) == {"request_id", "gateway_request_id", "status", "payload"}
        assert call.json()["request_id"] == call.json()["gateway_request_id"] == request_id
        assert call.json()["status"] == "OK"
        assert call.json()["payload"] == client.get(f"{FAL}/requests/{request_id}").json()
        assert call.json()["payload"]["images"][1]["url"].startswith("http://robots.example/files/")
        wait_for_rows(tmp_path / "data", [("delivered", 1)])


def test_fal_tells_an_error(calling, taker):
    with calling() as client:
        request_id = ask_fal(client, taker.url(), prompt="break").json()["request_id"]
        (call,) = taker.wait(1)
        refused = client.get(f"{FAL}/requests/{request_id}")
        assert refused.status_code == 500
        assert call.json() == {
            "request_id": request_id,
            "gateway_request_id": request_id,
            "status": "ERROR",
            "error": "the server failed at this request; its log says why.",
            "payload": refused.json(),
        }


def test_pixazo_tells_what_its_status_says(calling, taker):
    model = SteppingModel(step=0.01)
    model.gate.clear()
    with calling(model) as client:
        asked = [ask_pixazo(client, taker.url(), prompt=prompt) for prompt in ("good", "break", "unwanted")]
        unwanted = asked[2].json()["request_id"].rpartition("_")[2]
        assert client.delete(f"/jobs/{unwanted}").status_code == 202
        model.gate.set()
        told = {call.json()["request_id"]: call.json() for call in taker.wait(3)}
        for accepted, word in zip(asked, ("COMPLETED", "ERROR", "FAILED"), strict=True):
            shown = client.get(accepted.json()["polling_url"]).json()
            assert told[shown["request_id"]] == shown
            assert shown["status"] == word


def test_signatures_are_what_fal_s_documentation_verifies(calling, taker, tmp_path):
    data = tmp_path / "data"
    with calling(api_keys=("secret",), data=data) as client:
        keys = client.get("/.well-known/jwks.json").json()  # without a key of the API
        assert [(key["kty"], key["crv"]) for key in keys["keys"]] == [("OKP", "Ed25519")]
        client.headers["Authorization"] = "Key secret"
        ask_fal(client, taker.url())
        ask_pixazo(client, taker.url())
        for call in taker.wait(2):
            prefix = "X-Fal-Webhook" if "payload" in call.json() else "X-Webhook"
            assert call.verify(prefix, keys) == call.json()["request_id"]
            with pytest.raises(InvalidSignature):
                call.verify(prefix, keys, body=call.body + b" ")
    assert stat.S_IMODE((data / "webhook.key").stat().st_mode) == 0o600
    assert SigningKey(data / "webhook.key").published() == keys  # the same after a restart
    assert SigningKey(tmp_path / "other.key").published() != keys
    (tmp_path / "broken.key").write_bytes(b"short")
    with pytest.raises(InvalidInputError, match="holds no key"):
        SigningKey(tmp_path / "broken.key")


def test_what_is_not_taken_is_sent_again_later_and_later(calling, taker, tmp_path):
    taker.answers = [500, 302, 404, 204]
    with calling(data=tmp_path / "data", policy=WebhookPolicy(seconds=5.0, retries=3, backoff=0.1)) as client:
        ask_fal(client, taker.url())
        calls = taker.wait(4)
        wait_for_rows(tmp_path / "data", [("delivered", 4)])
    assert {call.path for call in calls} == {"/hook"}  # the redirect led nowhere
    assert len({call.body for call in calls}) == 1
    pauses = [later.at - earlier.at for earlier, later in pairwise(calls)]
    assert [pause >= 0.1 * 2**index for index, pause in enumerate(pauses)] == [True] * 3


def test_retries_end(calling, taker, tmp_path, caplog):
    taker.answers = [503]
    with calling(data=tmp_path / "data", policy=WebhookPolicy(seconds=5.0, retries=2, backoff=0.01)) as client:
        ask_pixazo(client, taker.url("/hook?token=hidden"))
        wait_for_rows(tmp_path / "data", [("given_up", 3)])
        taker.answers = [200]
        ask_pixazo(client, taker.url())
        wait_for_rows(tmp_path / "data", [("given_up", 3), ("delivered", 1)])
    assert len(taker.calls) == 4
    assert "attempt 3: status 503; it is given up" in caplog.text
    assert "hidden" not in caplog.text


def test_by_default_ten_retries_within_two_hours():
    policy = WebhookPolicy()
    assert policy.retries == 10
    assert 6000 < sum(policy.backoff * 2**index for index in range(policy.retries)) <= 7200


@pytest.mark.parametrize(
    "wrong", [{"seconds": 0}, {"retries": -1}, {"retries": 31}, {"backoff": -1.0}, {"parallel": 0}]
)
def test_policies_that_cannot_be(wrong):
    with pytest.raises(InvalidInputError, match="webhook"):
        WebhookPolicy(**wrong)


def test_receivers_that_hang_hold_up_nobody(calling, taker, tmp_path):
    """Two hang for ever, though something comes of them all the time; a third is told meanwhile, and jobs go on."""
    taker.answers = [None, None, 200]
    policy = WebhookPolicy(seconds=60.0, retries=1, backoff=0.01, parallel=3)
    with calling(policy=policy, data=tmp_path / "data") as client:
        for count in (1, 2, 3):
            ask_fal(client, taker.url(f"/{count}"))
            taker.wait(count)
        wait_for_rows(tmp_path / "data", [("pending", 1), ("pending", 1), ("delivered", 1)])
        assert client.post("/v1/infer", json={"prompt": "A robot."}).status_code == 200
        begun = time.monotonic()
    assert time.monotonic() - begun < 5  # the end of the server waits for neither


def test_an_attempt_has_an_end(calling, taker, tmp_path):
    taker.answers = [None]
    with calling(policy=WebhookPolicy(seconds=0.2, retries=1, backoff=0.01), data=tmp_path / "data") as client:
        ask_fal(client, taker.url())
        wait_for_rows(tmp_path / "data", [("given_up", 2)])
    assert len(taker.calls) == 2


def test_few_attempts_are_made_at_once(calling, taker, tmp_path):
    taker.answers = [None, None, 200]
    policy = WebhookPolicy(seconds=60.0, retries=1, backoff=0.01, parallel=2)
    with calling(policy=policy, data=tmp_path / "data") as client:
        for _ in range(4):
            ask_fal(client, taker.url())
        taker.wait(2)
        while client.get("/jobs").json()["counts"]["done"] < 4:
            time.sleep(0.01)
        time.sleep(0.2)
        assert len(taker.calls) == 2
        taker.released.set()
        wait_for_rows(tmp_path / "data", [("delivered", 2), ("delivered", 2), ("delivered", 1), ("delivered", 1)])


def test_the_next_start_takes_up_what_is_left(calling, taker, tmp_path):
    data, taker.answers = tmp_path / "data", [500]
    with calling(data=data, policy=WebhookPolicy(seconds=5.0, retries=3, backoff=60.0)) as client:
        ask_fal(client, taker.url())
        taker.wait(1)
    assert rows(data) == [("pending", 1)]
    assert 30 < make_due(data)[0] < 61
    with calling(data=data):
        wait_for_rows(data, [("given_up", 4)])
    assert len(taker.calls) == 4


REFUSED = [
    "http://127.0.0.1:9/", "http://localhost:9/", "http://[::1]/", "http://169.254.169.254/latest", "http://10.0.0.1/",
    "http://0x7f000001/", "http://[::ffff:10.0.0.1]/", "ftp://example.com/", "nonsense", "http://user:word@8.8.8.8/",
    "http://8.8.8.8/" + "x" * 2048, "",
]  # fmt: skip


@pytest.mark.parametrize("url", REFUSED, ids=lambda url: url[:40])
def test_where_no_webhook_is_sent_is_said_at_once(url, serve):
    with serve(allow_urls=True) as client:
        fal, pixazo = ask_fal(client, url), ask_pixazo(client, url)
        assert (fal.status_code, fal.json()["detail"][0]["loc"]) == (422, ["body", "fal_webhook"])
        assert (pixazo.status_code, pixazo.json()["error"]) == (400, "Bad Request")
        assert pixazo.json()["message"].startswith("X-Webhook-URL: ")
        assert client.get("/jobs").json()["jobs"] == []


def test_webhooks_are_the_operator_s_to_allow(client, taker):
    fal, pixazo = ask_fal(client, taker.url()), ask_pixazo(client, taker.url())
    assert (fal.status_code, pixazo.status_code) == (422, 400)
    assert "--allow-urls" in fal.json()["detail"][0]["msg"]
    assert "--allow-urls" in pixazo.json()["message"]


def test_none_with_an_answer_at_once(calling, taker):
    with calling() as client:
        refused = ask_pixazo(client, taker.url(), sync_mode=True)
        assert (refused.status_code, "sync_mode" in refused.json()["message"]) == (400, True)


def test_a_name_that_leads_here_later_is_not_called(calling, taker, monkeypatch, tmp_path):
    """Public when the request is accepted, private when it is called: as it would be resolved by an attacker's server."""
    port, asked, real = taker.host.partition(":")[2], [], socket.getaddrinfo

    def resolve(host, *arguments, **more):
        if host != "rebinding.test":
            return real(host, *arguments, **more)
        asked.append(host)
        return real("93.184.216.34" if len(asked) == 1 else "127.0.0.1", *arguments, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with calling(data=tmp_path / "data", policy=WebhookPolicy(5.0, retries=1, backoff=0.01)) as client:
        assert ask_fal(client, f"http://rebinding.test:{port}/hook").status_code == 200
        wait_for_rows(tmp_path / "data", [("given_up", 2)])
    assert len(asked) == 3
    assert taker.calls == []


def test_a_job_is_kept_until_it_has_been_told_of(calling, taker, tmp_path):
    data, taker.answers = tmp_path / "data", [500, 200]
    with calling(policy=WebhookPolicy(5.0, retries=1, backoff=3600), data=data) as client:
        job_id = ask_fal(client, taker.url()).json()["request_id"]
        taker.wait(1)
        wait_for_rows(data, [("pending", 1)])
    make_due(data)
    with sqlite3.connect(data / "jobs.sqlite") as connection:
        connection.execute("UPDATE jobs SET finished = 0")
    with calling(data=data) as client:
        assert taker.wait(2)[1].json()["status"] == "OK"
        assert client.get(f"/jobs/{job_id}").status_code == 200
        wait_for_rows(data, [("delivered", 2)])
    with calling(data=data) as client:
        assert client.get(f"/jobs/{job_id}").status_code == 404
    assert rows(data) == []


FLAGS = ("--allow-urls", "--webhook-seconds", "30", "--webhook-retries", "4", "--batch-size", "1")


@pytest.mark.slow
def test_a_killed_server_has_the_retries_left(tmp_path, taker):
    """Killed between two attempts, and with a job whose webhook is not due yet."""
    data, taker.answers = tmp_path / "data", [500]
    flags = (*FLAGS, "--allow-host", taker.host)
    with server(data, 0.5, *flags, "--webhook-backoff", "60") as first:
        keys = first.get("/.well-known/jwks.json").json()
        ask_fal(first.client, taker.url("/failing"), num_inference_steps=1)
        ask_pixazo(first.client, taker.url("/later"), num_inference_steps=50)
        taker.wait(1)
        time.sleep(0.2)  # until the answer has been noted
        first.kill()
    assert [call.path for call in taker.calls] == ["/failing"]
    assert rows(data) == [("pending", 1), ("pending", 0)]
    make_due(data)
    with server(data, 0.0, *flags, "--webhook-backoff", "0.05"):
        wait_for_rows(data, [("given_up", 5), ("given_up", 5)])
    paths = [call.path for call in taker.calls]
    assert (paths.count("/failing"), paths.count("/later")) == (5, 5)
    later = next(call for call in taker.calls if call.path == "/later")
    assert later.json()["status"] == "COMPLETED"
    assert later.verify("X-Webhook", keys) == later.json()["request_id"]


@pytest.mark.slow
def test_killed_in_an_attempt_it_counts_and_sigterm_waits_for_none(tmp_path, taker):
    data, taker.answers = tmp_path / "data", [None]
    flags = (*FLAGS, "--allow-host", taker.host)
    with server(data, 0.0, *flags) as first:
        ask_fal(first.client, taker.url())
        taker.wait(1)
        first.kill()
    assert rows(data) == [("pending", 1)]
    make_due(data)
    with server(data, 0.0, *flags) as second:
        taker.wait(2)
        begun = time.monotonic()
        second.client.close()
        second.terminate()
        assert second.process.wait(20) in (0, -15)
        assert time.monotonic() - begun < 8
    assert rows(data) == [("pending", 2)]
