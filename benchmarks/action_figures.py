"""Figures of actions that were read or chosen, beside those that were taken and beside controls."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosmos_robot.benchmarks.metrics_actions import in_model_space, no_normaliser, normalised_dtw
from cosmos_robot.benchmarks.suite import MODEL, Row, Scatter, Series, key_of, single
from cosmos_robot.benchmarks.window_suite import Case
from cosmos_robot.domains.domain import Domain
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.types import Actions, ActionSpace

OTHER, ZERO = "another episode's actions", "zero actions"

_MOST_CHANNELS_SEEN = 6


def action_row(
    domain: Domain, case: Case, answers: NDArray[np.floating], *, controls: bool
) -> tuple[dict[str, Any], dict[str, str]]:
    """The figures of one row, and why some are not there.

    Args:
        domain: the robot.
        case: the row.
        answers: `[k, T, D]` in robot units: k answers to the same window.
        controls: whether other answers, wrong on purpose, stand beside them.

    Raises:
        InvalidInputError: if an answer is not finite; a row fails then, it is not left out of a mean.
    """
    if not np.isfinite(answers).all():
        raise InvalidInputError("the world model answered actions that are no numbers (NaN or infinity).")
    truth = case.window.actions.values
    actions: dict[str, NDArray[np.floating]] = {MODEL: answers}
    absent: dict[str, str] = {}
    reason = no_normaliser(domain)
    if controls:
        if case.other is None:
            absent[OTHER] = "there is only one episode."
        else:
            actions[OTHER] = case.other.actions.values[None]
        if reason is None and not domain.pose_blocks:
            still = Actions(np.zeros_like(truth), ActionSpace.MODEL, domain.name)
            actions[ZERO] = domain.decode(still).values[None]
        elif reason is None:
            absent[ZERO] = "zeros are no rotation."
        else:
            absent[ZERO] = reason
    figures: dict[str, Any] = {"true": truth, "actions": actions}
    if reason is not None:
        return figures, absent | {"normalised errors": reason}
    wanted = in_model_space(domain, truth)
    apart = {name: np.stack([in_model_space(domain, each) - wanted for each in v]) for name, v in actions.items()}
    squares = {name: np.square(each).mean(axis=(1, 2)) for name, each in apart.items()}
    figures["action MSE"] = {name: float(each.mean()) for name, each in squares.items()}
    figures["action RMSE"] = {name: float(np.sqrt(each).mean()) for name, each in squares.items()}
    if len(answers) > 1:
        figures[f"action RMSE, best of {len(answers)}"] = {MODEL: float(np.sqrt(squares[MODEL].min()))}
    figures["normalised DTW"] = {
        name: float(np.mean([normalised_dtw(domain, each, truth) for each in v])) for name, v in actions.items()
    }
    return figures, absent


def summary_series(rows: Sequence[Row]) -> list[Series]:
    """Figures over all channels, in normalised units."""
    names = dict.fromkeys(name for row in rows for name in row["figures"] if name.startswith("action "))
    found = [series for name in names for series in single(rows, name, "normalised", higher_is_better=False)]
    return found + single(rows, "normalised DTW", "", higher_is_better=True)


def channel_series(rows: Sequence[Row], domain: Domain) -> list[Series]:
    """Mean absolute error of each channel in its own unit, step by step."""
    found = []
    variants = dict.fromkeys(name for row in rows for name in row["figures"]["actions"])
    for i, channel in enumerate(domain.channels):
        for variant in variants:
            steps = {
                key_of(row): _channel_error(row, variant, i) for row in rows if variant in row["figures"]["actions"]
            }
            values = {key: float(np.mean(curve)) for key, curve in steps.items()}
            unit = channel.unit.partition(",")[0]
            found.append(Series(f"error, {channel.name}", unit, variant, False, values, steps))
    return found


def channel_scatters(rows: Sequence[Row], domain: Domain, verb: str) -> list[Scatter]:
    """What was read or chosen against what was taken, for the first channels."""
    if not rows:
        return []
    truth = np.concatenate([np.array(row["figures"]["true"]) for row in rows])
    given = np.concatenate([np.array(row["figures"]["actions"][MODEL][0]) for row in rows])
    return [
        Scatter(channel.name, f"taken, {_unit(channel.unit)}", f"{verb}, {_unit(channel.unit)}", points)
        for i, channel in enumerate(domain.channels[:_MOST_CHANNELS_SEEN])
        for points in [np.column_stack([truth[:, i], given[:, i]])]
    ]


def _channel_error(row: Row, variant: str, channel: int) -> list[float]:
    given = np.array(row["figures"]["actions"][variant])[:, :, channel]
    truth = np.array(row["figures"]["true"])[:, channel]
    errors: list[float] = np.abs(given - truth).mean(axis=0).tolist()
    return errors


def _unit(unit: str) -> str:
    return unit.partition(",")[0]
