"""The understanding tower with the host: the same answer, one layer lent at a time, and given back."""

import numpy as np
import pytest
import torch
from action_case import SIZES, model_input, on_canvas, recording

from cosmos_robot.benchmarks.random_checkpoint import RandomCheckpoint
from cosmos_robot.engine import checkpoint, offload, understanding
from cosmos_robot.engine.engine import Engine
from cosmos_robot.engine.exact_steps import ExactSteps
from cosmos_robot.engine.offload import is_understanding, place_towers
from cosmos_robot.errors import DeviceError

OFFLOADED = ExactSteps(offload_understanding=True)


def request_of(**options):
    return on_canvas(model_input("policy", *recording(SIZES[0]), **options))


@pytest.mark.parametrize("form", ["nano", "edge"])
def test_every_parameter_belongs_to_one_tower(form):
    """What a denoising step runs stays on the device, all else is the host's."""
    transformer = RandomCheckpoint(form=form, sound=True).transformer()
    generation = {"proj_in", "proj_out", "norm_moe_gen", "time_embedder", "action_proj_in", "action_proj_out"}
    generation |= {"action_modality_embed", "audio_modality_embed", "audio_proj_in", "audio_proj_out"}
    inside = ("_moe_gen", "add_", "norm_added_")
    for name, _ in transformer.named_parameters():
        moving = name.split(".")[0] in generation or any(mark in name for mark in inside)
        assert is_understanding(name) != moving, name


@pytest.mark.parametrize("form", ["nano", "edge"])
def test_same_answer_one_layer_at_a_time(form, pipelines, monkeypatch):
    plain = Engine.from_pipeline(pipelines(form)).generate([request_of(guidance=2.0)], as_float=True)[0]
    pipeline = RandomCheckpoint(form=form, layers=3).pipeline() if form == "nano" else pipelines(form)
    if form == "nano":
        pipeline.transformer.load_state_dict(pipelines(form).transformer.state_dict())
        pipeline.vae.load_state_dict(pipelines(form).vae.state_dict())
    engine, lent_bytes = Engine.from_pipeline(pipeline, exact=OFFLOADED), []
    own = {name: p.data_ptr() for name, p in engine.transformer.named_parameters() if is_understanding(name)}
    lend = offload.lent

    def watched(modules, device):
        lent_bytes.append(sum(p.numel() * p.element_size() for m in modules for p in m.parameters()))
        return lend(modules, device)

    monkeypatch.setattr(understanding, "lent", watched)
    ours = engine.generate([request_of(guidance=2.0)], as_float=True)[0]
    np.testing.assert_allclose(ours.frames, plain.frames, atol=1e-6)
    layers = len(engine.transformer.layers)
    assert len(lent_bytes) == 2 * layers  # the prompt and the negative prompt
    tower = sum(p.numel() * 4 for n, p in engine.transformer.named_parameters() if is_understanding(n))
    assert max(lent_bytes) < tower / layers
    assert own == {name: p.data_ptr() for name, p in engine.transformer.named_parameters() if is_understanding(name)}
    engine.generate([request_of(guidance=2.0, seed=1)])
    assert len(lent_bytes) == 2 * layers  # a prompt that is known lends nothing


def test_weights_come_back_after_an_error():
    module = torch.nn.Linear(2, 2)
    own = module.weight.data_ptr()

    def interrupted():
        with offload.lent([module], torch.device("cpu")):
            module.weight.data = module.weight.data.clone()  # as another device's would be
            raise RuntimeError("in between")

    with pytest.raises(RuntimeError, match="in between"):
        interrupted()
    assert module.weight.data_ptr() == own


def test_half_the_memory_is_asked_of_the_device(checkpoint_folder, monkeypatch):
    asked = []
    monkeypatch.setattr(checkpoint, "resolve_device", lambda device: torch.device("cuda"))

    def refuse(needed, device, *, what):
        asked.append(needed)
        raise DeviceError("seen")

    monkeypatch.setattr(checkpoint, "require_memory", refuse)
    for exact in (None, OFFLOADED):
        with pytest.raises(DeviceError, match="seen"):
            checkpoint.load_checkpoint(checkpoint_folder, dtype="float32", exact=exact)
    transformer = RandomCheckpoint(layers=3).transformer()
    tower = sum(p.numel() * 4 for name, p in transformer.named_parameters() if is_understanding(name))
    assert asked[0] - asked[1] == tower


@pytest.mark.gpu
def test_on_a_device():
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device")
    plain = Engine.from_pipeline(RandomCheckpoint(layers=3).pipeline().to("cuda"))
    pipeline = RandomCheckpoint(layers=3).pipeline()
    pipeline.vae.to("cuda")
    place_towers(pipeline.transformer, torch.device("cuda"))
    engine = Engine.from_pipeline(pipeline, exact=OFFLOADED)
    for seed in range(3):
        ours, expected = (e.generate([request_of(seed=seed)], as_float=True)[0] for e in (engine, plain))
        np.testing.assert_allclose(ours.frames, expected.frames, atol=1e-3)
    assert pipeline.transformer.embed_tokens.weight.device.type == "cpu"
