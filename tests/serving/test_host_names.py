"""Names that a server on this machine goes by: a page whose own name leads here ("DNS rebinding") is refused."""

import pytest
from fastapi.testclient import TestClient
from starlette.testclient import WebSocketDenialResponse
from stepping_model import SteppingModel

from cosmos_robot.serving.app import create_app
from cosmos_robot.serving.settings import ServerSettings


def status(client, host, path="/v1/version"):
    return client.get(path, headers={"Host": host}).status_code


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8000", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:8000", "robots.example:443"]
)
def test_its_own_names(host, serve):
    with serve(public_url="https://Robots.example/api") as client:
        assert status(client, host) == 200


@pytest.mark.parametrize(
    "host",
    ["attacker.example", "attacker.example:8000", "localhost.attacker.example", "localhost.", "127.0.0.1.nip.io",
     "127.0.0.2", "[::2]", "0.0.0.0", "a@localhost", "localhost@a", "localhost:80:80", "[::1", "::1", "", "robots.example"],
)  # fmt: skip
def test_other_names_are_refused_in_each_interface_s_words(host, client):
    answer = client.get("/jobs", headers={"Host": host})
    assert (answer.status_code, answer.json()["error"]["type"]) == (403, "forbidden")
    assert "--public-url" in answer.json()["error"]["message"]
    for path in (
        "/v1/version",
        "/fal/queue/nvidia",
        "/v2/requests/status/x",
        "/predict",
        "/v1/health/ready",
        "/files/x/y",
    ):
        assert status(client, host, path) == 403
    pixazo = client.post("/cosmos-3-super-text-to-image/v1/x", headers={"Host": host})
    assert (pixazo.status_code, pixazo.json()["error"]) == (403, "Forbidden")
    with (
        pytest.raises(WebSocketDenialResponse) as denied,
        client.websocket_connect("/anything", headers={"Host": host}),
    ):
        pass
    assert denied.value.status_code == 403


def test_the_address_that_it_listens_at(serve):
    with serve(host="127.1.2.3") as client:
        assert status(client, "127.1.2.3:8000") == 200
        assert status(client, "127.1.2.4:8000") == 403


def test_beyond_this_machine_a_key_is_what_counts(tmp_path):
    settings = ServerSettings(data=tmp_path, host="0.0.0.0", api_keys=("secret",))
    with TestClient(create_app(settings, SteppingModel())) as client:
        headers = {"Host": "gpu-box.example", "Authorization": "Bearer secret"}
        assert client.get("/v1/version", headers=headers).status_code == 200
        assert status(client, "gpu-box.example") == 401


@pytest.mark.parametrize(
    ("origin", "refused"),
    [("http://localhost:5173", False), ("http://127.0.0.1:8000", False), ("https://robots.example", False),
     ("https://attacker.example", True), ("http://localhost.attacker.example", True), ("null", True), ("http://[", True)],
)  # fmt: skip
def test_pages_of_other_sites_are_refused_where_browsers_ask_no_leave(origin, refused, serve):
    """Forms and websockets: a browser sends them anywhere, and says in `Origin` whose page it was."""
    headers = {"Origin": origin}
    with serve(public_url="https://robots.example") as client:
        form = client.post("/v1/videos", data={"prompt": "A robot."}, files={"x": b""}, headers=headers)
        assert (form.status_code == 403) is refused
        try:
            with client.websocket_connect("/openpi?domain=pusht", headers={**headers, "Host": "localhost"}):
                opened = True
        except WebSocketDenialResponse as denied:
            opened = denied.status_code != 403
        assert opened is not refused
