"""Inverse dynamics: the actions that are read off real frames beside those that were taken."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosmos_robot.benchmarks.action_figures import ZERO, action_row, channel_scatters, channel_series, summary_series
from cosmos_robot.benchmarks.metrics_actions import no_poses, pose_errors, r_squared
from cosmos_robot.benchmarks.run_config import RunConfig
from cosmos_robot.benchmarks.suite import Measured, Pooled, Row, RowKey, Scatter, Series, key_of, plain
from cosmos_robot.benchmarks.window_suite import Case, WindowSuite, call_options
from cosmos_robot.domains.domain import Domain
from cosmos_robot.domains.registry import get_domain
from cosmos_robot.interface.world_model import WorldModel

_POSE_FIGURES = (("ate", None), ("rpe_translation", None), ("rpe_rotation", "deg"))


@dataclass(frozen=True)
class InverseDynamicsSuite(WindowSuite):
    """Each window in one call."""

    needs: tuple[str, ...] = ("evo.core.metrics", "dtaidistance.dtw_ndim")
    ranking: str = "action RMSE"

    def measure(self, world_model: WorldModel, cases: Sequence[Case], config: RunConfig) -> list[Measured]:
        """Read the actions of windows off their frames."""
        domain = get_domain(config.domain)
        answers = world_model.inverse_dynamics(
            [case.window.frames for case in cases],
            domain=config.domain,
            action_chunk_size=len(cases[0].window.actions),
            **call_options(config, cases),
        )
        found = []
        for case, answer in zip(cases, answers, strict=True):
            figures, absent = action_row(domain, case, answer.actions[None], controls=config.controls)
            reason = no_poses(domain)
            if reason is None:
                figures["poses"] = {
                    name: {key: asdict(error) for key, error in pose_errors(domain, given[0], figures["true"]).items()}
                    for name, given in figures["actions"].items()
                }
            else:
                absent["ATE and RPE"] = reason
            keep: dict[str, NDArray[Any]] = {
                "frames": case.window.frames,
                "read": answer.actions,
                "actions": case.window.actions.values,
            }
            found.append(Measured(plain(figures), absent, keep))
        return found

    def series(self, rows: Sequence[Row], domain: Domain) -> list[Series]:
        """Errors of the channels, of the trajectories, and whatever the timing."""
        return [*summary_series(rows), *_pose_series(rows, domain), *channel_series(rows, domain)]

    def pooled(self, rows: Sequence[Row], domain: Domain) -> list[Pooled]:
        """R² of each channel."""
        variants = [name for name in rows[0]["figures"]["actions"] if name != ZERO] if rows else []
        return [
            Pooled(f"R², {channel.name}", "", variant, True, _pairs(rows, variant, i), _r_squared)
            for variant in variants
            for i, channel in enumerate(domain.channels)
        ]

    def scatters(self, rows: Sequence[Row], domain: Domain) -> list[Scatter]:
        """Read against true, channel by channel."""
        return channel_scatters(rows, domain, "read")


def _pose_series(rows: Sequence[Row], domain: Domain) -> list[Series]:
    found = []
    there = [row for row in rows if "poses" in row["figures"]]
    variants = dict.fromkeys(name for row in there for name in row["figures"]["poses"])
    for block in domain.pose_blocks if there else ():
        for metric, unit in _POSE_FIGURES:
            for variant in variants:
                values = {
                    key_of(row): row["figures"]["poses"][variant][block.name][metric]
                    for row in there
                    if variant in row["figures"]["poses"]
                }
                found.append(Series(f"{metric}, {block.name}", unit or block.unit, variant, False, values))
    return found


def _pairs(rows: Sequence[Row], variant: str, channel: int) -> dict[RowKey, NDArray[np.float64]]:
    """By row `[2, T]`: what was read of a channel and what was true."""
    found = {}
    for row in rows:
        figures = row["figures"]
        if variant in figures["actions"]:
            each = (figures["actions"][variant][0], figures["true"])
            found[key_of(row)] = np.stack([np.array(values, dtype=np.float64)[:, channel] for values in each])
    return found


def _r_squared(pairs: Sequence[NDArray[np.float64]]) -> float | None:
    given, truth = np.concatenate(pairs, axis=1)
    return r_squared(given[:, None], truth[:, None])[0]
