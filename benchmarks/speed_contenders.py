"""Who is measured: diffusers' pipeline as it comes and compiled, and this engine with each step added to the last."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from cosmos_robot.benchmarks.speed_cases import Case, ask_engine, ask_pipeline
from cosmos_robot.engine.engine import Engine
from cosmos_robot.engine.exact_steps import ExactSteps

RANKING = (
    "graphs",
    "merged_projections",
    "compiled",
    "key_value_buffers",
    "causal_autoencoder",
    "overlapped_copies",
)
"""The exact steps in the order in which they are added: by what they were expected to give."""

NOT_ON_A_CPU = ("graphs", "compiled")
BASELINE = "diffusers"
"""Name of the contender that the others are compared with."""


@dataclass(frozen=True, eq=False)
class Contender:
    """One of those that are measured.

    Attributes:
        name: for the report.
        ask: gives it a case and a number of denoising steps; the answer is on the host.
        one_by_one: whether it takes one item a call.
        ready: brings it into its state before it is timed.
    """

    name: str
    ask: Callable[[Case, int], list[Any]]
    one_by_one: bool = False
    ready: Callable[[], None] = lambda: None


def contenders(pipeline: Any, *, each: bool = True) -> list[Contender]:
    """Everyone, on the weights of one pipeline.

    Args:
        pipeline: `Cosmos3OmniPipeline`.
        each: add the exact steps one by one; else the plain engine and the whole one alone are measured.
    """
    device = pipeline.transformer.proj_in.weight.device
    blocks = CompiledBlocks(pipeline.transformer)
    found = [_pipeline(BASELINE, pipeline, blocks.off)]
    if device.type == "cuda":
        found.append(_pipeline("diffusers, compiled blocks", pipeline, blocks.on))
    exact = ExactSteps.none()
    found.append(_engine("engine, plain", pipeline, exact))
    wanted = [name for name in RANKING if device.type == "cuda" or name not in NOT_ON_A_CPU]
    for name in wanted:
        exact = replace(exact, **{name: True})
        if each or name == wanted[-1]:
            found.append(_engine(f"engine, + {name.replace('_', ' ')}" if each else "engine", pipeline, exact))
    return found


def _engine(name: str, pipeline: Any, exact: ExactSteps) -> Contender:
    # A step that merges parameters would change the others' kernels too: the towers are shared only where memory is
    # dear, on a GPU, where the parameters' place does not matter.
    shared = pipeline.transformer.proj_in.weight.device.type == "cuda"
    engine = Engine.from_pipeline(pipeline if shared else copy.deepcopy(pipeline), exact=exact)
    return Contender(name, lambda case, steps: ask_engine(engine, case, steps))


def _pipeline(name: str, pipeline: Any, ready: Callable[[], None]) -> Contender:
    return Contender(
        name, lambda case, steps: ask_pipeline(pipeline, case, steps, items=1), one_by_one=True, ready=ready
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
