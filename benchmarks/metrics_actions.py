"""How far actions are from those that were taken: by channel, as trajectories of poses, and whatever the timing.

Poses are compared by evo, timing by dtaidistance.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cosmos_robot.benchmarks.needed_packages import needed
from cosmos_robot.domains.domain import Domain
from cosmos_robot.errors import InvalidInputError, UnknownFactError
from cosmos_robot.types import Actions, ActionSpace

DTW_THRESHOLD = 0.1
"""Distance in normalised units that takes the normalised DTW to 1/e: a twentieth of a channel's range."""

type Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class PoseError:
    """How far a trajectory of poses is from the true one; both begin at the same pose and nothing is aligned.

    Attributes:
        ate: root mean square of the distances, in the translation's unit (absolute trajectory error).
        rpe_translation: the same of the steps from frame to frame (relative pose error).
        rpe_rotation: root mean square of the steps' angles, in degrees.
    """

    ate: float
    rpe_translation: float
    rpe_rotation: float


def in_model_space(domain: Domain, values: ArrayLike) -> Matrix:
    """Actions `[T, D]` of a domain from robot units to the normalised units of the checkpoint.

    Raises:
        UnknownFactError: if the domain's normaliser has not been published.
    """
    actions = Actions(np.asarray(values, dtype=np.float32), ActionSpace.ROBOT, domain.name)
    return domain.encode(actions).values.astype(np.float64)


def no_normaliser(domain: Domain) -> str | None:
    """Why actions of a domain cannot be compared in normalised units, or None."""
    if domain.published.normaliser is None:
        return f"the normaliser of domain {domain.name} has not been published."
    return None


def normalised_dtw(domain: Domain, given: ArrayLike, truth: ArrayLike) -> float:
    """Likeness of two action sequences `[T, D]` in robot units, whatever their timing: 1 is alike, 0 far away.

    `exp(-DTW / (T * threshold))`, Ilharco et al. 2019, "General Evaluation for Instruction Conditioned Navigation using
    Dynamic Time Warping", with Euclidean distances in normalised units and T the length of the truth.
    """
    ndim = needed("dtaidistance.dtw_ndim")
    one, other = (np.ascontiguousarray(in_model_space(domain, values)) for values in (given, truth))
    distance = float(ndim.distance(one, other, inner_dist="euclidean"))
    return float(np.exp(-distance / (len(other) * DTW_THRESHOLD)))


def no_poses(domain: Domain) -> str | None:
    """Why a domain's actions are no trajectories, or None."""
    try:
        domain.poses(np.zeros((1, domain.raw_action_dim)) + _turned(domain))
    except (InvalidInputError, UnknownFactError) as error:
        return str(error)
    return None


def pose_errors(domain: Domain, given: ArrayLike, truth: ArrayLike) -> dict[str, PoseError]:
    """Integrate actions `[T, D]` in robot units and compare the trajectories, for each pose block by name.

    Raises:
        InvalidInputError: if the domain's actions hold no poses.
    """
    one, other = domain.poses(np.asarray(given)), domain.poses(np.asarray(truth))
    return {name: _compare(one[name], other[name]) for name in other}


def r_squared(given: ArrayLike, truth: ArrayLike) -> list[float | None]:
    """Coefficient of determination of each channel of actions `[n, D]`; None where the truth is constant."""
    one, other = np.asarray(given, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    left = np.square(other - one).sum(axis=0)
    spread = np.square(other - other.mean(axis=0)).sum(axis=0)
    constant = np.ptp(other, axis=0) == 0
    return [None if same else float(1.0 - a / b) for a, b, same in zip(left, spread, constant, strict=True)]


def _compare(given: Matrix, truth: Matrix) -> PoseError:
    metrics, trajectory = needed("evo.core.metrics"), needed("evo.core.trajectory")
    pair = (trajectory.PosePath3D(poses_se3=list(truth)), trajectory.PosePath3D(poses_se3=list(given)))
    relation, frames = metrics.PoseRelation, metrics.Unit.frames
    found = []
    for measure in (
        metrics.APE(relation.translation_part),
        metrics.RPE(relation.translation_part, delta=1, delta_unit=frames),
        metrics.RPE(relation.rotation_angle_deg, delta=1, delta_unit=frames),
    ):
        measure.process_data(pair)
        found.append(float(measure.get_statistic(metrics.StatisticsType.rmse)))
    return PoseError(*found)


def _turned(domain: Domain) -> Matrix:
    """A row that is at rest: no translation, no turn."""
    row = np.zeros(domain.raw_action_dim)
    for block in domain.pose_blocks:
        row[block.rotation] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    return row
