"""Recorded loops give what plain ones give, are made anew for another shape, and never pile up."""

from contextlib import contextmanager
from dataclasses import replace

import action_case
import numpy as np
import pytest
import torch
from action_case import SIZES, on_canvas, recording
from distilled import SIGMAS, distilled_pipeline
from host_reads import HostReads
from media_case import media_input
from operator_count import OperatorCount
from step_recorder import Repeater

from cosmos_robot.engine.engine import Engine
from cosmos_robot.engine.exact_steps import ExactSteps
from cosmos_robot.engine.media import generate_media
from cosmos_robot.engine.recorded_loop import CudaGraphs, RecordedLoops

PLAIN = ExactSteps.none()


def model_input(*arguments, size=(32, 48), **options):
    return on_canvas(action_case.model_input(*arguments, **options), size)


def recorded(pipeline, exact=PLAIN, **options):
    """An engine whose loops are recorded at once, and what records them."""
    engine, repeater = Engine.from_pipeline(pipeline, exact=exact), Repeater()
    engine.loops = RecordedLoops(repeater, **{"sightings": 1, **options})
    return engine, repeater


def requests_of(mode, **options):
    prompts = ["short", "a much longer prompt than the first", "other"]
    return [
        model_input(mode, *recording(SIZES[0], seed=i), seed=i, prompt=prompt, **options)
        for i, prompt in enumerate(prompts)
    ]


def assert_same(ours, plain):
    for mine, expected in zip(ours, plain, strict=True):
        for name in ("frames", "actions"):
            if getattr(expected, name) is not None:
                np.testing.assert_allclose(getattr(mine, name), getattr(expected, name), atol=2e-5)


@pytest.mark.parametrize("room", [False, True])
@pytest.mark.parametrize("guidance", [1.0, 2.0])
@pytest.mark.parametrize("mode", ["forward_dynamics", "inverse_dynamics", "policy"])
def test_same_result_for_other_content(mode, guidance, room, pipelines):
    """One recording serves other frames, prompts, seeds, schedules and numbers of steps."""
    engine, repeater = recorded(pipelines("nano"), replace(PLAIN, key_value_buffers=room))
    plain = Engine.from_pipeline(pipelines("nano"), exact=PLAIN)
    first = requests_of(mode, guidance=guidance)
    assert_same(engine.generate(first, as_float=True), plain.generate(first, as_float=True))
    other = requests_of(mode, guidance=guidance, shift=7.0)[::-1]
    assert_same(engine.generate(other, as_float=True), plain.generate(other, as_float=True))
    assert (repeater.recordings, repeater.repetitions) == (1, 8)


def test_key_value_buffers_are_a_step_of_their_own(pipelines):
    """A recorded step without them concatenates keys and values in each layer; with them nothing is."""

    def concatenated(*, room):
        engine, _ = recorded(pipelines("nano"), replace(PLAIN, key_value_buffers=room))
        request, seen = model_input("policy", *recording(SIZES[0])), []
        engine.denoise([request])
        with OperatorCount() as count:
            engine.denoise([request], lambda: seen.append(count.counts["cat"]))
        return seen[1] - seen[0]

    layers = 3
    assert concatenated(room=False) - concatenated(room=True) == 2 * layers


def test_shape_change_records_anew(pipelines):
    engine, repeater = recorded(pipelines("nano"))
    plain = Engine.from_pipeline(pipelines("nano"), exact=PLAIN)
    small, large = (model_input("policy", *recording(SIZES[0]), size=size) for size in ((32, 32), (48, 64)))
    expected = plain.generate([small, large], as_float=True)
    for _ in range(2):  # the second time both are there
        assert_same(engine.generate([small], as_float=True), expected[:1])
        assert_same(engine.generate([large], as_float=True), expected[1:])
        assert (repeater.recordings, len(engine.loops)) == (2, 2)
    engine.generate([small, small])
    assert repeater.recordings == 3  # another batch is another shape


def test_bounded_in_number(pipelines):
    engine, repeater = recorded(pipelines("nano"), capacity=2)
    made = [model_input("policy", *recording(SIZES[1]), prompt="x" * length) for length in (1, 20, 40)]
    plain = Engine.from_pipeline(pipelines("nano"), exact=PLAIN).generate(made, as_float=True)
    for _ in range(2):
        for request, expected in zip(made, plain, strict=True):
            assert_same(engine.generate([request], as_float=True), [expected])
            assert len(engine.loops) <= 2
    assert repeater.recordings == 6  # each had been given up before it came again


def test_bounded_in_memory(pipelines):
    request = model_input("policy", *recording(SIZES[1]))
    engine, repeater = recorded(pipelines("nano"), max_bytes=1000)
    engine.generate([request])
    assert (repeater.recordings, len(engine.loops)) == (0, 0)
    engine, repeater = recorded(pipelines("nano"), max_bytes=10**9)
    engine.generate([request])
    needed = next(iter(engine.loops._kept.values())).bytes
    assert needed > 1000
    engine, repeater = recorded(pipelines("nano"), max_bytes=int(1.5 * needed))
    for length in (1, 9):
        engine.generate([model_input("policy", *recording(SIZES[1]), prompt="x" * length)])
    assert (repeater.recordings, len(engine.loops)) == (2, 1)


def test_what_comes_once_is_not_recorded(pipelines):
    engine, repeater = recorded(pipelines("nano"), sightings=2)
    request = model_input("policy", *recording(SIZES[1]))
    first = engine.generate([request], as_float=True)
    assert repeater.recordings == 0
    assert_same(engine.generate([request], as_float=True), first)
    assert repeater.recordings == 1


@pytest.mark.parametrize("mode", ["text2image", "video2video"])
def test_guidance_interval_and_sound(mode, pipelines):
    engine, repeater = recorded(pipelines("sound"))
    request = media_input(mode, guidance=6.0, guidance_interval=(700.0, 1001.0), sound=mode != "text2image")
    plain = generate_media(Engine.from_pipeline(pipelines("sound"), exact=PLAIN), [request], as_float=True)[0]
    for _ in range(2):
        output = generate_media(engine, [request], as_float=True)[0]
        np.testing.assert_allclose(output.frames, plain.frames, atol=2e-5)
        if request.sound:
            np.testing.assert_allclose(output.sound, plain.sound, atol=2e-5)
    assert repeater.recordings == 2  # the guided step and the unguided one


def test_distilled_noise_is_added():
    pipe = distilled_pipeline()
    parts = {"transformer": pipe.transformer, "vae": pipe.vae, "tokenizer": pipe.text_tokenizer}
    engine, plain = (Engine(**parts, scheduler=pipe.scheduler, distilled_sigmas=SIGMAS, exact=PLAIN) for _ in range(2))
    engine.loops, request = RecordedLoops(Repeater(), sightings=1), media_input("image2video")
    expected = generate_media(plain, [request], as_float=True)[0].frames
    np.testing.assert_allclose(generate_media(engine, [request], as_float=True)[0].frames, expected, atol=2e-5)


def test_no_host_read_in_a_recorded_loop(pipelines):
    engine, _ = recorded(pipelines("nano"))
    request, seen = model_input("policy", *recording(SIZES[1]), guidance=2.0), []
    engine.denoise([request])
    with HostReads() as reads:
        engine.denoise([request], lambda: seen.append(reads.count))
    assert len(seen) == request.num_steps
    assert len(set(seen)) == 1


def test_adapters_are_not_recorded():
    """An adapter's scale is a number on the host, which a recording would swallow."""
    peft = pytest.importorskip("peft")
    from cosmos_robot.benchmarks.random_checkpoint import RandomCheckpoint

    pipeline = RandomCheckpoint(seed=5).pipeline()
    engine, repeater = recorded(pipeline)
    request = model_input("policy", *recording(SIZES[1]))
    engine.generate([request])
    assert repeater.recordings == 1
    pipeline.transformer.add_adapter(peft.LoraConfig(r=2, target_modules=["add_q_proj"], init_lora_weights=False))
    engine.generate([request])
    assert repeater.recordings == 1


def test_moved_weights_are_recorded_anew():
    from cosmos_robot.benchmarks.random_checkpoint import RandomCheckpoint

    pipeline = RandomCheckpoint(seed=6).pipeline()
    engine, repeater = recorded(pipeline)
    request = model_input("policy", *recording(SIZES[1]))
    engine.generate([request])
    weight = pipeline.transformer.layers[0].self_attn.to_add_out.weight
    weight.data = 2 * weight.data
    changed = Engine.from_pipeline(pipeline, exact=PLAIN).generate([request], as_float=True)
    assert_same(engine.generate([request], as_float=True), changed)
    assert repeater.recordings == 2
    with torch.no_grad():  # in place, the memory that is read stays the same
        weight.mul_(0.5)
    changed = Engine.from_pipeline(pipeline, exact=PLAIN).generate([request], as_float=True)
    assert_same(engine.generate([request], as_float=True), changed)
    assert repeater.recordings == 2


class CudaDouble:
    """What stands for `torch.cuda` in recording: streams of the current device, and pools that end with their graphs.

    A pool into which nothing can be recorded again is the caching allocator's own rule: "use_count > 0".
    """

    def __init__(self, monkeypatch):
        self.current, self.told, self.streams, self.pools = [torch.device("cuda:0")], [], [], {}
        double = self

        class Stream:
            def __init__(self):
                self.device = double.current[-1]

            def wait_stream(self, other):
                assert other.device == self.device

        class Graph:
            pool = None

            def replay(self):
                double.told.append(("replay", double.current[-1]))

            def __del__(self):
                if self.pool is not None:
                    double.pools[self.pool] -= 1

        monkeypatch.setattr(torch.cuda, "device", self.device)
        monkeypatch.setattr(torch.cuda, "Stream", Stream)
        monkeypatch.setattr(torch.cuda, "current_stream", Stream)
        monkeypatch.setattr(torch.cuda, "stream", lambda stream: self.entered("warm up"))
        monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
        monkeypatch.setattr(torch.cuda, "graph", self.recorded)
        monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: (0, len(self.pools) + 1))

    @contextmanager
    def device(self, wanted):
        self.current.append(wanted)
        yield
        self.current.pop()

    @contextmanager
    def entered(self, name):
        self.told.append((name, self.current[-1]))
        yield

    def recorded(self, graph, *, pool, stream, capture_error_mode):
        assert stream.device == self.current[-1]
        assert self.pools.get(pool) != 0, "use_count > 0"
        self.pools[pool] = self.pools.get(pool, 0) + 1
        self.streams.append(stream)
        graph.pool = pool
        return self.entered("record")


def test_a_cuda_graph_is_recorded_and_replayed_on_its_own_device(monkeypatch):
    """The current device may be another: on its stream nothing would be recorded, and replays would do nothing."""
    double, second, work = CudaDouble(monkeypatch), torch.device("cuda:1"), []
    CudaGraphs(second)(lambda: work.append(double.current[-1]))()
    assert work == [second] * 3
    assert double.told == [("warm up", second), ("record", second), ("replay", second)]
    assert double.current == [torch.device("cuda:0")]


def test_cuda_graphs_share_their_memory_and_are_recorded_again_when_all_are_gone(monkeypatch):
    """A pool gives what one stream has used to no other; and it ends with its last graph."""
    double = CudaDouble(monkeypatch)
    graphs = CudaGraphs(torch.device("cuda:1"))
    kept = [graphs(lambda: None) for _ in range(2)]
    assert double.pools == {(0, 1): 2}
    assert double.streams[0] is double.streams[1]
    del kept[0]
    kept.append(graphs(lambda: None))
    assert double.pools == {(0, 1): 2}
    kept.clear()
    assert double.pools == {(0, 1): 0}
    graphs(lambda: None)()
    assert double.told[-1][0] == "replay"
