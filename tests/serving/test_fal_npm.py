"""fal's own client for Node, `@fal-ai/client`, against the server: run, subscribe, the queue's status, result, cancel."""

import httpx
import pytest
from live_server import live_server
from node_script import run_node
from stepping_model import SteppingModel

from cosmos_robot.serving.settings import ServerSettings

pytestmark = pytest.mark.slow

CLIENT = "@fal-ai/client@1.10.1"
BEGIN = """
import { createFalClient } from '@fal-ai/client'
// It has no setting for its hosts; its proxy is for browsers. So its requests are sent elsewhere on their way.
const hosts = { 'fal.run': '/fal/run', 'queue.fal.run': '/fal/queue' }
const local = (url) => {
  const { hostname, pathname, search } = new URL(url)
  return hostname in hosts ? given.url + hosts[hostname] + pathname + search : url
}
const client = (key) => createFalClient({
  credentials: key, requestMiddleware: async (request) => ({ ...request, url: local(request.url) }),
})
const fal = client('right')
const image = 'nvidia/cosmos-3-super/text-to-image', video = 'nvidia/cosmos-3-super/image-to-video'
const refused = async (promise) => {
  try { await promise; return null } catch (error) { return { status: error.status, body: error.body } }
}
const told = {}
"""
END = "\nconsole.log(JSON.stringify(told))\n"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    model = SteppingModel(step=0.01)
    with live_server(ServerSettings(data=tmp_path_factory.mktemp("data"), port=0, api_keys=("right",)), model) as url:
        model.url = url
        yield model


def run(script, served, **given):
    return run_node(BEGIN + script + END, CLIENT, url=served.url, seconds=120, **given)


def test_run(served, png):
    told = run(
        """
        told.image = await fal.run(image, { input: { prompt: 'A robot.', seed: 7, num_images: 2 } })
        told.video = await fal.run(video, { input: { prompt: 'On.', image_url: given.picture, num_frames: 5 } })
        told.bad = await refused(fal.run(image, { input: { prompt: 'A robot.', num_images: 9 } }))
        told.locked = await refused(client('wrong').run(image, { input: { prompt: 'A robot.' } }))
        """,
        served,
        picture=f"data:image/png;base64,{png}",
    )
    made = told["image"]["data"]
    assert (made["seed"], made["prompt"], len(made["images"])) == (7, "A robot.", 2)
    assert told["image"]["requestId"] in made["images"][0]["url"]
    assert httpx.get(made["images"][1]["url"]).content.startswith(b"\xff\xd8\xff")
    assert httpx.get(told["video"]["data"]["video"]["url"]).content[4:8] == b"ftyp"
    assert (told["bad"]["status"], told["bad"]["body"]["detail"][0]["loc"]) == (422, ["body", "num_images"])
    assert told["locked"]["status"] == 401


@pytest.mark.parametrize("mode", ["polling", "streaming"])
def test_subscribe(mode, served):
    told = run(
        """
        told.updates = []
        told.done = await fal.subscribe(image, {
          input: { prompt: 'A robot.', seed: 3, num_inference_steps: 20 }, logs: true, mode: given.mode,
          pollInterval: 50, onEnqueue: (id) => { told.enqueued = id },
          onQueueUpdate: (update) => told.updates.push(update),
        })
        """,
        served,
        mode=mode,
    )
    assert told["done"]["data"]["seed"] == 3
    assert told["done"]["requestId"] == told["enqueued"]
    statuses = [update["status"] for update in told["updates"]]
    assert statuses[-1] == "COMPLETED"
    assert "IN_PROGRESS" in statuses
    messages = [row["message"] for row in told["updates"][-1]["logs"]]
    assert "denoising step 20 of 20" in messages


def test_the_queue(served):
    told = run(
        """
        const input = { prompt: 'A robot.', seed: 5, num_inference_steps: 50 }
        told.first = await fal.queue.submit(image, { input })
        told.second = await fal.queue.submit(image, { input: { ...input, num_inference_steps: 2 } })
        const of = (job) => ({ requestId: job.request_id })
        told.waiting = await fal.queue.status(image, of(told.second))
        told.early = await refused(fal.queue.result(image, of(told.second)))
        await fal.queue.cancel(image, of(told.first))
        told.cancelled = await fal.queue.subscribeToStatus(image, { ...of(told.first), pollInterval: 50 })
        told.lost = await refused(fal.queue.result(image, of(told.first)))
        told.completed = await fal.queue.subscribeToStatus(image, { ...of(told.second), pollInterval: 50, logs: true })
        told.result = await fal.queue.result(image, of(told.second))
        told.late = await refused(fal.queue.cancel(image, of(told.second)))
        told.unknown = await refused(fal.queue.status(image, { requestId: '00000000-0000-0000-0000-000000000000' }))
        """,
        served,
    )
    assert told["first"]["status"] == told["second"]["status"] == "IN_QUEUE"
    assert told["waiting"]["status"] in ("IN_QUEUE", "IN_PROGRESS")
    assert told["waiting"]["request_id"] == told["second"]["request_id"]
    assert (told["early"]["status"], told["early"]["body"]["error_type"]) == (400, "in_progress")
    assert (told["cancelled"]["status"], told["cancelled"]["error_type"]) == ("COMPLETED", "cancelled")
    assert told["lost"]["status"] == 400
    assert told["completed"]["metrics"]["inference_time"] > 0
    assert told["result"]["data"]["seed"] == 5
    assert told["late"] == {"status": 400, "body": {"status": "ALREADY_COMPLETED"}}
    assert told["unknown"]["status"] == 404
    assert served.stopped == 1
