"""Who is measured: diffusers' pipeline as it comes and compiled, this engine step by exact step, and its presets."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch

from cosmos_robot.benchmarks.speed_cases import Case, ask_engine, ask_pipeline
from cosmos_robot.engine.engine import Engine
from cosmos_robot.engine.exact_steps import ExactSteps
from cosmos_robot.engine.presets import choose_preset

RANKING = {
    "graphs": "a denoising step is recorded as a CUDA graph, its shapes static",
    "merged_projections": "query, key and value in one matrix product, gate and up in another",
    "key_value_buffers": "keys and values are written behind the prompt's, in the graph too, and not concatenated",
    "compiled": "norms, rotary embedding and activation of a layer are compiled",
    "causal_autoencoder": "the autoencoder channels last, frame by frame, its activations compiled where layers are",
    "overlapped_copies": "frames go to the host while the next are decoded; nothing where none are decoded",
}
"""The exact steps in the order in which they are added, by what was expected of them, and what each switches on."""

NOT_ON_A_CPU = ("overlapped_copies",)
"""Without anything to do there."""

RECORDED = 3
"""Answers until a denoising step is replayed: its shapes are new, then known and recorded, then there."""

BASELINE, COMPILED, PLAIN, ENGINE = "diffusers", "diffusers, compiled blocks", "engine, plain", "engine"
"""Names of the contender that the others are compared with, of its stronger form, and of this engine's two ends."""


@dataclass(frozen=True, eq=False)
class Contender:
    """One of those that are measured.

    Attributes:
        name: for the report.
        ask: gives it a case and a number of denoising steps; the answer is on the host.
        one_by_one: whether it takes one item a call.
        ready: brings it into its state before it is timed.
        forget: gives up what it keeps for the cases so far.
        warm_ups: answers before anything is timed: one, and one more for each of compilation, the first sight of a
            shape, and its recording.
        compiles: whether it has to be compiled for a case.
        kin: name of one that computes alike, and whose compiled code it shares.
        float8: whether its linear layers are in 8-bit floating point.
        adds: what it does that the one before it does not.
    """

    name: str
    ask: Callable[[Case, int], list[Any]]
    one_by_one: bool = False
    ready: Callable[[], None] = lambda: None
    forget: Callable[[], None] = lambda: None
    warm_ups: int = 1
    compiles: bool = False
    kin: str = ""
    float8: bool = False
    adds: str = ""

    def asked(self, case: Case) -> Case:
        """What it is given at one call."""
        return case.single if self.one_by_one else case


def contenders(pipeline: Any, *, each: bool = True) -> list[Contender]:
    """Everyone who answers exactly, on the weights of one pipeline; `ENGINE`, with all steps, is the last.

    Args:
        pipeline: `Cosmos3OmniPipeline`.
        each: add the exact steps one by one; else the plain engine and the whole one alone are measured.
    """
    device = pipeline.transformer.proj_in.weight.device
    cuda, decided = device.type == "cuda", ExactSteps().on(device)
    blocks = CompiledBlocks(pipeline.transformer)
    found = [_pipeline(BASELINE, pipeline, blocks.off)]
    if cuda:
        found.append(_pipeline(COMPILED, pipeline, blocks.on, compiles=True))
    exact = ExactSteps.none()
    found.append(_engine(PLAIN, pipeline, exact, "a prompt is understood once, steps run the generation tower alone"))
    wanted = [name for name in RANKING if getattr(decided, name) and (cuda or name not in NOT_ON_A_CPU)]
    for name in wanted:
        exact = replace(exact, **{name: True})
        last = name == wanted[-1]
        if each or last:
            label = ENGINE if last else f"engine, + {name.replace('_', ' ')}"
            found.append(_engine(label, pipeline, exact, RANKING[name] if each else "all exact steps"))
    return found


def with_preset(pipeline: Any, name: str) -> Contender:
    """This engine with a preset; it is built when it is first asked, for some take packages that may be missing.

    Some presets change the layers: it has modules of its own, over the parameters of all.
    """

    @cache
    def engine() -> Engine:
        own = copy.copy(pipeline)
        own.register_modules(transformer=_of_the_same_parameters(pipeline.transformer))
        return Engine.from_pipeline(own, preset=choose_preset(name))

    def ready() -> None:
        engine()

    def forget() -> None:
        loops = engine().loops if engine.cache_info().currsize else None
        if loops is not None:
            loops.clear()

    cuda = pipeline.transformer.proj_in.weight.device.type == "cuda"
    return Contender(
        f"preset {name}",
        lambda case, steps: ask_engine(engine(), case, steps),
        ready=ready,
        forget=forget,
        warm_ups=RECORDED if cuda else 1,
        compiles=cuda,
        float8=choose_preset(name).float8,
        adds="not exact",
    )


def _of_the_same_parameters(module: torch.nn.Module) -> torch.nn.Module:
    return copy.deepcopy(module, {id(parameter): parameter for parameter in module.parameters()})


def _engine(name: str, pipeline: Any, exact: ExactSteps, adds: str) -> Contender:
    # A step that merges parameters would change the others' kernels too: the towers are shared only where memory is
    # dear, on a GPU, where the parameters' place does not matter.
    shared = pipeline.transformer.proj_in.weight.device.type == "cuda"
    engine = Engine.from_pipeline(pipeline if shared else copy.deepcopy(pipeline), exact=exact)

    def forget() -> None:
        if engine.loops is not None:
            engine.loops.clear()

    return Contender(
        name,
        lambda case, steps: ask_engine(engine, case, steps),
        forget=forget,
        warm_ups=RECORDED if engine.loops is not None else 1,
        compiles=bool(engine.exact.compiled),
        kin=ENGINE if engine.exact.compiled else "",
        adds=adds,
    )


def _pipeline(name: str, pipeline: Any, ready: Callable[[], None], *, compiles: bool = False) -> Contender:
    return Contender(
        name,
        lambda case, steps: ask_pipeline(pipeline, case, steps, items=1),
        one_by_one=True,
        ready=ready,
        warm_ups=2 if compiles else 1,
        compiles=compiles,
    )


class CompiledBlocks:
    """Switches diffusers' `compile_repeated_blocks` on and off, so that both ways can be measured turn by turn."""

    def __init__(self, transformer: Any) -> None:
        self._transformer = transformer
        self._compiled: list[Any] = []

    def on(self) -> None:
        """Run the blocks compiled."""
        if not self._compiled:
            self._transformer.compile_repeated_blocks()
            self._compiled = [layer._compiled_call_impl for layer in self._transformer.layers]
        for layer, call in zip(self._transformer.layers, self._compiled, strict=True):
            layer._compiled_call_impl = call

    def off(self) -> None:
        """Run the blocks as they come."""
        for layer in self._transformer.layers:
            layer._compiled_call_impl = None


def build_pipeline(pipeline: Any, device: str) -> Any:
    """Bring a pipeline of random weights to where it is measured: bfloat16 on CUDA, float32 on the CPU."""
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(torch.bfloat16) if device == "cuda" else pipeline
