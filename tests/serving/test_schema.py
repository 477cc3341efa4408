"""The description at `/openapi.json`, and the server held against it by requests that schemathesis makes of it.

Requests that fit the description, and requests that do not: none is a server error, and every answer has a status, a
content type and a body that the description names for that operation.
"""

import shutil
import time

import hypothesis
import pytest
import requests
import schemathesis
from hypothesis import strategies
from live_server import live_server
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from talking_model import TalkingModel

from cosmos_robot.serving.settings import ServerSettings

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
FAL = "/fal/queue/nvidia/cosmos-3-super"
PIXAZO = "/cosmos-3-super-text-to-image/v1/cosmos-3-super-text-to-image-request"
T2I = {"prompt": "A robot."}


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    settings = ServerSettings(data=tmp_path_factory.mktemp("schema") / "data", port=0)
    with live_server(settings, TalkingModel()) as found:
        yield found


@pytest.fixture(scope="module")
def described(url):
    return requests.get(f"{url}/openapi.json", timeout=30).json()


@pytest.fixture(scope="module")
def known(url):
    """Path parameters that lead to something, by the beginning of the paths."""
    post = lambda path, body: requests.post(url + path, json=body, timeout=30).json()  # noqa: E731
    job = post(f"{FAL}/text-to-image", T2I)["request_id"]
    pixazo = post(PIXAZO, T2I)["request_id"]
    video = post("/v1/videos", {**T2I, "num_frames": 5})["id"]
    media = post("/v3/buckets/robots/ai/image", T2I)["media"]
    while any(row["state"] in ("queued", "running") for row in requests.get(f"{url}/jobs", timeout=30).json()["jobs"]):
        time.sleep(0.02)
    return {
        "/files/media/": {"media_id": media["id"], "name": media["name"]},
        "/files/{job_id}": {"job_id": job, "name": "0.jpg"},
        "/jobs/": {"job_id": job},
        "/fal/queue/": {"request_id": job},
        "/v2/requests/": {"request_id": pixazo},
        "/v1/videos/": {"shown": video},
        "/v1/models/": {"name": "embedded"},
        "/v3/buckets/": {"bucket": "robots", "media_id": media["id"]},
    }


def parameters(path, known):
    """Those of `known` that a path has."""
    fitting = (values for beginning, values in known.items() if path.startswith(beginning))
    return {name: value for values in fitting for name, value in values.items() if f"{{{name}}}" in path}


def failures(operation, url, known, mode, examples):
    """Ask an operation, and give what contradicts its description."""
    leading = parameters(operation.path, known)
    with requests.Session() as session:

        @hypothesis.settings(
            max_examples=examples,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[hypothesis.Phase.generate],
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(operation.as_strategy(mode), strategies.booleans())
        def ask(case, found):
            if found and leading and operation.method != "delete":
                case.path_parameters = {**case.path_parameters, **leading}
            case.validate_response(case.call(base_url=url, session=session, timeout=60), checks=CHECKS)

        try:
            ask()
        except FailureGroup as group:
            return [f"{operation.label} ({mode}): {error}" for error in group.exceptions]
    return []


def modes(operation):
    """Requests that fit, and where something besides texts in the path can be wrong, requests that do not."""
    both = operation.body or operation.query
    return schemathesis.GenerationMode if both else [schemathesis.GenerationMode.POSITIVE]


@pytest.mark.parametrize("examples", [3, pytest.param(50, marks=pytest.mark.slow)])
def test_every_operation_answers_as_it_is_described(examples, url, described, known):
    schema = schemathesis.openapi.from_dict(described)
    operations = [result.ok() for result in schema.get_all_operations()]
    assert {operation.path for operation in operations} == set(described["paths"])
    if shutil.which("espeak-ng") is None:  # speech is then an error of the server's, and says so
        operations = [operation for operation in operations if not operation.path.endswith("/ai/audio")]
    found = [
        failure
        for operation in operations
        for mode in modes(operation)
        for failure in failures(operation, url, known, mode, examples)
    ]
    assert found == [], "\n\n".join(found)


def test_what_the_framework_refuses(url):
    """A parameter beside the body, and a method that a path does not have: in the words of the interface too."""
    wrong = requests.get(f"{url}/jobs/x/answer", params={"wait": "nan"}, timeout=30)
    assert (wrong.status_code, wrong.json()["error"]["type"]) == (422, "bad_value")
    assert wrong.json()["error"]["message"].startswith("wait: ")
    method = requests.get(f"{url}/v1/infer", timeout=30)
    assert (method.status_code, method.headers["allow"]) == (405, "POST")
    assert method.json() == {"detail": "Method Not Allowed."}
    of_all_routes = requests.post(f"{url}/jobs/x", timeout=30)
    assert (of_all_routes.status_code, of_all_routes.headers["allow"]) == (405, "DELETE, GET, PUT")


def test_what_waits_for_an_answer_by_a_flag_is_described_with_both_statuses(described):
    accepting = [path for path in described["paths"] if path.startswith("/cosmos-3-super-")]
    assert len(accepting) == 2
    for path in accepting:
        assert {"200", "202"} <= set(described["paths"][path]["post"]["responses"])
