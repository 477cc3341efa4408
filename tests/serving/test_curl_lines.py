"""The reader of documentation pages: every command of a page, whole, and as a shell has it."""

import json

import pytest
from curl_lines import curl_commands
from file_server import file_server

PAGE = r"""
Commands of every form that the pages have; `curl https://example.com` within a sentence is none.

curl -X 'GET' 'http://0.0.0.0:8000/v1/health/ready'

```bash
# with a comment
curl -X POST \
http://0.0.0.0:8000/v1/infer \
   -H "Authorization: Key $FAL_KEY" \
   -d '{
      "prompt": "A robot\nwaves: \"hello\"."
   }'
```
curl https://example.com/${BUCKET}/ai/text -d '{
   "prompt": "A"}' -H "Authorization: Bearer {BUCKET_WRITE_KEY}"
that is all
"""


def test_every_command_is_found_whole():
    first, second, third = curl_commands(PAGE)
    assert first.arguments == ("-X", "GET", "http://0.0.0.0:8000/v1/health/ready")
    assert [command.line for command in (first, second, third)] == [4, 8, 15]
    assert second.arguments[:3] == ("-X", "POST", "http://0.0.0.0:8000/v1/infer")
    assert json.loads(second.arguments[-1]) == {"prompt": 'A robot\nwaves: "hello".'}
    assert third.arguments[0] == "https://example.com/${BUCKET}/ai/text"
    assert third.arguments[-1] == "Authorization: Bearer {BUCKET_WRITE_KEY}"
    with pytest.raises(ValueError, match="line 1 does not end"):
        curl_commands("curl -d '{")


def test_what_is_replaced_must_be_there():
    _, second, _ = curl_commands(PAGE)
    assert second.replaced({"$FAL_KEY": "secret"}).arguments[4] == "Authorization: Key secret"
    with pytest.raises(AssertionError, match="is in no argument"):
        second.replaced({"image.png": "other.png"})


def test_a_command_is_run():
    with file_server({"/v1/health/ready": b'{"status": "ready"}'}) as host:
        first, *_ = curl_commands(PAGE)
        answer = first.replaced({"http://0.0.0.0:8000": f"http://{host}"}).run()
        assert (answer.status, answer.json(), "server" in answer.headers) == (200, {"status": "ready"}, True)
        assert first.replaced({"http://0.0.0.0:8000/v1": f"http://{host}"}).run().status == 404
