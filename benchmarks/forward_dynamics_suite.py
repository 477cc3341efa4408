"""Forward dynamics: imagined frames beside what the camera saw, step by step, and beside what is wrong on purpose."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosmos_robot.benchmarks.fvd_figures import TRUE, clip_features, fvd_pooled
from cosmos_robot.benchmarks.metrics_frames import frame_figures
from cosmos_robot.benchmarks.metrics_perceptual import lpips, lpips_absent
from cosmos_robot.benchmarks.run_config import RunConfig
from cosmos_robot.benchmarks.suite import MODEL, Measured, Pooled, Row, Scatter, Series, key_of, plain, single, stepwise
from cosmos_robot.benchmarks.window_suite import Case, WindowSuite, call_options
from cosmos_robot.domains.domain import Domain
from cosmos_robot.domains.registry import get_domain
from cosmos_robot.envs.inverse_dynamics_trust import action_distance
from cosmos_robot.envs.output_canvas import canvas_rule, fit
from cosmos_robot.errors import InvalidInputError, UnsupportedModeError
from cosmos_robot.interface.world_model import WorldModel
from cosmos_robot.types import Actions, ActionSpace, Frames

COPY, OTHER, ZERO = "first frame copied", "another episode's actions", "zero actions"

_FRAME_METRICS = (("psnr", "dB"), ("psnr_moving", "dB"), ("ssim", ""), ("ssim_moving", ""))


@dataclass(frozen=True)
class ForwardDynamicsSuite(WindowSuite):
    """Frames 1..T of every window; those of a horizon longer than a chunk are chained."""

    needs: tuple[str, ...] = ("skimage.metrics", "torchmetrics.functional.image")
    ranking: str = "psnr"

    def measure(self, world_model: WorldModel, cases: Sequence[Case], config: RunConfig) -> list[Measured]:
        """Imagine windows with their own actions and with wrong ones, and compare with what happened."""
        domain = get_domain(config.domain)
        clips = _imagine(world_model, cases, [case.window.actions for case in cases], config)
        truths = [
            _on_canvas(world_model, case.window.frames, clip, domain, config)
            for case, clip in zip(cases, clips, strict=True)
        ]
        variants: list[dict[str, Frames]] = [
            {MODEL: clip, COPY: np.repeat(truth[:1], len(truth), axis=0)}
            for clip, truth in zip(clips, truths, strict=True)
        ]
        absent: list[dict[str, str]] = [{} for _ in cases]
        if config.controls:
            self._add_controls(world_model, cases, config, variants, absent)
        copies = [variant[COPY] for variant in variants]
        read, reason = _consistency(world_model, cases, config, {MODEL: clips, TRUE: truths, COPY: copies})
        found = []
        for i, truth in enumerate(truths):
            figures = _compared(variants[i], truth, absent[i]) | {"consistency": read[i] if read else None}
            if reason is not None:
                absent[i]["consistency"] = reason
            shown = {MODEL: clips[i], COPY: variants[i][COPY], TRUE: truth}
            figures |= clip_features(config.fvd_weights, shown, absent[i])
            keep: dict[str, NDArray[Any]] = {
                "imagined": clips[i],
                "true": truth,
                "actions": cases[i].window.actions.values,
            }
            found.append(Measured(plain(figures), absent[i], keep))
        return found

    def _add_controls(
        self,
        world_model: WorldModel,
        cases: Sequence[Case],
        config: RunConfig,
        variants: list[dict[str, Frames]],
        absent: list[dict[str, str]],
    ) -> None:
        domain = get_domain(config.domain)
        still = [
            Actions(np.zeros_like(case.window.actions.values), ActionSpace.MODEL, domain.name) for case in cases
        ]  # nothing, as the network is told it: the middle of each channel's range
        for variant, clip in zip(variants, _imagine(world_model, cases, still, config), strict=True):
            variant[ZERO] = clip
        chosen = [i for i, case in enumerate(cases) if case.other is not None]
        others = [case.other.actions for case in cases if case.other is not None]
        if chosen:
            made = _imagine(world_model, [cases[i] for i in chosen], others, config)
            for i, clip in zip(chosen, made, strict=True):
                variants[i][OTHER] = clip
        for i in set(range(len(cases))) - set(chosen):
            absent[i][OTHER] = "there is only one episode."

    def series(self, rows: Sequence[Row], domain: Domain) -> list[Series]:
        """PSNR and SSIM, whole and moving, LPIPS, consistency."""
        found = [s for name, unit in _FRAME_METRICS for s in stepwise(rows, name, unit, higher_is_better=True)]
        found += stepwise([row for row in rows if row["figures"].get("lpips")], "lpips", "", higher_is_better=False)
        return found + single(rows, "consistency", "normalised", higher_is_better=False)

    def pooled(self, rows: Sequence[Row], domain: Domain) -> list[Pooled]:
        """FVD, where there are features."""
        return fvd_pooled(rows)

    def scatters(self, rows: Sequence[Row], domain: Domain) -> list[Scatter]:
        """How the model stands beside copying, row by row."""
        by_variant = {series.variant: series.values for series in stepwise(rows, "psnr", "dB", higher_is_better=True)}
        if not {MODEL, COPY} <= set(by_variant):
            return []
        points = np.array([[by_variant[COPY][key_of(row)], by_variant[MODEL][key_of(row)]] for row in rows])
        return [Scatter("each row: above the line the model is better", f"{COPY}, PSNR dB", "model, PSNR dB", points)]


def _imagine(
    world_model: WorldModel, cases: Sequence[Case], actions: Sequence[Actions], config: RunConfig
) -> list[Frames]:
    options = call_options(config, cases)
    first = [case.window.frames[0] for case in cases]
    chunk = config.chunk or get_domain(config.domain).action_chunk_size
    if max(len(each) for each in actions) <= chunk:
        answers = world_model.forward_dynamics(first, list(actions), domain=config.domain, **options)
    else:
        answers = world_model.rollout(first, list(actions), domain=config.domain, action_chunk_size=chunk, **options)
    clips = [answer.frames for answer in answers if answer.frames is not None]
    if len(clips) < len(cases):
        raise InvalidInputError("the world model gave no frames.")
    return clips


def _on_canvas(world_model: WorldModel, truth: Frames, clip: Frames, domain: Domain, config: RunConfig) -> Frames:
    """The truth as the engine would show it, so that what is compared differs in content alone."""
    if truth.shape == clip.shape:
        return truth
    canvas = canvas_rule(world_model, domain, config.image_size)[0](*truth.shape[1:3])
    fitted = np.stack([fit(frame, canvas) for frame in truth])
    if fitted.shape != clip.shape:
        raise InvalidInputError(
            f"{len(truth)} frames of {truth.shape[1]}x{truth.shape[2]} were answered with {len(clip)} of "
            f"{clip.shape[1]}x{clip.shape[2]} (HxW), where {len(fitted)} of {fitted.shape[1]}x{fitted.shape[2]} "
            "were expected."
        )
    return fitted


def _compared(variants: dict[str, Frames], truth: Frames, absent: dict[str, str]) -> dict[str, Any]:
    each = {name: frame_figures(clip, truth) for name, clip in variants.items()}
    figures: dict[str, Any] = {
        metric: {name: getattr(found, metric) for name, found in each.items()} for metric, _ in _FRAME_METRICS
    }
    reason = lpips_absent(*truth.shape[1:3])
    if reason is not None:
        absent["lpips"] = reason
        return figures | {"lpips": None}
    return figures | {"lpips": {name: lpips(clip, truth) for name, clip in variants.items()}}


def _consistency(
    world_model: WorldModel, cases: Sequence[Case], config: RunConfig, shown: dict[str, Sequence[Frames]]
) -> tuple[list[dict[str, float]], str | None]:
    """Root mean square between the actions given and those read off the frames, normalised; or why there is none."""
    if not config.consistency:
        return [], "it was not asked for."
    domain = get_domain(config.domain)
    found: list[dict[str, float]] = [{} for _ in cases]
    for name, clips in shown.items():
        try:
            read = _read(world_model, cases, config, clips)
        except UnsupportedModeError as error:
            return [], str(error)
        for row, case, values in zip(found, cases, read, strict=True):
            actions = Actions(values, ActionSpace.MODEL, domain.name)
            row[name] = action_distance(domain, actions, case.window.actions)
    return found, None


def _read(
    world_model: WorldModel, cases: Sequence[Case], config: RunConfig, clips: Sequence[Frames]
) -> list[NDArray[np.float32]]:
    """What inverse dynamics reads of each clip, chunk by chunk: `[T, D]` in model space."""
    length = len(cases[0].window.actions)
    chunk = min(config.chunk or get_domain(config.domain).action_chunk_size, length)
    options = call_options(config, cases) | {"action_space": ActionSpace.MODEL}
    read: list[list[NDArray[np.float32]]] = [[] for _ in cases]
    for first in range(0, length, chunk):
        stop = min(first + chunk, length)  # a last piece that is not whole is read with what is before it
        shown = [clip[stop - chunk : stop + 1] for clip in clips]
        answers = world_model.inverse_dynamics(shown, domain=config.domain, action_chunk_size=chunk, **options)
        for pieces, answer in zip(read, answers, strict=True):
            pieces.append(answer.actions[first - stop :])
    return [np.concatenate(pieces) for pieces in read]
