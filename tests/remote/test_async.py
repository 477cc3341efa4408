"""World models behind services on an event loop: the same answers, side by side, and cancelled at the service."""

import asyncio
import time

import anyio
import numpy as np
import pytest
from faulty_server import CUT, Status, faulty_server
from service_urls import SEEDED, at

import cosmos_robot as cr
from cosmos_robot.errors import InvalidInputError, ServiceError, UnsupportedModeError


def run(work, *arguments):
    return asyncio.run(work(*arguments))


def test_every_call_answers_as_the_other_world_model_does(server, frame, clip, actions):
    ordinary = cr.load_world_model(server)

    async def ask():
        async with cr.AsyncRemoteWorldModel(server) as wm:
            assert wm.modes == ordinary.modes
            return [
                await wm.forward_dynamics(frame, actions, domain="pusht", seed=3),
                await wm.inverse_dynamics(clip, domain="pusht", seed=3),
                await wm.policy(frame, domain="pusht", seed=3),
                await wm.rollout(frame, np.tile(actions, (3, 1)), domain="pusht", seed=3),
                await wm.text2image("go", seed=3),
                await wm.text2video("go", seed=3, num_frames=25),
                await wm.image2video(frame, "go", seed=3, num_frames=25),
                await wm.video2video(clip, "go", seed=3, num_frames=25),
                await wm.extend_video(clip, "go", seed=3, num_frames=9, extra_frames=7),
            ]

    expected = [
        ordinary.forward_dynamics(frame, actions, domain="pusht", seed=3),
        ordinary.inverse_dynamics(clip, domain="pusht", seed=3),
        ordinary.policy(frame, domain="pusht", seed=3),
        ordinary.rollout(frame, np.tile(actions, (3, 1)), domain="pusht", seed=3),
        ordinary.text2image("go", seed=3),
        ordinary.text2video("go", seed=3, num_frames=25),
        ordinary.image2video(frame, "go", seed=3, num_frames=25),
        ordinary.video2video(clip, "go", seed=3, num_frames=25),
        ordinary.extend_video(clip, "go", seed=3, num_frames=9, extra_frames=7),
    ]
    for found, wanted in zip(run(ask), expected, strict=True):
        np.testing.assert_array_equal(found.frames, wanted.frames)
        np.testing.assert_array_equal(getattr(found, "actions", 0), getattr(wanted, "actions", 0))


@pytest.mark.parametrize("service", SEEDED)
def test_calls_are_under_way_side_by_side(service, server, model):
    """Eight calls of 0.4 s, which the server answers in batches, take far less than one after another."""
    model.step = 0.2

    async def ask():
        async with cr.AsyncRemoteWorldModel(at(service, server)) as wm:
            calls = (wm.text2image("go", seed=seed, num_steps=2) for seed in range(20, 28))
            return await asyncio.gather(*calls)

    try:
        begun = time.monotonic()
        answers = run(ask)
    finally:
        model.step = 0.0
    assert time.monotonic() - begun < 8 * 0.4
    assert [answer.frames.mean() for answer in answers] == pytest.approx(range(20, 28), abs=1.5)
    assert len(model.batches) < 8


def test_a_list_of_requests(server, model, frame):
    domain = cr.get_domain("pusht")
    requests = [cr.ActionRequest("policy", domain, frame[None], 16, seed=seed) for seed in range(3)]

    async def ask():
        async with cr.AsyncRemoteWorldModel(at("nim", server), concurrency=2) as wm:
            return await wm.generate(requests)

    assert [answer.seed for answer in run(ask)] == [0, 1, 2]


def test_it_runs_on_trio_too(server):
    trio = pytest.importorskip("trio")

    async def ask():
        async with cr.AsyncRemoteWorldModel(server) as wm:
            return await wm.text2image("go", seed=3)

    assert trio.run(ask).seed == 3


@pytest.mark.parametrize("service", ["http", "fal"])
def test_a_task_that_is_cancelled_cancels_at_the_service(service, server, model):
    stopped = model.stopped
    model.step = 0.2

    async def ask():
        async with cr.AsyncRemoteWorldModel(at(service, server)) as wm:
            with anyio.move_on_after(1.0) as limit:
                await wm.text2image("go", num_steps=50)
            assert limit.cancelled_caught

    try:
        run(ask)
        end = time.monotonic() + 5
        while model.stopped == stopped:
            assert time.monotonic() < end, "the model went on"
            time.sleep(0.02)
    finally:
        model.step = 0.0


def test_an_error_comes_as_itself_and_ends_the_others(server, frame):
    domain = cr.get_domain("pusht")
    requests = [cr.ActionRequest("policy", domain, frame[None], 16, seed=seed) for seed in range(4)]

    async def ask(url):
        async with cr.AsyncRemoteWorldModel(url, retries=0) as wm:
            await wm.generate(requests)

    with faulty_server(server) as faulty:
        faulty.misbehave(Status(422, b'{"detail": "this one"}'))
        with pytest.raises(InvalidInputError, match="this one"):
            run(ask, at("nim", faulty.url))
    with pytest.raises(ServiceError, match="cannot be reached"):
        run(ask, "nim://127.0.0.1:9")
    with pytest.raises(UnsupportedModeError):
        run(ask, "fal://127.0.0.1:9")


def test_faults_are_met_as_in_threads(server, model):
    async def ask(url):
        async with cr.AsyncRemoteWorldModel(url, retries=cr.Retries(3, 0.01, 0.02)) as wm:
            return await wm.text2image("go", seed=7)

    with faulty_server(server) as faulty:
        faulty.misbehave(Status(429, headers={"Retry-After": "0"}), Status(502))
        assert run(ask, faulty.url).seed == 7
        assert faulty.methods().count("PUT") == 3
        faulty.misbehave(CUT)
        with pytest.raises(ServiceError, match="may have arrived"):
            run(ask, at("nim", faulty.url))


def test_a_chat(server, model):
    async def ask():
        async with cr.AsyncRemoteWorldModel(server) as wm:
            return await wm.reason("a cup", max_new_tokens=30)

    assert run(ask).text == "a cup"
    assert model.asked[0].sampling.max_new_tokens == 30


def test_a_call_takes_one_item(server, frame):
    async def ask():
        async with cr.AsyncRemoteWorldModel(server) as wm:
            await wm.policy([frame, frame], domain="pusht")

    with pytest.raises(InvalidInputError, match="one item"):
        run(ask)
