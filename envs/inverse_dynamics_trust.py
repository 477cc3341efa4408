"""How far to trust an imagination: the world model's own inverse dynamics reads its frames, and is held to the request.

If the robot does in the imagined frames what it was asked to do, inverse dynamics reads the same actions off them. The
score is how far what it reads is from what was asked, as the root of the mean square over the chunk and the channels,
in the checkpoint's normalised units, so that channels of different units count alike. Actions that can hardly be seen
cost score on real video too: that is why the threshold comes from real episodes (`calibrate`).
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import numpy as np

from cosmos_robot.domains.domain import Domain
from cosmos_robot.envs.protocols import ImaginedStep, Trust
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.interface.request import ActionRequest
from cosmos_robot.interface.world_model import WorldModel
from cosmos_robot.types import Actions, ActionSpace, FloatArray, Frames

type Clip = tuple[Frames, FloatArray]
"""A chunk of a real episode: frames uint8 `[k + 1, H, W, 3]`, actions float32 `[k, D]` in robot units."""


@dataclass(frozen=True)
class InverseDynamicsScore:
    """A `TrustScore`: all steps of a call are read in one batch.

    Attributes:
        reader: world model that reads the actions; None is the one that imagined.
        num_steps: denoising steps of inverse dynamics; None takes the checkpoint's or the domain's.
        seed: of its noise, the same for every step.
    """

    reader: WorldModel | None = None
    num_steps: int | None = None
    seed: int = 0

    def __call__(self, world_model: WorldModel, steps: Sequence[ImaginedStep]) -> list[float]:
        """Score the chunks that steps belong to."""
        clips = [(step.chunk_frames, step.chunk_actions) for step in steps]
        return self.of_clips(world_model, clips, steps[0].domain) if clips else []

    def of_clips(self, world_model: WorldModel, clips: Sequence[Clip], domain: Domain) -> list[float]:
        """Score clips of one domain."""
        requests = [
            ActionRequest(
                mode="inverse_dynamics",
                domain=domain,
                frames=frames,
                action_chunk_size=len(actions),
                action_space=ActionSpace.MODEL,  # what is read of a torn picture may be no action of the robot's
                num_steps=self.num_steps,
                seed=self.seed,
            )
            for frames, actions in clips
        ]
        answers = (world_model if self.reader is None else self.reader).generate(requests)
        return [
            action_distance(domain, Actions(answer.actions, ActionSpace.MODEL, domain.name), actions)
            for answer, (_, actions) in zip(answers, clips, strict=True)
        ]


def action_distance(domain: Domain, read: Actions, asked: Actions | FloatArray) -> float:
    """Root of the mean square difference of two action sequences `[k, D]`, in normalised units.

    Args:
        domain: the robot.
        read: in either space.
        asked: in either space; a bare array counts as robot units.
    """
    each = [domain.encode(actions).values[:, : domain.raw_action_dim] for actions in (read, asked)]
    return float(np.sqrt(np.mean(np.square(each[0] - each[1], dtype=np.float64))))


@dataclass(frozen=True)
class TrustCalibration:
    """Where the threshold of a trust comes from; it survives JSON.

    Attributes:
        threshold: `quantile` of the scores of real clips.
        quantile: share of the real clips that are trusted.
        clips: how many there were.
        median: of their scores.
        greatest: of their scores.
        domain: whose episodes they were.
    """

    threshold: float
    quantile: float
    clips: int
    median: float
    greatest: float
    domain: str

    def write(self, path: str | Path) -> None:
        """Write it as JSON."""
        Path(path).write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read what `write` wrote.

        Raises:
            InvalidInputError: if the file is not there or holds something else.
        """
        try:
            return cls(**json.loads(Path(path).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise InvalidInputError(f"{path} is no calibration of trust: {error}.") from error


EMBEDDED = TrustCalibration(threshold=0.2702, quantile=0.99, clips=256, median=0.0840, greatest=0.4206, domain="pusht")
"""Of the embedded model, on 16 recordings of gym-pusht from seed 1,000,400 on: what `bench long-rollout` finds."""


def calibrate(
    world_model: WorldModel,
    clips: Iterable[Clip],
    domain: Domain,
    *,
    score: InverseDynamicsScore | None = None,
    quantile: float = 0.99,
    batch: int = 8,
) -> TrustCalibration:
    """Find the threshold below which inverse dynamics scores a share of real clips.

    Args:
        world_model: whose imagination is to be judged.
        clips: chunks of real episodes that it was not trained on, as long as the chunks to be judged and at the size
            of its output canvas.
        domain: the robot.
        score: how steps will be scored.
        quantile: share of the real clips that are to be trusted.
        batch: clips read at once.

    Raises:
        InvalidInputError: if the quantile is not between 0 and 1, or there are too few clips to tell it.
    """
    if not 0.0 < quantile < 1.0:
        raise InvalidInputError(f"quantile is a share between 0 and 1; got {quantile}.")
    given, scorer = list(clips), score or InverseDynamicsScore()
    needed = int(np.ceil(round(1.0 / (1.0 - quantile), 6)))
    if len(given) < needed:
        raise InvalidInputError(
            f"the {quantile:g} quantile needs at least {needed} real clips; got {len(given)}. "
            f"Take more, or a lower quantile."
        )
    scores = [
        value
        for first in range(0, len(given), batch)
        for value in scorer.of_clips(world_model, given[first : first + batch], domain)
    ]
    return TrustCalibration(
        threshold=float(np.quantile(scores, quantile)),
        quantile=quantile,
        clips=len(given),
        median=float(np.median(scores)),
        greatest=float(np.max(scores)),
        domain=domain.name,
    )


def inverse_dynamics_trust(
    *,
    threshold: float | None = None,
    calibration: str | Path | TrustCalibration | None = None,
    num_steps: int | None = None,
    seed: int = 0,
    reader: WorldModel | None = None,
) -> Trust:
    """Make a trust that ends an episode where inverse dynamics does not read what was asked.

    Args:
        threshold: score above which an episode ends.
        calibration: where the threshold comes from instead: what `calibrate` gave, the file it was written to, or
            "embedded", `EMBEDDED`.
        num_steps: see `InverseDynamicsScore`, as for the following.
        seed: of its noise.
        reader: world model that reads the actions.

    Raises:
        InvalidInputError: unless exactly one of threshold and calibration is given.
    """
    if (threshold is None) == (calibration is None):
        raise InvalidInputError("trust by inverse dynamics takes a threshold or a calibration, one of the two.")
    if calibration is not None:
        known = EMBEDDED if calibration == "embedded" else calibration
        read = known if isinstance(known, TrustCalibration) else TrustCalibration.read(known)
        threshold = read.threshold
    assert threshold is not None
    return Trust(InverseDynamicsScore(reader=reader, num_steps=num_steps, seed=seed), threshold)
