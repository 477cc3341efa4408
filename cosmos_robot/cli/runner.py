"""Generating samples: everything is checked first, each answer is written when it is there."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cosmos_robot.cli.batches import BatchKind, answer, consecutive_batches
from cosmos_robot.cli.boundary import collected_warnings
from cosmos_robot.cli.downloads import Downloads
from cosmos_robot.cli.inputs import read_inputs
from cosmos_robot.cli.media_answers import MediaKind, answer_media, read_media_request
from cosmos_robot.cli.media_samples import AnySample, MediaSample
from cosmos_robot.cli.model_choice import ModelChoice, ModelRecord
from cosmos_robot.cli.outputs import (
    ARGUMENTS,
    TEXT,
    AnyAnswer,
    AnyOutputs,
    describe_media,
    describe_outputs,
    is_done,
    require_replaceable,
    write_sample,
)
from cosmos_robot.cli.progress import ProgressBars
from cosmos_robot.cli.reason_samples import ReasonSample, describe_reasoning, make_request
from cosmos_robot.cli.samples import Sample
from cosmos_robot.errors import (
    AccessError,
    CheckpointError,
    CosmosRobotError,
    InvalidInputError,
    UnsupportedModeError,
)
from cosmos_robot.interface.reason import ReasonRequest
from cosmos_robot.interface.world_model import WorldModel

type AnyKind = BatchKind | MediaKind | Literal["reasoner"]
type Answer = tuple[AnyAnswer, AnyOutputs]


@dataclass(frozen=True)
class Job:
    """A sample and the folder that its answer goes to."""

    sample: AnySample
    folder: Path


@dataclass(frozen=True)
class Result:
    """What became of a job.

    Attributes:
        job: which one.
        seconds: that generation took, or None where nothing was generated.
        error: why it failed, or None.
    """

    job: Job
    seconds: float | None = None
    error: CosmosRobotError | None = None

    @property
    def status(self) -> str:
        """One word: done, skipped or failed."""
        if self.error is not None:
            return "failed"
        return "skipped" if self.seconds is None else "done"


def generate(jobs: Sequence[Job], model: ModelChoice, *, overwrite: bool = False, batch_size: int = 1) -> list[Result]:
    """Generate samples.

    All are checked before the checkpoint is loaded. A sample that fails while it is generated does not keep
    the others from being generated; an error that concerns the checkpoint itself ends everything.

    Args:
        jobs: what to do.
        model: with what.
        overwrite: generate and replace what is finished already, instead of skipping it.
        batch_size: how many consecutive samples of one kind may share a call.

    Returns:
        a result for each job, in their order.

    Raises:
        InvalidInputError: if a sample cannot be used, or a folder holds something else. Nothing was written
            then.
        CheckpointError: if the checkpoint is not found or not whole.
        UnsupportedModeError: if the checkpoint has not what a mode needs.
        DeviceError: if the device is not there or has too little memory for the weights.
    """
    todo = [job for job in jobs if not _is_finished(job, model, overwrite=overwrite)]
    results = {job.folder: Result(job) for job in jobs if job not in todo}
    with Downloads() as downloads:
        kinds = _check(todo, downloads)
        if todo:
            with ProgressBars(len(todo)) as bars:
                world_model = model.load()
                generation = _Generation(world_model, model, downloads, bars)
                for kind, batch in consecutive_batches(list(zip(kinds, todo, strict=True)), batch_size):
                    for result in generation.batch(kind, batch):
                        results[result.job.folder] = result
    return [results[job.folder] for job in jobs]


def _is_finished(job: Job, model: ModelChoice, *, overwrite: bool) -> bool:
    if overwrite:
        require_replaceable(job.folder)
        return False
    return is_done(job.folder, job.sample, _record(job.sample, model))


def _record(sample: AnySample, model: ModelChoice) -> ModelRecord:
    return model.record(asks_reasoner=isinstance(sample, MediaSample) and sample.asks_reasoner)


def _kind(sample: AnySample, downloads: Downloads) -> AnyKind:
    if isinstance(sample, MediaSample):
        read_media_request(sample, downloads)
        return MediaKind.of(sample)
    if isinstance(sample, ReasonSample):
        _question(sample, downloads)
        return "reasoner"
    return BatchKind.of(sample, read_inputs(sample, downloads))


def _question(sample: ReasonSample, downloads: Downloads) -> ReasonRequest:
    return make_request(sample, None if sample.vision_path is None else downloads.local(sample.vision_path))


def _check(jobs: Sequence[Job], downloads: Downloads) -> list[AnyKind]:
    """Read all inputs once, and forget them: a run's videos need not fit into memory together."""
    kinds: list[AnyKind] = []
    errors: list[tuple[str, CosmosRobotError]] = []
    for job in jobs:
        try:
            kinds.append(_kind(job.sample, downloads))
        except CosmosRobotError as error:
            if len(jobs) == 1:
                raise
            errors.append((job.sample.name, error))
    if errors:
        sentences = "\n".join(f"  {name}: {error}" for name, error in errors)
        raise InvalidInputError(
            f"{len(errors)} of {len(jobs)} samples cannot be used, so none was generated:\n{sentences}"
        )
    return kinds


@dataclass(frozen=True)
class _Generation:
    """What the batches of one run share."""

    world_model: WorldModel
    model: ModelChoice
    downloads: Downloads
    bars: ProgressBars

    def batch(self, kind: AnyKind, jobs: Sequence[Job]) -> list[Result]:
        """Generate one batch and write its samples' folders; where it fails, one by one: a bad one spoils no other."""
        self.bars.start(jobs[0].sample.name)
        try:
            answers = self._answers(kind, jobs)
        except (AccessError, CheckpointError, UnsupportedModeError):
            raise  # no other sample would fare better
        except CosmosRobotError as error:
            if len(jobs) > 1:
                return [result for job in jobs for result in self.batch(kind, [job])]
            results = [Result(job, error=error) for job in jobs]
        else:
            results = [self._write(job, *given) for job, given in zip(jobs, answers, strict=True)]
        self.bars.finish(len(jobs))
        return results

    def _answers(self, kind: AnyKind, jobs: Sequence[Job]) -> list[Answer]:
        if isinstance(kind, MediaKind):
            return self._media(kind, [job.sample for job in jobs if isinstance(job.sample, MediaSample)])
        if kind == "reasoner":
            return [self._reasoning(job.sample) for job in jobs if isinstance(job.sample, ReasonSample)]
        return self._rollouts(kind, [job.sample for job in jobs if isinstance(job.sample, Sample)])

    def _media(self, kind: MediaKind, samples: Sequence[MediaSample]) -> list[Answer]:
        requests = [read_media_request(sample, self.downloads) for sample in samples]
        started = time.perf_counter()
        with collected_warnings() as warned:
            generations = answer_media(self.world_model, kind, samples[0], requests, self.bars.step)
        seconds = time.perf_counter() - started
        return [
            (made, describe_media(s, made, _record(s, self.model), seconds=seconds, warnings=warned))
            for s, made in zip(samples, generations, strict=True)
        ]

    def _reasoning(self, sample: ReasonSample) -> Answer:
        request = _question(sample, self.downloads)
        started = time.perf_counter()
        with collected_warnings() as warned:
            answered = self.world_model.answer(request).result()
        return answered, describe_reasoning(
            sample,
            answered,
            _record(sample, self.model),
            files=[ARGUMENTS, TEXT],
            seconds=time.perf_counter() - started,
            warnings=warned,
        )

    def _rollouts(self, kind: BatchKind, samples: Sequence[Sample]) -> list[Answer]:
        inputs = [read_inputs(sample, self.downloads) for sample in samples]
        started = time.perf_counter()
        with collected_warnings() as warned:
            rollouts = answer(self.world_model, kind, samples, inputs, self.bars.step)
        seconds = time.perf_counter() - started
        return [
            (
                rollout,
                describe_outputs(
                    sample,
                    rollout,
                    _record(sample, self.model),
                    seconds=seconds,
                    warnings=warned,
                    notes=given.notes,
                ),
            )
            for sample, given, rollout in zip(samples, inputs, rollouts, strict=True)
        ]

    def _write(self, job: Job, answered: AnyAnswer, outputs: AnyOutputs) -> Result:
        try:
            write_sample(job.folder, job.sample, answered, outputs)
        except CosmosRobotError as error:
            return Result(job, error=error)
        return Result(job, seconds=outputs.seconds)
