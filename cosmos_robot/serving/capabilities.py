"""What the served world model can do, and how requests past it are fitted to it."""

from dataclasses import dataclass, replace
from typing import Any

from cosmos_robot.interface.media_request import MediaRequest
from cosmos_robot.interface.request import ActionRequest
from cosmos_robot.interface.world_model import WorldModel
from cosmos_robot.serving.problems import Kind, RequestError


@dataclass(frozen=True)
class Capabilities:
    """What a checkpoint was made for.

    Attributes:
        name: of the checkpoint for clients.
        native_canvas: the one canvas `(height, width)` that it knows, or None.
        longest_chunk: actions of its longest chunk, or None; a clip has one frame more.
        own_sampling: whether it has steps and guidance of its own, so that an interface's defaults are not for it.
        domain_ids: the embodiment domains that it was trained for, or None where it does not say.
        fps: frames a second of the videos that it was trained on, or None where the mode's default holds.
        sound: whether it makes sound with its videos.
        strict: whether what does not fit is refused.
    """

    name: str
    native_canvas: tuple[int, int] | None = None
    longest_chunk: int | None = None
    own_sampling: bool = False
    domain_ids: tuple[int, ...] | None = None
    fps: float | None = None
    sound: bool = False
    strict: bool = False

    @classmethod
    def of(cls, world_model: WorldModel, name: str, *, strict: bool = False) -> "Capabilities":
        """Find those of a world model; one without facts of its own has no limits of its own."""
        facts: Any = getattr(world_model, "facts", None)
        if facts is None:
            return cls(name, strict=strict)
        engine: Any = getattr(world_model, "engine", None)
        return cls(
            name,
            native_canvas=facts.native_canvas,
            longest_chunk=facts.max_action_chunk_size,
            domain_ids=getattr(facts, "domain_ids", None),
            own_sampling=facts.num_steps is not None or bool(getattr(engine, "distilled_sigmas", None)),
            fps=getattr(facts, "fps", None),
            sound=getattr(engine, "sound", None) is not None,
            strict=strict,
        )

    def default[Value](self, given: Value | None, documented: Value) -> Value | None:
        """An interface's documented default, unless the caller gave a value or the checkpoint has its own."""
        return given if given is not None or self.own_sampling else documented

    def fit_media(self, request: MediaRequest, *, frames_given: bool) -> MediaRequest:
        """Fit a request of the modes without actions.

        Args:
            request: with its `num_frames`.
            frames_given: whether the caller named the frame count; an interface's default is no wish.

        Raises:
            RequestError: if it does not fit and the server is strict.
        """
        if self.strict:
            self._require_canvas(_asked_size(request))
        longest = self.longest_chunk
        count = request.num_frames
        if longest is None or count is None or request.image or count <= longest + 1:
            return request
        most = longest + 1
        if self.strict and frames_given:
            raise _refused(f"this checkpoint makes clips of at most {most} frames; got {count}.")
        note = f"answered with {most} frames, the most of this checkpoint, in place of {count}."
        return replace(request, num_frames=most, notes=(*request.notes, note) if frames_given else request.notes)

    def fit_actions(self, request: ActionRequest) -> ActionRequest:
        """Check the canvas of a request of an action mode.

        Raises:
            RequestError: if it does not fit and the server is strict.
        """
        if self.strict and self.native_canvas is not None:
            height, width = request.frames.shape[1:3]
            self._require_canvas((height, width) if request.image_size is None else (0, 0))
        return request

    def require_chunk(self, mode: str, chunk: int) -> None:
        """Check how many actions are asked for, before a video is decoded for them.

        Longer forward dynamics are chained, unless the server is strict.

        Raises:
            RequestError: if they are more than the checkpoint takes.
        """
        longest = self.longest_chunk
        if longest is not None and chunk > longest and (self.strict or mode != "forward_dynamics"):
            raise _refused(f"checkpoint {self.name} takes chunks of at most {longest} actions; got {chunk}.")

    def _require_canvas(self, asked: tuple[int, int] | None) -> None:
        native = self.native_canvas
        if native is not None and asked is not None and asked != native:
            raise _refused(f"this checkpoint answers at {native[1]}x{native[0]} (width x height) alone; ask for that.")


def _asked_size(request: MediaRequest) -> tuple[int, int] | None:
    """The size that a request names, or None; a tier is never a native canvas."""
    if request.height is not None and request.width is not None:
        return request.height, request.width
    return None if request.resolution is None and request.aspect_ratio is None else (0, 0)


def _refused(message: str) -> RequestError:
    return RequestError(Kind.UNSUPPORTED, message)
