"""Turning rows of actions or poses from one form into another; what is ambiguous is refused, never guessed.

A form is `robot` or `model` (the two spaces of a domain), or what the poses are and how their rotations are written,
as in `absolute:quaternion_xyzw`, `framewise:rot6d_rows`, `anchored:euler_xyz`: three numbers of position, then the
rotation, then numbers that go with them (a gripper). Pose forms are of the robot's own end effector; a domain's actions
are of the model's frame, and the way between is the domain's.
"""

from dataclasses import dataclass
from typing import Literal, cast, get_args

import numpy as np
from numpy.typing import ArrayLike

from cosmos_robot.domains import poses
from cosmos_robot.domains.channels import PoseBlock, PoseConvention
from cosmos_robot.domains.domain import Domain
from cosmos_robot.domains.nearest_names import did_you_mean
from cosmos_robot.domains.poses import Float64
from cosmos_robot.domains.rotation_forms import RotationForm
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.types import Actions, ActionSpace

PoseKind = Literal["absolute", "framewise", "anchored"]
SpaceKind = Literal["robot", "model"]

_AMBIGUOUS = {
    "quaternion": "quaternion_xyzw has the real part last, quaternion_wxyz has it first",
    "quat": "quaternion_xyzw has the real part last, quaternion_wxyz has it first",
    "rot6d": "rot6d_columns is Cosmos 3's own, rot6d_rows that of PyTorch3D and of UMI's training code",
    "euler": "euler_xyz turns about the fixed axes x, y, z",
}


@dataclass(frozen=True)
class ActionForm:
    """A form of rows of numbers.

    Attributes:
        kind: `absolute` poses, `framewise` steps `inv(T_i) @ T_{i+1}`, `anchored` ones `inv(T_0) @ T_{i+1}`, or the
            `robot` or `model` space of a domain.
        rotation: how rotations are written; None for a domain's spaces.
    """

    kind: PoseKind | SpaceKind
    rotation: RotationForm | None = None

    @classmethod
    def parse(cls, text: str) -> "ActionForm":
        """Read a form's name.

        Raises:
            InvalidInputError: if it is none, or leaves open what the numbers mean.
        """
        kind, _, rotation = text.strip().partition(":")
        kinds = (*get_args(PoseKind), *get_args(SpaceKind))
        if kind not in kinds:
            raise InvalidInputError(
                f"unknown form {text!r}{did_you_mean(kind, kinds)}; expected robot, model, or "
                f"absolute, framewise or anchored with a rotation, as in absolute:euler_xyz."
            )
        if kind in get_args(SpaceKind):
            if rotation:
                raise InvalidInputError(f"{text!r}: the rotations of the {kind} space are the domain's; say {kind!r}.")
            return cls(cast(SpaceKind, kind))
        if rotation not in list(RotationForm):
            told = _AMBIGUOUS.get(rotation, f"expected one of {', '.join(RotationForm)}")
            raise InvalidInputError(f"{text!r} does not say how a rotation is written: {told}.")
        return cls(cast(PoseKind, kind), RotationForm(rotation))

    def __str__(self) -> str:
        return self.kind if self.rotation is None else f"{self.kind}:{self.rotation}"


@dataclass(frozen=True, eq=False)
class _Motion:
    """A motion of the robot's end effector.

    Attributes:
        poses: `[T + 1, 4, 4]`; from the identity where only differences are known.
        others: numbers that go with it, `[T + 1, K]` for absolute poses and `[T, K]` for differences.
        placed: whether the first pose is known.
    """

    poses: Float64
    others: Float64
    placed: bool


def convert_actions(
    values: ArrayLike,
    source: ActionForm,
    target: ActionForm,
    *,
    domain: Domain | None = None,
    start: ArrayLike | None = None,
    keep: int = 0,
    action_dim: int | None = None,
) -> Float64:
    """Turn rows of numbers from one form into another.

    Args:
        values: `[N, D]`: T + 1 rows for absolute poses, T for all else.
        source: what they are.
        target: what they are to be.
        domain: whose spaces `robot` and `model` are; it must have one pose where poses are taken from it or built.
        start: `[4, 4]`, the robot's first pose, where absolute poses are built from differences.
        keep: how many numbers at the end of each row go with the pose. From absolute poses to differences row i keeps
            the numbers of pose i. A domain's channels that are no pose are such numbers, in their order: all or none.
        action_dim: width to which `model` is padded with zeros.

    Returns:
        `[M, E]` float64.

    Raises:
        InvalidInputError: if the widths do not fit, something that the answer depends on is not given, or a rotation
            or the start is none.
        UnknownFactError: if a fact about the domain has not been published.
    """
    rows = np.asarray(values, dtype=np.float64)
    if rows.ndim != 2 or not np.isfinite(rows).all():
        raise InvalidInputError(f"actions must be finite rows [N, D]; got shape {rows.shape}.")
    if source == target:
        raise InvalidInputError(f"the actions are {source} already.")
    if start is not None and (target.kind != "absolute" or source.kind == "absolute"):
        raise InvalidInputError(f"a start makes poses of differences; it has no use from {source} to {target}.")
    if source.rotation is None and target.rotation is None:
        space = _require_domain(domain, source)
        given = Actions(rows.astype(np.float32), ActionSpace(source.kind), space.name)
        changed = space.encode(given, action_dim=action_dim) if target.kind == "model" else space.decode(given)
        return changed.values.astype(np.float64)
    motion = _read(rows, source, domain, keep)
    if start is not None:
        motion = _Motion(_read_start(start) @ motion.poses, motion.others, placed=True)
    return _write(motion, source, target, domain, action_dim)


def _read_start(start: ArrayLike) -> Float64:
    pose = np.asarray(start, dtype=np.float64)
    if pose.shape != (4, 4) or not np.isfinite(pose).all():
        raise InvalidInputError(f"the start must be a pose of finite numbers [4, 4]; got shape {pose.shape}.")
    if not np.allclose(pose[3], [0.0, 0.0, 0.0, 1.0], rtol=0, atol=1e-6):
        raise InvalidInputError(
            f"the start's last row must be 0, 0, 0, 1, with the translation in the last column; got {pose[3].tolist()}."
        )
    try:
        return poses.pose_matrix(pose[:3, 3], RotationForm.MATRIX.read(pose[:3, :3].reshape(9)))
    except InvalidInputError as error:
        raise InvalidInputError(f"the start: {error}") from error


def _read(rows: Float64, form: ActionForm, domain: Domain | None, keep: int) -> _Motion:
    if form.rotation is None:
        return _read_space(rows, form, _require_domain(domain, form), keep)
    wanted = 3 + form.rotation.width + keep
    if rows.shape[1] != wanted:
        raise InvalidInputError(
            f"rows of {form} have {wanted} numbers (position, rotation, {keep} kept); got {rows.shape[1]}. "
            f"Say how many at the end of each row go with the pose."
        )
    end = 3 + form.rotation.width
    matrices = poses.pose_matrix(rows[:, :3], form.rotation.read(rows[:, 3:end]))
    if form.kind == "framewise":
        matrices = poses.integrate_framewise(matrices, np.eye(4))
    elif form.kind == "anchored":
        matrices = poses.integrate_anchored(matrices, np.eye(4))
    return _Motion(matrices, rows[:, end:], placed=form.kind == "absolute")


def _read_space(rows: Float64, form: ActionForm, domain: Domain, keep: int) -> _Motion:
    block, others = _only_pose(domain)
    if keep not in (0, len(others)):
        raise InvalidInputError(
            f"domain {domain.name!r} has {len(others)} channels that are no pose ({_listed(others)}): keep all or none."
        )
    robot = domain.decode(Actions(rows.astype(np.float32), ActionSpace(form.kind), domain.name))
    trajectory = block.out_of_frame(domain.poses(robot, block.frame_matrix())[block.name])
    numbers = robot.values[:, [domain.channel_names.index(name) for name in others]] if keep else robot.values[:, :0]
    return _Motion(trajectory, numbers.astype(np.float64), placed=False)


def _write(
    motion: _Motion, source: ActionForm, target: ActionForm, domain: Domain | None, action_dim: int | None
) -> Float64:
    steps = len(motion.poses) - 1
    if target.kind == "absolute":
        return _write_absolute(motion, source, target)
    if steps < 1:
        raise InvalidInputError(f"{target} is about steps between poses and needs two of them; got one.")
    others = motion.others[:steps]
    if target.rotation is None:
        return _write_space(motion.poses, others, target, _require_domain(domain, target), action_dim)
    framewise = target.kind == "framewise"
    deltas = poses.framewise_deltas(motion.poses) if framewise else poses.anchored_deltas(motion.poses)
    return np.hstack([deltas[:, :3, 3], target.rotation.write(deltas[:, :3, :3]), others])


def _write_absolute(motion: _Motion, source: ActionForm, target: ActionForm) -> Float64:
    assert target.rotation is not None
    if not motion.placed:
        raise InvalidInputError(f"{source} says how a robot moves and not from where: give the first pose as start.")
    if len(motion.others) != len(motion.poses) and motion.others.shape[1]:
        raise InvalidInputError(
            f"there is one pose more than there are rows of {source}, and nothing to keep beside the last: keep none."
        )
    others = motion.others if len(motion.others) == len(motion.poses) else np.empty((len(motion.poses), 0))
    return np.hstack([motion.poses[:, :3, 3], target.rotation.write(motion.poses[:, :3, :3]), others])


def _write_space(
    trajectory: Float64, others: Float64, form: ActionForm, domain: Domain, action_dim: int | None
) -> Float64:
    block, names = _only_pose(domain)
    if others.shape[1] != len(names):
        raise InvalidInputError(
            f"domain {domain.name!r} has beside its pose the channels {_listed(names)}: keep {len(names)} numbers "
            f"at the end of each row for them; got {others.shape[1]}."
        )
    columns = {name: others[:, index] for index, name in enumerate(names)}
    actions = domain.actions_from_poses({block.name: trajectory}, columns)
    wanted = domain.encode(actions, action_dim=action_dim) if form.kind == "model" else actions
    return wanted.values.astype(np.float64)


def _only_pose(domain: Domain) -> tuple[PoseBlock, tuple[str, ...]]:
    if len(domain.pose_blocks) != 1:
        names = ", ".join(block.name for block in domain.pose_blocks) or "none"
        raise InvalidInputError(
            f"poses are taken from and built into domains with one pose; {domain.name!r} has {names}. "
            f"Use Domain.poses and Domain.actions_from_poses, which take them by name."
        )
    block = domain.pose_blocks[0]
    if block.convention is PoseConvention.CONTROLLER_COMMAND:
        raise InvalidInputError(
            f"pose {block.name!r} of domain {domain.name!r} holds commands to the robot's controller, which "
            f"neither come from poses nor add up to poses."
        )
    inside = domain.channel_names[block.columns]
    return block, tuple(name for name in domain.channel_names if name not in inside)


def _require_domain(domain: Domain | None, form: ActionForm) -> Domain:
    if domain is None:
        raise InvalidInputError(f"{form} is a space of a domain: say which domain.")
    return domain


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "none"
