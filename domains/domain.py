"""A domain: what a checkpoint knows about one robot, and the way between its units and the model's."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from cosmos_robot.domains.action_range import warn_if_model_far_out, warn_if_robot_far_out
from cosmos_robot.domains.channels import Channel, PoseBlock
from cosmos_robot.domains.normalisers import Normaliser
from cosmos_robot.domains.poses import Float64, matrix_from_rot6d, rot6d_from_matrix
from cosmos_robot.domains.source import Source
from cosmos_robot.domains.view_points import VIEW_SENTENCES, require_view_point
from cosmos_robot.errors import InvalidInputError, UnknownFactError
from cosmos_robot.types import Actions, ActionSpace, FloatArray


@dataclass(frozen=True)
class SamplingDefaults:
    """How actions of this domain are sampled unless the caller says otherwise.

    Attributes:
        num_steps: denoising steps.
        guidance: classifier-free guidance scale; 1 is none.
        shift: flow shift of the noise schedule.
    """

    num_steps: int = 30
    guidance: float = 1.0
    shift: float = 10.0


@dataclass(frozen=True)
class PublishedFacts:
    """What may be unknown about a robot: None where nobody has published it."""

    action_chunk_size: int | None = None
    fps: float | None = None
    view_point: str | None = None
    tier: int | None = None
    gripper: str | None = None
    normaliser: Normaliser | None = None


@dataclass(frozen=True)
class Domain:
    """One robot, as a checkpoint of the Cosmos 3 family knows it.

    `action_chunk_size`, `fps`, `view_point`, `tier`, `gripper` and `normaliser` raise `UnknownFactError`
    where nobody has published them.

    Attributes:
        name: canonical name, in the field's own spelling.
        robot: one sentence that says what moves.
        domain_id: which of the checkpoint's embodiment domains.
        channels: the columns of an action, in order.
        source: where the facts come from.
        published: the facts that may be unknown.
        aliases: other names of the same domain.
        pose_blocks: where poses stand among the channels.
        view_description: what the training data said about a picture made of several views. Base checkpoints
            are prompted without it.
        sampling: sampling defaults.
        state_row: whether the policy form has a clean first action row, the state that the robot is in.
        decodes_frames: whether a policy's answer has frames by default.
        translation_scale: what translations are multiplied by before they are normalised.
        notes: sentences worth knowing.
        recorded: where its actions and pictures come from in recorded data.
    """

    name: str
    robot: str
    domain_id: int
    channels: tuple[Channel, ...]
    source: str
    published: PublishedFacts = field(default_factory=PublishedFacts)
    aliases: tuple[str, ...] = ()
    pose_blocks: tuple[PoseBlock, ...] = ()
    view_description: str | None = None
    sampling: SamplingDefaults = field(default_factory=SamplingDefaults)
    state_row: bool = False
    decodes_frames: bool = True
    translation_scale: float = 1.0
    notes: tuple[str, ...] = ()
    recorded: Source = field(default_factory=Source)

    @property
    def raw_action_dim(self) -> int:
        """Number of channels that mean something."""
        return len(self.channels)

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Names of the channels, in order."""
        return tuple(channel.name for channel in self.channels)

    @property
    def action_chunk_size(self) -> int:
        """Transitions in one generation."""
        return self._known("action_chunk_size", self.published.action_chunk_size)

    @property
    def fps(self) -> float:
        """Frames, and so actions, a second."""
        return self._known("fps", self.published.fps)

    @property
    def view_point(self) -> str:
        """Where the camera stands; a key of `VIEW_SENTENCES`."""
        return self._known("view_point", self.published.view_point)

    @property
    def tier(self) -> int:
        """Resolution tier of the canvas."""
        return self._known("tier", self.published.tier, argument="image_size")

    @property
    def gripper(self) -> str:
        """What the gripper's number means."""
        return self._known("gripper", self.published.gripper, argument=None)

    @property
    def normaliser(self) -> Normaliser:
        """Between scaled robot units and model space; `Identity` where it is known that there is none."""
        if self.published.normaliser is None:
            raise UnknownFactError(
                f"the normaliser of domain {self.name!r} has not been published: pass actions in model space "
                f"and mark them so (action_space='model'), or give its figures in a TOML of your own."
            )
        return self.published.normaliser

    def view_sentence(self, view_point: str | None = None) -> str:
        """The sentence of the training data about a view point; None means the domain's own.

        Raises:
            InvalidInputError: if there is no such view point.
            UnknownFactError: if none is given and the domain's own has not been published.
        """
        return VIEW_SENTENCES[require_view_point(self.view_point if view_point is None else view_point)]

    def check_width(self, values: ArrayLike, space: ActionSpace = ActionSpace.ROBOT) -> None:
        """Check that an array `[..., D]` has this domain's channels.

        In model space it may be wider: what follows the domain's own channels is padding.

        Raises:
            InvalidInputError: if it has not; the message names the channels.
        """
        array = np.asarray(values)
        width = array.shape[-1] if array.ndim else 0
        dim = self.raw_action_dim
        if width < dim or (space is ActionSpace.ROBOT and width > dim):
            raise InvalidInputError(
                f"actions of domain {self.name!r} have {dim} channels ({', '.join(self.channel_names)}); got {width}."
            )

    def require_robot_bounds(self) -> tuple[FloatArray, FloatArray]:
        """Least and greatest action in robot units, each float32 `[raw_action_dim]`.

        Raises:
            UnknownFactError: if a channel's bounds have not been published; the message names the channels.
        """
        open_ended = [c.name for c in self.channels if c.low is None or c.high is None]
        if open_ended:
            raise UnknownFactError(
                f"domain {self.name!r} has no published bounds for {', '.join(open_ended)}; "
                f"pass bounds of your own, or set low and high in a TOML of your own."
            )
        low = np.array([c.low for c in self.channels], dtype=np.float32)
        return low, np.array([c.high for c in self.channels], dtype=np.float32)

    def encode(self, actions: Actions | ArrayLike, *, action_dim: int | None = None) -> Actions:
        """Take actions from robot units to model space: scale translations, normalise, pad with zeros.

        Actions that are in model space already are checked and padded, nothing else.

        Args:
            actions: `[T, raw_action_dim]`; a bare array counts as robot units.
            action_dim: width of the checkpoint's action channel, or None for no padding.

        Returns:
            `[T, action_dim or raw_action_dim]` in model space.

        Raises:
            InvalidInputError: if the width is wrong, or the actions are marked as another domain's.
            UnknownFactError: if the normaliser has not been published.

        Warns:
            ActionRangeWarning: if the numbers look like the other space's.
        """
        given = self._own(actions, ActionSpace.ROBOT)
        values = given.values.astype(np.float64)
        if given.space is ActionSpace.ROBOT:
            normaliser = self.normaliser
            warn_if_robot_far_out(self, values)
            values = normaliser.forward(self._scale_translations(values, self.translation_scale))
        else:
            self._require_zero_padding(values)
            warn_if_model_far_out(self, values[:, : self.raw_action_dim])
        return Actions(self._pad(values, action_dim), ActionSpace.MODEL, self.name)

    def decode(self, values: Actions | ArrayLike) -> Actions:
        """Take actions from model space to robot units: cut padding, denormalise, unscale, mend rotations.

        Each pose's rot6d is projected to SO(3), so that what comes back is a rotation whatever the model
        said. Actions that are in robot units already are checked and come back as they are.

        Args:
            values: `[T, at least raw_action_dim]`; a bare array counts as model space.

        Returns:
            `[T, raw_action_dim]` in robot units.

        Raises:
            InvalidInputError: if the width is wrong, or the actions are marked as another domain's.
            UnknownFactError: if the normaliser has not been published.
        """
        given = self._own(values, ActionSpace.MODEL)
        if given.space is ActionSpace.ROBOT:
            return given
        decoded = self.normaliser.inverse(given.values[:, : self.raw_action_dim])
        decoded = self._scale_translations(decoded, 1.0 / self.translation_scale)
        for block in self.pose_blocks:
            decoded[:, block.rotation] = rot6d_from_matrix(matrix_from_rot6d(decoded[:, block.rotation]))
        return Actions(decoded.astype(np.float32), ActionSpace.ROBOT, self.name)

    def poses(
        self, actions: Actions | ArrayLike, start: Mapping[str, ArrayLike] | ArrayLike | None = None
    ) -> dict[str, Float64]:
        """Integrate the actions into trajectories.

        Args:
            actions: `[T, raw_action_dim]`; a bare array counts as robot units.
            start: first pose `[4, 4]` of each pose block, by name, or of the only one; the identity where
                missing. In the model's OpenCV-like frame: `PoseBlock.into_frame` takes a robot's pose there.

        Returns:
            float64 `[T + 1, 4, 4]` for each pose block, in the model's frame, in metres where the block's
            unit is `m`.

        Raises:
            InvalidInputError: if the domain has no pose block, or its poses are controller commands.
            UnknownFactError: if a block's convention has not been published.
        """
        self._require_pose_blocks()
        given = self._own(actions, ActionSpace.ROBOT)
        values = self.decode(given).values.astype(np.float64)
        starts = self._starts(start)
        return {
            block.name: block.integrate(values[:, block.columns], starts.get(block.name, np.eye(4)))
            for block in self.pose_blocks
        }

    def actions_from_poses(
        self, poses: Mapping[str, ArrayLike], others: Mapping[str, ArrayLike] | None = None
    ) -> Actions:
        """Build actions from what a robot recorded: the inverse of `poses`.

        Args:
            poses: absolute poses `[T + 1, 4, 4]` of the robot's own end-effector frame for each pose block,
                by name, in metres; they are taken into the model's frame here.
            others: `[T]` numbers for each other channel, by name: row i goes with the step from frame i to i
                + 1.

        Returns:
            `[T, raw_action_dim]` in robot units.

        Raises:
            InvalidInputError: if something is missing, unknown, or of another length.
            UnknownFactError: if a block's frame or convention has not been published.
        """
        self._require_pose_blocks()
        in_poses = {name for block in self.pose_blocks for name in self.channel_names[block.columns]}
        singles = [name for name in self.channel_names if name not in in_poses]
        given = dict(others or {})
        self._require_names("poses", poses, [block.name for block in self.pose_blocks])
        self._require_names("other channels", given, singles)
        parts = {block.name: block.encode(block.into_frame(poses[block.name])) for block in self.pose_blocks}
        steps = len(parts[self.pose_blocks[0].name])
        values = np.empty((steps, self.raw_action_dim))
        for block in self.pose_blocks:
            values[:, block.columns] = self._of_length(block.name, parts[block.name], (steps, 9))
        for name in singles:
            column = np.asarray(given[name], dtype=np.float64)
            values[:, self.channel_names.index(name)] = self._of_length(name, column, (steps,))
        return Actions(values.astype(np.float32), ActionSpace.ROBOT, self.name)

    def _known[Fact](self, name: str, fact: Fact | None, argument: str | None = "") -> Fact:
        if fact is None:
            passing = f"pass {argument or name}=..., or " if argument is not None else ""
            raise UnknownFactError(
                f"{name} of domain {self.name!r} has not been published: "
                f"{passing}set it in a TOML of your own and name that file as the domain."
            )
        return fact

    def _own(self, actions: Actions | ArrayLike, bare: ActionSpace) -> Actions:
        if not isinstance(actions, Actions):
            array = np.asarray(actions)
            self.check_width(array, bare)
            return Actions(array.astype(np.float32), bare, self.name)
        if actions.domain != self.name:
            raise InvalidInputError(f"these actions are of domain {actions.domain!r}, not {self.name!r}.")
        self.check_width(actions.values, actions.space)
        return actions

    def _scale_translations(self, values: Float64, scale: float) -> Float64:
        scaled = values.copy()
        for block in self.pose_blocks:
            scaled[:, block.translation] *= scale
        return scaled

    def _pad(self, values: Float64, action_dim: int | None) -> FloatArray:
        wanted = values.shape[1] if action_dim is None else action_dim
        if wanted < self.raw_action_dim:
            raise InvalidInputError(
                f"the checkpoint takes actions of {wanted} channels, domain {self.name!r} has {self.raw_action_dim}."
            )
        own = values[:, : min(wanted, values.shape[1])]  # what is cut here is zero padding
        return np.pad(own, ((0, 0), (0, wanted - own.shape[1]))).astype(np.float32)

    def _require_zero_padding(self, values: Float64) -> None:
        if np.any(values[:, self.raw_action_dim :]):
            raise InvalidInputError(
                f"actions of domain {self.name!r} have {self.raw_action_dim} channels, and what follows them "
                f"must be zero; got {values.shape[1]} channels, all in use. Are they of another domain?"
            )

    def _starts(self, start: Mapping[str, ArrayLike] | ArrayLike | None) -> Mapping[str, ArrayLike]:
        if start is None:
            return {}
        names = [block.name for block in self.pose_blocks]
        if isinstance(start, Mapping):
            unknown = sorted(set(start) - set(names))
            if unknown:
                raise InvalidInputError(
                    f"domain {self.name!r} has no pose {', '.join(unknown)}; it has {', '.join(names)}."
                )
            return start
        if len(names) != 1:
            raise InvalidInputError(
                f"domain {self.name!r} has several poses; give the start of each by name: {', '.join(names)}."
            )
        return {names[0]: start}

    def _require_pose_blocks(self) -> None:
        if not self.pose_blocks:
            raise InvalidInputError(
                f"actions of domain {self.name!r} hold no poses; their channels are {', '.join(self.channel_names)}."
            )

    def _require_names(self, what: str, given: Iterable[str], wanted: Iterable[str]) -> None:
        if set(given) != set(wanted):
            raise InvalidInputError(
                f"domain {self.name!r} takes as {what} exactly {', '.join(wanted) or 'nothing'}; "
                f"got {', '.join(given) or 'nothing'}."
            )

    def _of_length(self, name: str, values: Float64, shape: tuple[int, ...]) -> Float64:
        if values.shape != shape:
            raise InvalidInputError(
                f"{name!r} of domain {self.name!r} must have shape {shape}, one row for each step; got {values.shape}."
            )
        return values
