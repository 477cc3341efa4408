"""A batch of prompts is one pass with the numbers of each alone; guidance is one pass with the numbers of two."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from host_reads import HostReads
from media_case import media_input, pictures, reference

from cosmos_robot.engine import frame_decoding
from cosmos_robot.engine.generation import GenerationTower
from cosmos_robot.engine.media import generate_media
from cosmos_robot.engine.sampler import SamplerState
from cosmos_robot.engine.understanding import UnderstandingTower

PROMPTS = ["A cat.", "A much longer prompt than the first one.", "A dog.", "A much longer prompt than the first one."]


@pytest.fixture
def passes(monkeypatch):
    """Batch sizes of the passes through the generation tower."""
    seen, call = [], GenerationTower.__call__

    def counted(self, context, latents, time):
        seen.append(len(latents.vision))
        return call(self, context, latents, time)

    monkeypatch.setattr(GenerationTower, "__call__", counted)
    return seen


@pytest.mark.parametrize("guidance", [1.0, 6.0])
@pytest.mark.parametrize("mode", ["text2image", "text2video", "image2video", "video2video"])
def test_batch_equals_items(mode, guidance, engines, passes):
    engine = engines("sound")
    requests = [
        media_input(
            mode,
            prompt=prompt,
            seed=100 + i,
            guidance=guidance,
            sound=mode != "text2image",
            source=pictures(7, seed=i),
        )
        for i, prompt in enumerate(PROMPTS)
    ]
    together = generate_media(engine, requests, as_float=True)
    assert passes == [len(PROMPTS) * (2 if guidance > 1 else 1)] * requests[0].num_steps
    for request, batched in zip(requests, together, strict=True):
        alone = generate_media(engine, [request], as_float=True)[0]
        np.testing.assert_allclose(batched.frames, alone.frames, atol=1e-5)
        if request.sound:
            np.testing.assert_allclose(batched.sound, alone.sound, atol=1e-5)


def test_mixture_of_kinds_keeps_its_order(engines):
    engine = engines("nano")
    requests = [
        media_input("text2video", seed=0),
        media_input("text2image", seed=1),
        media_input("image2video", seed=2),
        media_input("text2video", seed=3),
    ]
    steps = []
    together = generate_media(engine, requests, progress=lambda done, total: steps.append((done, total)), as_float=True)
    for request, output in zip(requests, together, strict=True):
        alone = generate_media(engine, [request], as_float=True)[0]
        np.testing.assert_allclose(output.frames, alone.frames, atol=1e-5)
    assert steps == [(i + 1, 9) for i in range(9)]  # three kinds of three steps


def test_guidance_is_two_passes_in_one(engines, passes):
    """Each step's velocity equals what two separate passes give, combined by the formula."""
    engine = engines("nano")
    request = media_input("text2video", guidance=6.0, num_steps=1)
    guided = generate_media(engine, [request], as_float=True)[0]
    assert passes == [2]
    noise, velocities = [], []
    tower = engine.generation.__call__

    def recorded(context, latents, time):
        noise.append(latents.vision)
        velocities.append(tower(context, latents, time))
        return velocities[-1]

    plain = replace(request, guidance=1.0)
    for prompt in (request.prompt, request.negative_prompt):
        engine.generation, original = recorder(engine.generation, recorded), engine.generation
        generate_media(engine, [replace(plain, prompt=prompt)])
        engine.generation = original
    positive, negative = (velocity.vision.float() for velocity in velocities)
    schedule = engine.schedule(1, None)
    state = SamplerState.start(noise[0], schedule.order).step(negative + 6.0 * (positive - negative), schedule.steps[0])
    with torch.no_grad():
        expected = engine.autoencoder.decode(state.sample)[0].permute(0, 2, 3, 1)
    np.testing.assert_allclose(guided.frames, expected, atol=1e-5)


def recorder(tower, call):
    """The tower with another `__call__`."""

    class Recorder:
        def __getattr__(self, name):
            return getattr(tower, name)

        def __call__(self, *arguments):
            return call(*arguments)

    return Recorder()


def test_both_prompts_are_understood_once(engines, monkeypatch):
    engine = engines("nano")
    engine.understanding.clear()
    computed, compute = [], UnderstandingTower.compute
    monkeypatch.setattr(UnderstandingTower, "compute", lambda self, ids: computed.append(ids) or compute(self, ids))
    for seed in range(2):
        generate_media(engine, [media_input("text2video", seed=seed, guidance=6.0)])
    assert len(computed) == 2


@pytest.mark.parametrize(("interval", "guided"), [((700.0, 1001.0), [True, True, False]), (None, [True] * 3)])
def test_guidance_interval(interval, guided, engines, pipelines, passes):
    """diffusers has none, but its guidance can be switched off between two steps."""
    engine, pipeline = engines("nano"), pipelines("nano")
    timesteps = engine.schedule(3, None).timesteps
    assert [interval is None or interval[0] < t < interval[1] for t in timesteps] == guided
    request = media_input("text2video", guidance=6.0, guidance_interval=interval)
    output = generate_media(engine, [request], as_float=True)[0]
    assert passes == [2 if on else 1 for on in guided]

    def switch(pipe, step, timestep, tensors):
        pipe._guidance_scale = 6.0 if step + 1 < len(guided) and guided[step + 1] else 1.0
        return tensors

    expected = reference(pipeline, "text2video", guidance=6.0, callback_on_step_end=switch)
    np.testing.assert_allclose(output.frames, expected.video, atol=5e-5)


@pytest.mark.parametrize("mode", ["text2image", "text2video", "video2video"])
def test_no_host_synchronisation_in_a_step(mode, engines):
    engine = engines("sound")
    seen = []
    request = media_input(mode, guidance=6.0, guidance_interval=(700.0, 1001.0), sound=mode != "text2image")
    with HostReads() as reads:
        generate_media(engine, [request], progress=lambda done, total: seen.append(reads.count))
    assert len(seen) == request.num_steps
    assert len(set(seen)) == 1


def test_text_alone_encodes_nothing(engines, monkeypatch):
    engine = engines("nano")
    monkeypatch.setattr(engine.autoencoder, "encode", lambda pixels, canvas: pytest.fail("encoded"))
    generate_media(engine, [media_input("text2video")])


def test_decoded_together_and_copied_piece_by_piece(engines, monkeypatch):
    """Frames for the host go there by the latent frame; those that are to stay are never copied."""
    engine, copied, decoded = engines("nano"), [], []
    stream, collect = engine.autoencoder.stream, frame_decoding.collect
    monkeypatch.setattr(engine.autoencoder, "stream", lambda x: decoded.append(len(x)) or stream(x))

    def watched(pieces, **options):
        pieces = list(pieces)
        copied.append([tuple(piece.shape[:2]) for piece in pieces])
        assert options["overlap"]
        return collect(pieces, **options)

    monkeypatch.setattr(frame_decoding, "collect", watched)
    requests = [media_input("text2video", seed=seed) for seed in range(3)]
    requests[1] = replace(requests[1], keep_on_device=True)
    outputs = generate_media(engine, requests)
    assert [isinstance(output.frames, torch.Tensor) for output in outputs] == [False, True, False]
    assert sorted(decoded) == [1, 2]
    assert copied == [[(2, 1), (2, 4), (2, 4)]]
    for request, output in zip(requests, outputs, strict=True):
        alone = generate_media(engine, [replace(request, keep_on_device=False)])[0].frames
        assert np.abs(np.asarray(output.frames, int) - alone).max() <= 1


@pytest.mark.parametrize(("mode", "frames"), [("image2video", 1), ("video2video", 5)])
def test_only_conditioning_frames_are_encoded(mode, frames, engines, monkeypatch):
    autoencoder, seen = engines("nano").autoencoder, []
    encode = autoencoder.encode
    monkeypatch.setattr(autoencoder, "encode", lambda x, canvas: seen.append(x.shape[2]) or encode(x, canvas))
    generate_media(engines("nano"), [media_input(mode)])
    assert seen == [frames]
