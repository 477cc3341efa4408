"""Speed: this engine beside diffusers' pipeline on the same weights, turn by turn; rows that go on, and a report.

A row is a case (a mode on frames of a tier, in a batch) at one repetition: everyone answers it, one straight after the
other, so that what the machine does meanwhile happens to all. Each row begins with peak rates measured on the spot, of
matrix products and of copies: what is called the floor is the least time that the work takes at them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from cosmos_robot.benchmarks.run_config import RunConfig
from cosmos_robot.benchmarks.run_identity import checkpoint_digest
from cosmos_robot.benchmarks.run_plan import PlannedRow
from cosmos_robot.benchmarks.suite import MODEL, Load, Measure, Measured, Pooled, Row, Scatter, Series, plain, single
from cosmos_robot.domains.domain import Domain
from cosmos_robot.errors import InvalidInputError

if TYPE_CHECKING:
    from cosmos_robot.benchmarks.speed_cases import Case
    from cosmos_robot.benchmarks.speed_measure import Row as Timing

type Weights = Literal["embedded", "nano", "tiny"]

RANDOM_WEIGHTS = "random weights"
_FIGURES = (
    ("a chunk", "s", False),
    ("a denoising step", "ms", False),
    ("times as quick as diffusers", "", True),
    ("frames a second", "", True),
    ("actions a second", "", True),
    ("share of the floor", "", True),
    ("peak memory", "MiB", False),
)


@dataclass(frozen=True)
class SpeedSettings:
    """What is measured.

    Attributes:
        weights: `nano` (random ones of the published form), `embedded`, or `tiny` (random, for a test); None is Nano's
            on CUDA and the embedded model's elsewhere.
        modes: of the cases; None takes all that there are.
        tiers: resolution tiers of the cases; None takes all.
        batches: items of a batch.
        presets: further ones of this engine, which change the answer; each stands beside the exact one.
        rounds: of a row, whose medians are taken.
        repetitions: rows of a case.

    Raises:
        InvalidInputError: if a number is less than 1, or there are no such weights.
    """

    weights: Weights | None = None
    modes: tuple[str, ...] | None = None
    tiers: tuple[int, ...] | None = None
    batches: tuple[int, ...] = (1, 4, 16)
    presets: tuple[str, ...] = ()
    rounds: int = 3
    repetitions: int = 3

    def __post_init__(self) -> None:
        for name in ("modes", "tiers", "batches", "presets"):  # a file has lists
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else tuple(value))
        if min(self.rounds, self.repetitions, *self.batches) < 1:
            raise InvalidInputError("rounds, repetitions and batches of the speed suite must be at least 1.")
        if self.weights not in (None, *get_args(Weights.__value__)):
            raise InvalidInputError(f"weights must be one of {', '.join(get_args(Weights.__value__))}.")


@dataclass(frozen=True)
class SpeedSuite:
    """Seconds of chunks and of denoising steps, beside what the device could do at best."""

    needs: tuple[str, ...] = ()
    ranking: str = "a chunk"
    settings: type[Any] | None = SpeedSettings

    def plan(self, config: RunConfig) -> list[PlannedRow]:
        """Every case, again and again, so that repetitions lie apart."""
        own = config.settings(SpeedSettings)
        cases = _cases(config)
        if not cases:
            raise InvalidInputError("no case of the speed suite has these modes and tiers.")
        pairs = [(case.name, repetition) for repetition in range(own.repetitions) for case in cases]
        return [PlannedRow(i, None, again, 0, config.seed, None, name) for i, (name, again) in enumerate(pairs)]

    def begin(self, config: RunConfig, load: Load) -> Measure:
        """Build the pipeline, and this engine on its weights."""
        bench = _Bench(config)
        return lambda rows: [bench.measure(row) for row in rows]

    def series(self, rows: Sequence[Row], domain: Domain) -> list[Series]:
        """Each figure of each case; `model` is this engine with all its exact steps."""
        names = dict.fromkeys(row["case"] for row in rows)
        found = []
        for figure, unit, up in _FIGURES:
            for name in names:
                mine = [row for row in rows if row["case"] == name]
                found += [
                    replace(series, metric=f"{figure}, {name}")
                    for series in single(mine, figure, unit, higher_is_better=up)
                ]
        return found

    def pooled(self, rows: Sequence[Row], domain: Domain) -> list[Pooled]:
        """None."""
        return []

    def scatters(self, rows: Sequence[Row], domain: Domain) -> list[Scatter]:
        """None."""
        return []


def speed_weights(config: RunConfig) -> str:
    """What tells the weights of a run from others: a digest, or that they are random."""
    return checkpoint_digest(None) if _weights(config) == "embedded" else RANDOM_WEIGHTS


class _Bench:
    """Everything that is measured, on one device."""

    def __init__(self, config: RunConfig) -> None:
        import torch

        from cosmos_robot.benchmarks.speed_contenders import contenders, with_preset

        own = config.settings(SpeedSettings)
        self._device = torch.device(_device(config))
        self._tiny = _weights(config) == "tiny"
        self._form, pipeline = _pipeline(config)
        self._dtype = pipeline.transformer.dtype
        self._everyone = contenders(pipeline, each=False)
        self._everyone += [with_preset(pipeline, name) for name in own.presets]
        self._cases = {case.name: case for case in _cases(config)}
        self._rounds = own.rounds

    def measure(self, row: PlannedRow) -> Measured:
        from cosmos_robot.benchmarks.speed_floor import measure_peaks, work_of
        from cosmos_robot.benchmarks.speed_measure import Bench
        from cosmos_robot.benchmarks.speed_plan import steps_apart

        case, peaks = self._cases[row.case], measure_peaks(self._device, self._dtype, tiny=self._tiny)
        work = work_of(case, self._form, self._dtype.itemsize)
        steps = steps_apart(case, cuda=self._device.type == "cuda")
        measured = Bench(peaks, self._device, self._rounds).measure(case, self._everyone, work, steps=steps)
        found, absent = measured.rows, dict(measured.left_out)
        if self._device.type != "cuda":
            absent["peak memory"] = "a CPU process never gives memory back."
        figures = figures_of(case, found) | {
            "peaks": {
                "matmul, FLOP/s": peaks.matmul,
                "attention, FLOP/s": peaks.attention,
                "copy, B/s": peaks.bandwidth,
            },
            "attention": {name_of(each): each.attention for each in found},
        }
        return Measured(plain(figures, 5), absent)


def name_of(timing: "Timing") -> str:
    """The variant that a contender is: this engine with all its exact steps is the model."""
    return MODEL if timing.contender == "engine" else timing.contender


def figures_of(case: "Case", found: "Sequence[Timing]") -> dict[str, Any]:
    """The figures of a row by variant, of the timings of everyone who answered its case."""
    frames = case.batch * case.chunk
    figures: dict[str, Any] = {name: {} for name, _, _ in _FIGURES}
    for each in found:
        values = {
            "a chunk": each.chunk_s,
            "a denoising step": each.step_ms,
            "times as quick as diffusers": each.ratio,
            "frames a second": None if case.mode == "inverse_dynamics" else frames / each.chunk_s,
            "actions a second": None if case.mode == "text2video" else frames / each.chunk_s,
            "share of the floor": each.floor_share,
            "peak memory": None if each.peak_memory is None else each.peak_memory / 2**20,
        }
        for name, value in values.items():
            if value is not None:
                figures[name][name_of(each)] = value
    return figures


def _device(config: RunConfig) -> str:
    import torch

    return config.device or ("cuda" if torch.cuda.is_available() else "cpu")


def _weights(config: RunConfig) -> Weights:
    if config.checkpoint is not None:
        raise InvalidInputError("speed is measured on weights of its own (--weights nano, embedded), not a checkpoint.")
    return config.settings(SpeedSettings).weights or ("nano" if _device(config).startswith("cuda") else "embedded")


def _cases(config: RunConfig) -> "list[Case]":
    """The cases of the speed benchmark in the wanted modes, tiers and batches."""
    from cosmos_robot.benchmarks.speed_cases import smaller
    from cosmos_robot.benchmarks.speed_plan import ON_A_CPU, ON_CUDA

    own, weights = config.settings(SpeedSettings), _weights(config)
    known = ON_A_CPU if weights == "embedded" else ON_CUDA
    every = dict.fromkeys(replace(case, batch=1) for case in known)
    found = []
    for case in every:
        unwanted = own.modes is not None and case.mode not in own.modes
        if unwanted or (own.tiers is not None and case.tier not in own.tiers):
            continue
        fitting = smaller(case) if weights == "tiny" else case
        steps = fitting.num_steps if config.num_steps is None else config.num_steps
        found += [replace(fitting, batch=batch, num_steps=steps) for batch in own.batches]
    return list(dict.fromkeys(found))


def _pipeline(config: RunConfig) -> tuple[Any, Any]:
    """The weights that are measured, as diffusers' pipeline, and their form."""
    import torch
    from diffusers import Cosmos3OmniPipeline

    from cosmos_robot.benchmarks.random_checkpoint import RandomCheckpoint
    from cosmos_robot.benchmarks.speed import EMBEDDED_FORM, NANO
    from cosmos_robot.benchmarks.speed_cases import with_shift
    from cosmos_robot.world_model import EMBEDDED

    weights, device = _weights(config), torch.device(_device(config))
    dtype = getattr(torch, config.dtype or ("bfloat16" if device.type == "cuda" else "float32"))
    if weights == "embedded":
        form = EMBEDDED_FORM
        pipeline = Cosmos3OmniPipeline.from_pretrained(
            EMBEDDED, dtype=dtype, enable_safety_checker=False, safety_checker=None, local_files_only=True
        ).to(device)
    else:
        form = NANO if weights == "nano" else RandomCheckpoint()
        with device:
            pipeline = form.pipeline().to(dtype)
    pipeline.set_progress_bar_config(disable=True)
    return form, with_shift(pipeline)
