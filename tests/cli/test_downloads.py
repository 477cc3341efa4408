"""Files by URL, from a server in this process."""

import functools
import http.server
import threading

import pytest

from cosmos_robot.cli.downloads import Downloads
from cosmos_robot.errors import InvalidInputError


@pytest.fixture
def server(tmp_path):
    """The address of a server of `tmp_path`, and the paths it was asked for."""
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            asked.append(self.path)

    handler = functools.partial(Handler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}", asked
        running.shutdown()
        thread.join()


def test_a_path_is_given_back(tmp_path):
    with Downloads() as downloads:
        assert downloads.local(str(tmp_path / "a.json")) == tmp_path / "a.json"


def test_each_url_is_fetched_once_and_removed_at_the_end(tmp_path, server):
    address, asked = server
    (tmp_path / "x").mkdir()
    (tmp_path / "a.json").write_text("one")
    (tmp_path / "x" / "a.json").write_text("two")
    with Downloads() as downloads:
        first, again = (downloads.local(f"{address}/a.json?raw=1") for _ in range(2))
        second = downloads.local(f"{address}/x/a.json")
        assert first == again
        assert (first.read_text(), second.read_text()) == ("one", "two")
        assert first.suffix == ".json"
        assert len(asked) == 2
    assert not first.exists()


def test_what_cannot_be_fetched(server):
    address, _ = server
    with Downloads() as downloads:
        for url in (
            f"{address}/none.json",
            f"{address}/a picture.png",
            "http://127.0.0.1:1/a.json",
            "http://127.0.0.1:port/a.json",
            "http://[::1/a.json",
            "ftp://example.org/a.json",
            "http://",
        ):
            with pytest.raises(InvalidInputError, match="cannot fetch"):
                downloads.local(url)


def test_what_is_cut_off():
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
            self.wfile.write(b"0" * 30)

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server, Downloads() as downloads:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        with pytest.raises(InvalidInputError, match=r"cannot fetch .* \(it ended 70 bytes early\)"):
            downloads.local(f"http://127.0.0.1:{server.server_port}/a.json")
        thread.join()


def test_a_sample_with_urls_runs(server, cosmos_robot, world_model, samples_file, frame, normalised, tmp_path):
    address, _ = server
    samples = samples_file({"vision_path": f"{address}/{frame.name}", "action_path": f"{address}/{normalised.name}"})
    result = cosmos_robot("run", samples, "--out", "out")
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "out" / "sample_0" / "vision.mp4").is_file()
    assert f"{address}/{frame.name}" in (tmp_path / "out" / "sample_0" / "sample_args.json").read_text()
