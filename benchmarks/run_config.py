"""What a benchmark run is: which suite, of which world model, on which episodes, with which settings."""

from dataclasses import asdict, dataclass
from typing import Any

from cosmos_robot.domains.nearest_names import did_you_mean
from cosmos_robot.errors import InvalidInputError

WINDOW_SUITES = ("forward-dynamics", "inverse-dynamics", "policy", "generation")
"""Those that are measured on windows of recorded episodes."""
SUITES = (*WINDOW_SUITES, "closed-loop", "agreement", "speed")
SAMPLING_SUITES = ("policy", "closed-loop")
"""Those in which several answers to one question are worth having."""

_NOT_FIGURES = ("name", "batch", "keep_predictions")
"""Settings that do not change what is measured: a run may go on with other ones."""


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """A run. What is None is the domain's or the checkpoint's to decide.

    Attributes:
        suite: one of `SUITES`.
        episodes: what `open_episodes` opens, or `pusht-held-out` (see `run_episodes.py`); "" where a suite needs none.
        domain: name or alias of a domain, or the path of a domain file.
        name: of the run, where a file has several.
        checkpoint: of the world model.
        device: that it runs on.
        dtype: of its weights.
        rows: windows at most, drawn with `seed`; None takes all.
        horizon: actions of a window; None is `chunk`. A longer one is chained from chunks.
        chunk: actions of one generation.
        stride: time steps from window to window; None is the horizon, so that they do not overlap.
        noises: seeds of the noise for each window.
        samples: of a policy for each window, for the best of them.
        seed: of all draws.
        num_steps: denoising steps, as the following.
        guidance: classifier-free guidance scale.
        shift: flow shift.
        fps: frames a second of the windows.
        image_size: resolution tier.
        view_point: where the camera stands.
        prompt: instead of the episodes' own.
        controls: whether what is wrong on purpose is measured too: other actions, zero actions.
        consistency: whether imagined frames are read by inverse dynamics.
        fvd_weights: I3D as TorchScript.
        batch: rows of one call.
        keep_predictions: whether what was predicted is kept.
        own: the suite's own settings, a dataclass beside it; None takes their defaults.

    Raises:
        InvalidInputError: if a setting is unknown or out of its range.
    """

    suite: str
    domain: str
    episodes: str = ""
    name: str = ""
    checkpoint: str | None = None
    device: str | None = None
    dtype: str | None = None
    rows: int | None = None
    horizon: int | None = None
    chunk: int | None = None
    stride: int | None = None
    noises: int = 1
    samples: int = 1
    seed: int = 0
    num_steps: int | None = None
    guidance: float | None = None
    shift: float | None = None
    fps: float | None = None
    image_size: int | str | None = None
    view_point: str | None = None
    prompt: str | None = None
    controls: bool = True
    consistency: bool = True
    fvd_weights: str | None = None
    batch: int = 1
    keep_predictions: bool = False
    own: Any = None

    def __post_init__(self) -> None:
        if self.suite not in SUITES:
            raise InvalidInputError(
                f"there is no suite {self.suite!r}{did_you_mean(self.suite, SUITES)}; \
there are {', '.join(SUITES)}."
            )
        least = {"rows": self.rows, "noises": self.noises, "samples": self.samples, "batch": self.batch}
        for name, value in least.items():
            if value is not None and value < 1:
                raise InvalidInputError(f"{name} must be at least 1; got {value}.")
        if self.seed < 0:
            raise InvalidInputError(f"seed must not be negative; got {self.seed}.")
        if self.samples > 1 and self.suite not in SAMPLING_SUITES:
            raise InvalidInputError(
                f"samples is for the suites {' and '.join(SAMPLING_SUITES)}; others take noises, the seeds of a window."
            )
        if not self.episodes and self.suite in WINDOW_SUITES:
            raise InvalidInputError(f"the suite {self.suite} needs episodes, whose windows it is measured on.")

    def settings[Settings](self, kind: type[Settings]) -> Settings:
        """The suite's own settings.

        Raises:
            InvalidInputError: if they are another suite's.
        """
        found = kind() if self.own is None else self.own
        if not isinstance(found, kind):
            raise InvalidInputError(f"the suite {self.suite} takes {kind.__name__}; got {type(found).__name__}.")
        return found

    def identity(self) -> dict[str, Any]:
        """Everything that the figures depend on, as plain data."""
        values = asdict(self)
        own = values.pop("own")
        shared = {key: value for key, value in values.items() if key not in _NOT_FIGURES}
        return shared | {key: _plain(value) for key, value in (own or {}).items()}


def _plain(value: Any) -> Any:
    """A function of one's own is known by its name."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return f"{value.__module__}.{value.__qualname__}" if callable(value) else value
