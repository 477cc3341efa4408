"""URLs of services, and the keys that go there."""

import pytest

from cosmos_robot.errors import InvalidInputError
from cosmos_robot.remote.address import Address
from cosmos_robot.remote.remote_core import RemoteCore
from cosmos_robot.world_model import load_world_model


def core(url, **options):
    return RemoteCore(url, options, None)


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://localhost:8000", "http://localhost:8000"),
        ("https://example.com/models/a/", "https://example.com/models/a"),
        ("nim://localhost:8000", "http://localhost:8000"),
        ("nim://example.com", "http://example.com"),
        ("nim+https://example.com", "https://example.com"),
        ("baseten://localhost:8000", "http://localhost:8000"),
        ("baseten://example.com", "https://example.com"),
        ("baseten+http://example.com:80", "http://example.com:80"),
        ("baseten://abcd1234", "https://model-abcd1234.api.baseten.co/environments/production"),
        ("baseten://abcd1234/development", "https://model-abcd1234.api.baseten.co/development"),
        ("fal://", "https://queue.fal.run"),
        ("fal://127.0.0.1:8000", "http://127.0.0.1:8000/fal/queue"),
        ("fal://[::1]:8000/queue", "http://[::1]:8000/queue"),
        ("pixazo://", "https://gateway.pixazo.ai"),
        ("pixazo://localhost:8000", "http://localhost:8000"),
        ("cosmic://my-bucket", "https://workers.cosmicjs.com/v3/buckets/my-bucket"),
        ("cosmic://localhost:8000/my-bucket", "http://localhost:8000/v3/buckets/my-bucket"),
    ],
)
def test_where_a_url_leads(url, base):
    assert core(url, api_key="secret").service.access.base == base


@pytest.mark.parametrize(
    "url",
    [
        "nim://",
        "baseten://",
        "cosmic://",
        "cosmic://localhost:8000",
        "cosmic://localhost:8000/a/b",
        "http://",
        "ftp://localhost",
        "fall://",
        "nim+ftp://localhost",
        "http+https://localhost",
        "http://localhost:port",
        "http://localhost:99999",
        "http://user:secret@localhost",
        "http://localhost?key=secret",
        "http://local host",
        "http://löcalhost",
        "NIM://",
    ],
)
def test_urls_that_lead_nowhere(url):
    with pytest.raises(InvalidInputError) as refused:
        load_world_model(url)
    assert "secret" not in str(refused.value)


def test_an_unknown_service_names_the_nearest():
    with pytest.raises(InvalidInputError, match=r"'bazeten'.*baseten"):
        load_world_model("bazeten://localhost:8000")


def headers(url, **options):
    return core(url, **options).service.access.headers


@pytest.mark.parametrize(
    ("url", "name", "header"),
    [
        ("nim://localhost:1", "NVIDIA_API_KEY", ("Authorization", "Bearer secret")),
        ("nim://localhost:1", "NGC_API_KEY", ("Authorization", "Bearer secret")),
        ("baseten://abcd1234", "BASETEN_API_KEY", ("Authorization", "Api-Key secret")),
        ("fal://", "FAL_KEY", ("Authorization", "Key secret")),
        ("pixazo://", "PIXAZO_API_KEY", ("Ocp-Apim-Subscription-Key", "secret")),
        ("cosmic://my-bucket", "COSMIC_WRITE_KEY", ("Authorization", "Bearer secret")),
        ("http://192.168.0.2:8000", "COSMOS_ROBOT_API_KEY", ("Authorization", "Bearer secret")),
    ],
)
def test_keys_from_the_environment(url, name, header, monkeypatch):
    monkeypatch.setenv(name, "secret")
    assert headers(url)[header[0]] == header[1]
    monkeypatch.setenv(name, "other")
    assert headers(url, api_key="secret")[header[0]] == header[1]


@pytest.mark.parametrize(("url", "name"), [("nim://192.168.0.2:8000", "NVIDIA_API_KEY"), ("fal+http://a.b", "FAL_KEY")])
def test_an_account_s_key_is_not_sent_in_the_clear_unless_it_is_said(url, name, monkeypatch):
    monkeypatch.setenv(name, "secret")
    assert "Authorization" not in headers(url)
    assert "secret" in headers(url, api_key="secret")["Authorization"]


@pytest.mark.parametrize("url", ["baseten://abcd1234", "fal://", "pixazo://", "cosmic://my-bucket"])
def test_a_hosted_service_needs_a_key(url):
    with pytest.raises(InvalidInputError, match=r"api_key=.* or set \w+_KEY"):
        load_world_model(url)


@pytest.mark.parametrize("key", ["", "two words", "line\nend", "schlüssel"])
def test_what_is_no_key(key):
    with pytest.raises(InvalidInputError, match="an API key"):
        load_world_model("nim://localhost:1", api_key=key)


def test_a_key_is_not_shown():
    made = core("fal://", api_key="secret")
    assert "secret" not in repr(made.service.access)
    assert "secret" not in repr(made.service.access.get("/x"))
    assert "secret" not in repr(load_world_model("fal://", api_key="secret"))


def test_what_is_for_checkpoints_alone_and_what_for_services():
    with pytest.raises(InvalidInputError, match="are for checkpoints on this machine"):
        load_world_model("http://localhost:1", device="cpu")
    with pytest.raises(InvalidInputError, match="api_key"):
        load_world_model("some/folder", api_key="x")
    with pytest.raises(TypeError, match="wish"):
        load_world_model("http://localhost:1", wish=1)
    for wrong in ({"timeout": 0.0}, {"timeout": -1.0}, {"concurrency": 0}, {"retries": -1}):
        with pytest.raises(InvalidInputError):
            load_world_model("http://localhost:1", **wrong)


def test_this_machine():
    for url, local in (("nim://127.0.0.2", True), ("nim://[::1]", True), ("nim://10.0.0.1", False), ("fal://", False)):
        assert Address.parse(url).local == local
