"""Fetching by URL: only where it is allowed, only public addresses, at every redirect, within size and time."""

import socket
import time

import pytest
from file_server import file_server

from cosmos_robot.serving.fetch import Fetcher, is_public
from cosmos_robot.serving.problems import Kind, RequestError
from cosmos_robot.serving.settings import Limits


def fetcher(*hosts, allowed=True, seconds=2.0):
    return Fetcher(allowed=allowed, hosts=hosts, seconds=seconds, redirects=2)


def refused(fetch, url, most=100):
    with pytest.raises(RequestError) as error:
        fetch.fetch(url, field="image", most=most)
    assert error.value.problem.findings[0].field == ("image",)
    return error.value.problem


def test_what_is_fetched():
    with file_server({"/a.png": b"content"}) as host:
        assert fetcher(host).fetch(f"http://{host}/a.png", field="image", most=7) == b"content"
        assert fetcher(host).fetch(f"http://{host}/to//to//a.png", field="image", most=7) == b"content"
        assert refused(fetcher(host), f"http://{host}/a.png", most=6).kind is Kind.TOO_LARGE
        assert "404" in refused(fetcher(host), f"http://{host}/b.png").message
        assert "redirects" in refused(fetcher(host), f"http://{host}/to//to//to//a.png").message
        assert "takes no URLs" in refused(fetcher(host, allowed=False), f"http://{host}/a.png").message
        for path in ("slow", "slow-header"):
            begun = time.monotonic()
            assert refused(fetcher(host, seconds=0.3), f"http://{host}/{path}", most=1000)
            assert time.monotonic() - begun < 2


@pytest.mark.parametrize(
    "form", ["127.0.0.1", "localhost", "2130706433", "0x7f000001", "127.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"]
)
def test_this_machine_is_not_public_however_it_is_written(form):
    with file_server({"/a.png": b"secret"}) as host:
        port = host.partition(":")[2]
        problem = refused(fetcher(), f"http://{form}:{port}/a.png")
        assert "public address" in problem.message or "not known" in problem.message


def test_a_redirect_leads_nowhere_either():
    with file_server({"/a.png": b"secret"}) as hidden, file_server({}) as shown:
        assert "public" in refused(fetcher(shown), f"http://{shown}/to/http://{hidden}/a.png").message
        assert "http" in refused(fetcher(shown), f"http://{shown}/to/file:///etc/passwd").message


def test_a_name_that_resolves_otherwise_later_gains_nothing(monkeypatch):
    """The address that is connected to is the one that was checked."""
    from cosmos_robot.serving import fetch

    answers = iter([[(2, 1, 6, "", ("93.184.216.34", 80))], [(2, 1, 6, "", ("127.0.0.1", 80))]])
    asked, connected = [], []

    def resolve(host, *_, **__):
        asked.append(host)
        return next(answers)

    def connect(_self, host, *_, **__):
        connected.append(host)
        raise OSError("no network in tests")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(fetch.httpcore.SyncBackend, "connect_tcp", connect)
    refused(fetcher(), "http://rebinding.test/a.png")
    assert (asked, connected) == (["rebinding.test"], ["93.184.216.34"])
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda *_, **__: [(2, 1, 6, "", (a, 80)) for a in ("93.184.216.34", "10.0.0.1")]
    )
    refused(fetcher(), "http://mixed.test/a.png")
    assert len(connected) == 1


@pytest.mark.parametrize(
    "url",
    ["ftp://example.com/a", "http:///a", "http://user:word@example.com/a", "http://exa mple.com/", "http://a:99999/",
     "http://[::1/a", "http://exämple.com/"],
)  # fmt: skip
def test_what_is_no_url(url):
    refused(fetcher(), url)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True), ("2606:4700:4700::1111", True),
        *[(address, False) for address in (
            "10.0.0.1", "172.16.0.1", "192.168.1.1", "127.0.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
            "224.0.0.1", "255.255.255.255", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "::ffff:10.0.0.1",
            "2002:a00:1::", "64:ff9b::a00:1", "2001:0:a00:1::", "ff02::1",
            "::a00:1", "::7f00:1", "4000::1")],
    ],
)  # fmt: skip
def test_public_addresses(address, public):
    assert is_public(address) is public


def test_requests_by_url(serve, mp4_bytes):
    with file_server({"/a.mp4": mp4_bytes}) as host:
        body = {"video": f"http://{host}/a.mp4"}
        with serve(allow_urls=True, url_hosts=(host,)) as client:
            assert client.post("/v1/infer", json=body).status_code == 200
        with serve(allow_urls=True, url_hosts=(host,), limits=Limits(video_bytes=100, image_bytes=100)) as client:
            assert client.post("/v1/infer", json=body).status_code == 413
        with serve(allow_urls=True) as client:
            assert client.post("/v1/infer", json=body).status_code == 400
        with serve(allow_urls=True, url_hosts=(host,), nim_urls=False) as client:
            assert client.post("/v1/infer", json=body).status_code == 400
            forward = {"model_mode": "image2video", "prompt": "A.", "vision_path": body["video"]}
            assert client.post("/predict", json=forward).status_code == 200
