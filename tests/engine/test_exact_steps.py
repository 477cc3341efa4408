"""Each step that makes the engine quick: the same answer, and less work that can be counted."""

import copy
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from action_case import SIZES, model_input, on_canvas, recording
from diffusers import Cosmos3OmniTransformer
from operator_count import OperatorCount
from torch._dynamo.testing import CompileCounter

from cosmos_robot.benchmarks.random_checkpoint import RandomCheckpoint
from cosmos_robot.engine import exact_steps
from cosmos_robot.engine.decoder_layer import Regions
from cosmos_robot.engine.engine import Engine
from cosmos_robot.engine.exact_steps import ExactSteps
from cosmos_robot.engine.generation import GenerationTower

NONE = ExactSteps.none()
ON_A_CPU = ("causal_autoencoder", "merged_projections", "key_value_buffers", "overlapped_copies")


def requests_of(mode, guidance=1.0):
    prompts = ["short", "a much longer prompt than the first", "short"]
    return [
        on_canvas(model_input(mode, *recording(SIZES[1], seed=i), guidance=guidance, seed=i, prompt=prompt))
        for i, prompt in enumerate(prompts)
    ]


def generated(pipeline, exact, requests):
    return Engine.from_pipeline(copy.deepcopy(pipeline), exact=exact).generate(requests, as_float=True)


def assert_same(ours, plain, tolerance=2e-5):
    for mine, expected in zip(ours, plain, strict=True):
        for name in ("frames", "actions"):
            if getattr(expected, name) is not None:
                np.testing.assert_allclose(getattr(mine, name), getattr(expected, name), atol=tolerance)


@pytest.mark.parametrize("step", [*ON_A_CPU, "all"])
@pytest.mark.parametrize(("checkpoint", "mode"), [("nano", "policy"), ("edge", "forward_dynamics")])
def test_same_answer(checkpoint, mode, step, pipelines):
    """Mixed prompts in one batch, with guidance."""
    requests = requests_of(mode, guidance=2.0)
    exact = ExactSteps() if step == "all" else replace(NONE, **{step: True})
    plain = generated(pipelines(checkpoint), NONE, requests)
    assert_same(generated(pipelines(checkpoint), exact, requests), plain)


def operators_of_a_step(pipeline, exact, requests):
    engine = Engine.from_pipeline(copy.deepcopy(pipeline), exact=exact)
    seen = []
    with OperatorCount() as count:
        engine.denoise(requests, lambda: seen.append(count.counts.copy()))
    return seen[2] - seen[1]


def test_operators_of_a_step(pipelines):
    """Three projections become one, two become one, and nothing is concatenated to the prompt's keys."""
    one = requests_of("policy")[:1]
    plain = operators_of_a_step(pipelines("nano"), NONE, one)
    merged = operators_of_a_step(pipelines("nano"), replace(NONE, merged_projections=True), one)
    roomy = operators_of_a_step(pipelines("nano"), replace(NONE, key_value_buffers=True), one)
    layers = 3
    assert plain["mm"] - merged["mm"] == 3 * layers
    assert plain["cat"] - roomy["cat"] == 2 * layers


def test_mixed_prompts_are_one_pass(pipelines):
    """Prompts of two lengths: one attention call more a layer, not one product more; and no mask."""
    alike, mixed = requests_of("policy")[::2], requests_of("policy")[:2]
    same = operators_of_a_step(pipelines("nano"), ExactSteps(), alike)
    other = operators_of_a_step(pipelines("nano"), ExactSteps(), mixed)
    attention = "_scaled_dot_product_flash_attention_for_cpu"
    assert (same[attention], other[attention]) == (3, 6)
    assert same["mm"] == other["mm"]
    assert not other["masked_fill"] + other["where"]


class TestMergedProjections:
    def test_parameters_are_views(self):
        pipeline = RandomCheckpoint(seed=7).pipeline()
        attention = pipeline.transformer.layers[0].self_attn
        names, before = set(pipeline.transformer.state_dict()), attention.add_k_proj.weight.clone()
        held = sum(p.untyped_storage().nbytes() for p in pipeline.transformer.parameters())
        Engine.from_pipeline(pipeline).generate(requests_of("policy")[:1])
        assert set(pipeline.transformer.state_dict()) == names
        assert torch.equal(attention.add_k_proj.weight, before)
        storages = {
            p.untyped_storage().data_ptr(): p.untyped_storage().nbytes() for p in pipeline.transformer.parameters()
        }
        assert sum(storages.values()) == held  # nothing is held twice
        assert attention.add_q_proj.weight.untyped_storage().data_ptr() in storages

    def test_two_engines_share_them(self):
        """The second finds them merged; otherwise both would move them at every turn."""
        pipeline, request = RandomCheckpoint(seed=7).pipeline(), requests_of("policy")[:1]
        engines = [Engine.from_pipeline(pipeline) for _ in range(2)]
        places = []
        for engine in (*engines, *engines):
            engine.denoise(request)
            places.append([p.data_ptr() for p in pipeline.transformer.parameters()])
        assert all(place == places[0] for place in places)

    def test_saved_and_loaded(self, tmp_path):
        pipeline = RandomCheckpoint(seed=7).pipeline()
        Engine.from_pipeline(pipeline).generate(requests_of("policy")[:1])
        pipeline.transformer.save_pretrained(tmp_path)
        loaded = Cosmos3OmniTransformer.from_pretrained(tmp_path)
        for name, tensor in pipeline.transformer.state_dict().items():
            assert torch.equal(tensor, loaded.state_dict()[name])

    @pytest.mark.parametrize("change", ["in place", "replaced", "module"])
    def test_changed_weights_are_heard(self, change):
        pipeline, request = RandomCheckpoint(seed=7).pipeline(), requests_of("policy")[:1]
        engine = Engine.from_pipeline(pipeline)
        before = engine.generate(request, as_float=True)
        attention = pipeline.transformer.layers[1].self_attn
        with torch.no_grad():
            if change == "in place":
                attention.add_v_proj.weight.mul_(2)
            elif change == "replaced":
                attention.add_v_proj.weight.data = 2 * attention.add_v_proj.weight.data
            else:
                attention.add_v_proj = torch.nn.Sequential(attention.add_v_proj, torch.nn.LeakyReLU(0.5))
        after = engine.generate(request, as_float=True)
        assert np.abs(after[0].actions - before[0].actions).max() > 1e-3
        assert_same(after, generated(pipeline, NONE, request))

    def test_gradients_reach_the_parameters(self):
        pipeline = RandomCheckpoint(seed=7).pipeline()
        engine = Engine.from_pipeline(pipeline)
        engine.generate(requests_of("policy")[:1])
        weights = engine.generation._merged
        assert weights.weights() == ((None, None),) * 2  # where gradients are enabled
        with torch.no_grad():
            assert all(tensor is not None for layer in weights.weights() for tensor in layer)


def test_layers_share_their_compiled_regions(pipelines):
    """Two regions, compiled without a break, once for all layers; a second shape makes them general."""
    pipeline = copy.deepcopy(pipelines("nano"))
    counter = CompileCounter()
    torch._dynamo.reset()
    engine = Engine.from_pipeline(pipeline)
    engine.generation = GenerationTower(
        pipeline.transformer, merged=True, rooms=True, regions=Regions.compiled(backend=counter)
    )
    plain = Engine.from_pipeline(pipelines("nano"), exact=NONE)
    for count, compiled in ((1, 2), (2, 4), (3, 4)):
        requests = [requests_of("policy")[0]] * count
        for ours, expected in zip(engine.denoise(requests), plain.denoise(requests), strict=True):
            torch.testing.assert_close(ours, expected, rtol=0, atol=2e-5)
        assert counter.frame_count <= compiled


@pytest.mark.slow
def test_compiled_regions_give_the_same(pipelines):
    """Through inductor and the C compiler."""
    if not exact_steps._can_compile():
        pytest.skip("there is no C compiler")
    torch._dynamo.reset()
    requests = requests_of("policy")[:2]
    exact = ExactSteps(compiled=True)
    assert_same(generated(pipelines("nano"), exact, requests), generated(pipelines("nano"), NONE, requests))


def test_the_device_decides():
    cpu, cuda = (ExactSteps().on(torch.device(name)) for name in ("cpu", "cuda"))
    assert (cpu.graphs, cpu.compiled) == (False, False)
    assert cuda.graphs
    assert not any(getattr(NONE, field.name) for field in fields(NONE) if field.name != "graph_capacity")
    assert NONE.on(torch.device("cuda")) == NONE
