"""Policy, open loop: the actions that are chosen from a window's first frame beside those that were taken.

A policy may choose well and otherwise than the recording; the best of several samples, and the controls beside it, say
how much of the error that is. Closed loops are `closed_loop_suite.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosmos_robot.benchmarks.action_figures import action_row, channel_scatters, channel_series, summary_series
from cosmos_robot.benchmarks.run_config import RunConfig
from cosmos_robot.benchmarks.suite import Measured, Pooled, Row, Scatter, Series, plain
from cosmos_robot.benchmarks.window_suite import Case, WindowSuite, call_options
from cosmos_robot.domains.domain import Domain
from cosmos_robot.domains.registry import get_domain
from cosmos_robot.interface.world_model import WorldModel
from cosmos_robot.types import Observation


@dataclass(frozen=True)
class PolicySuite(WindowSuite):
    """Each window in as many calls as samples are wanted."""

    needs: tuple[str, ...] = ("dtaidistance.dtw_ndim",)
    ranking: str = "action RMSE"

    def measure(self, world_model: WorldModel, cases: Sequence[Case], config: RunConfig) -> list[Measured]:
        """Let the policy choose from the first frames of windows."""
        domain = get_domain(config.domain)
        seen = [Observation(case.window.frames[0], case.window.state) for case in cases]
        samples = []
        for sample in range(config.samples):
            options = call_options(config, cases)
            options["seed"] = [case.row.seed + sample for case in cases]
            answers = world_model.policy(
                seen,
                domain=config.domain,
                action_chunk_size=len(cases[0].window.actions),
                return_frames=False,
                **options,
            )
            samples.append([answer.actions for answer in answers])
        found = []
        for i, case in enumerate(cases):
            chosen = np.stack([sample[i] for sample in samples])
            figures, absent = action_row(domain, case, chosen, controls=config.controls)
            keep: dict[str, NDArray[Any]] = {
                "frames": case.window.frames,
                "chosen": chosen,
                "actions": case.window.actions.values,
            }
            found.append(Measured(plain(figures), absent, keep))
        return found

    def series(self, rows: Sequence[Row], domain: Domain) -> list[Series]:
        """Errors over all channels, the best of the samples, and channel by channel."""
        return [*summary_series(rows), *channel_series(rows, domain)]

    def pooled(self, rows: Sequence[Row], domain: Domain) -> list[Pooled]:
        """None: a policy's actions need not be the recording's, so that R² would say little."""
        return []

    def scatters(self, rows: Sequence[Row], domain: Domain) -> list[Scatter]:
        """Chosen against taken."""
        return channel_scatters(rows, domain, "chosen")
