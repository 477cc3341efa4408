"""Telling raw actions from normalised ones by their size: the most reported mistake with models of this kind.

Nothing is changed here and nothing is guessed: numbers that one space cannot hold, but the other can, give a
warning. The limits are wide, so that unusual but real motion passes.
"""

import warnings
from typing import TYPE_CHECKING

import numpy as np

from cosmos_robot.domains.channels import PoseBlock
from cosmos_robot.domains.normalisers import Identity, Normaliser
from cosmos_robot.domains.poses import IDENTITY_ROT6D, Float64
from cosmos_robot.errors import ActionRangeWarning

if TYPE_CHECKING:
    from cosmos_robot.domains.domain import Domain

NORMALISED_LIMIT = 5.0
"""Five times what 98 in 100 training values stay within."""

SMALL_MOTION = 0.05
"""In metres, radians: where the data hardly move, several times that is still no normalised value."""

BOUND_SLACK = 0.5
"""How far outside a channel's bounds, in parts of its range, a value may be."""

ROTATION_SLACK = 0.01
"""How far from unit length, or from a right angle, the columns of a rotation in robot units may be."""

EXACT_ROTATION = 1e-5
"""Columns closer than this to orthonormal were computed from a rotation, not predicted or normalised."""

TURNING = 1e-3
"""A rotation whose entries differ less than this from the identity's says nothing about its space."""

WIDE_RANGE = 100.0
"""A robot range this wide makes normalised values a speck in one corner of it."""


def warn_if_robot_far_out(domain: "Domain", values: Float64) -> None:
    """Warn if actions `[T, D]` that are said to be in robot units cannot be.

    Warns:
        ActionRangeWarning: naming the first channel that says so.
    """
    scaled = _scaled(domain, values)
    finding = (
        _broken_rotation(domain, values)
        or _outside_bounds(domain, values)
        or _beyond_training_range(domain, scaled, domain.normaliser.forward(scaled))
        or _speck_in_a_wide_range(domain, values)
    )
    if finding:
        _warn(domain, finding, "robot units", "If they are in model space, mark them so: action_space='model'.")


def warn_if_model_far_out(domain: "Domain", values: Float64) -> None:
    """Warn if actions `[T, D]` that are said to be in model space cannot be.

    Warns:
        ActionRangeWarning: naming the first channel that says so.
    """
    normaliser = domain.published.normaliser
    if normaliser is None:
        return
    if isinstance(normaliser, Identity):
        finding = _outside_bounds(domain, values)
    else:
        finding = _beyond_training_range(domain, normaliser.inverse(values), values) or _rotation_not_normalised(
            domain, values, normaliser
        )
    if finding:
        _warn(domain, finding, "model space", "If they are in robot units, mark them so: action_space='robot'.")


def _warn(domain: "Domain", finding: str, space: str, advice: str) -> None:
    message = f"actions of domain {domain.name!r} were given in {space}, but {finding}. {advice}"
    warnings.warn(message, ActionRangeWarning, stacklevel=4)


def _broken_rotation(domain: "Domain", values: Float64) -> str | None:
    for block in domain.pose_blocks:
        error = _orthonormality_error(values, block)
        if error.max() > ROTATION_SLACK:
            first = domain.channel_names[block.rotation][0]
            return (
                f"row {int(error.argmax())} of {first} and the five channels after it are not two columns of a rotation"
            )
    return None


def _rotation_not_normalised(domain: "Domain", values: Float64, normaliser: Normaliser) -> str | None:
    decoded = normaliser.inverse(values)
    for block in domain.pose_blocks:
        given = values[:, block.rotation]
        turns = np.abs(given - IDENTITY_ROT6D).max() > TURNING
        normalised = np.abs(decoded[:, block.rotation] - given).max() > TURNING
        if turns and normalised and _orthonormality_error(values, block).max() < EXACT_ROTATION:
            first = domain.channel_names[block.rotation][0]
            return f"{first} and the five channels after it are exact rotations before they are denormalised"
    return None


def _orthonormality_error(values: Float64, block: PoseBlock) -> Float64:
    """How far the two columns of each row are from orthonormal, `[T]`."""
    first, second = np.split(values[:, block.rotation], 2, axis=1)
    lengths = np.stack([np.linalg.norm(first, axis=1), np.linalg.norm(second, axis=1)])
    product = np.abs(np.sum(first * second, axis=1))
    return np.asarray(np.maximum(np.abs(lengths - 1.0).max(axis=0), product))


def _outside_bounds(domain: "Domain", values: Float64) -> str | None:
    for index, channel in enumerate(domain.channels):
        if channel.low is None or channel.high is None:
            continue
        slack = BOUND_SLACK * (channel.high - channel.low)
        distance = np.maximum(channel.low - values[:, index], values[:, index] - channel.high)
        row = int(distance.argmax())
        if distance[row] > slack:
            return (
                f"{channel.name} is {values[row, index]:.4g} in row {row}, "
                f"where it goes from {channel.low:g} to {channel.high:g} ({channel.unit})"
            )
    return None


def _scaled(domain: "Domain", values: Float64) -> Float64:
    scaled = values.copy()
    for block in domain.pose_blocks:
        scaled[:, block.translation] *= domain.translation_scale
    return scaled


def _beyond_training_range(domain: "Domain", scaled: Float64, normalised: Float64) -> str | None:
    if isinstance(domain.normaliser, Identity):
        return None
    centre = domain.normaliser.inverse(np.zeros(domain.raw_action_dim))
    size = np.where(np.abs(scaled - centre) > SMALL_MOTION, np.abs(normalised), 0.0)
    # Entries of a rotation near the identity have a tiny range and long tails: judged as rotations instead.
    for block in domain.pose_blocks:
        size[:, block.rotation] = 0.0
    row, index = np.unravel_index(int(size.argmax()), size.shape)
    if size[row, index] <= NORMALISED_LIMIT:
        return None
    return (
        f"{domain.channel_names[index]} in row {row} is {size[row, index]:.3g} when normalised, "
        f"where the training data keep within about 1"
    )


def _speck_in_a_wide_range(domain: "Domain", values: Float64) -> str | None:
    spans = [c.high - c.low for c in domain.channels if c.low is not None and c.high is not None]
    if isinstance(domain.normaliser, Identity) or len(spans) < len(domain.channels) or min(spans) < WIDE_RANGE:
        return None
    if np.abs(values).max() > 1.5 or not values.any():
        return None
    return f"every value is within 1.5 of 0, where {domain.channel_names[0]} alone has a range of {spans[0]:g}"
