"""Name servers that hang: a request is refused in time, and the server's end waits for none of them."""

import socket
import threading
import time

import httpx
import pytest
from live_server import live_server
from stepping_model import SteppingModel

from cosmos_robot.serving.fetch import Fetcher
from cosmos_robot.serving.problems import RequestError
from cosmos_robot.serving.settings import ServerSettings

HOST = "hanging.test"


class NameServer:
    """Answers the first `answers` questions about `HOST` with a public address; then it hangs until `released`."""

    def __init__(self, resolve):
        self.answers, self.asked = 0, 0
        self.hangs, self.released = threading.Event(), threading.Event()
        self._resolve = resolve

    def __call__(self, host, *arguments, **more):
        if host != HOST:
            return self._resolve(host, *arguments, **more)
        self.asked += 1
        if self.asked > self.answers:
            self.hangs.set()
            self.released.wait(60)
        return self._resolve("93.184.216.34", *arguments, **more)


@pytest.fixture
def names(monkeypatch):
    server = NameServer(socket.getaddrinfo)
    monkeypatch.setattr(socket, "getaddrinfo", server)
    yield server
    server.released.set()


def test_a_fetch_ends_in_time(names):
    fetcher = Fetcher(allowed=True, hosts=(), seconds=0.2, redirects=0)
    with pytest.raises(RequestError, match="is not known"):
        fetcher.fetch(f"http://{HOST}/a.png", field="image", most=100)
    assert names.asked == 1


def test_the_server_s_end_waits_for_no_name_server(names, tmp_path):
    names.answers = 1  # when the webhook is accepted; when it is called there is none
    settings = ServerSettings(data=tmp_path, port=0, allow_urls=True)
    with live_server(settings, SteppingModel()) as url:
        path = f"{url}/fal/queue/nvidia/cosmos-3-super/text-to-image"
        asked = httpx.post(path, params={"fal_webhook": f"http://{HOST}/"}, json={"prompt": "A robot."}, timeout=30)
        assert asked.status_code == 200, asked.text
        assert names.hangs.wait(10)
        begun = time.monotonic()
    assert time.monotonic() - begun < 20  # it hangs for three times that
    assert not names.released.is_set()
