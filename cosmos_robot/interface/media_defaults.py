"""What the modes without actions are generated with where the caller does not say.

Sources: `inference/defaults/<mode>/sample_args.json` of NVIDIA/cosmos-framework; for Edge the field's server.
"""

from dataclasses import dataclass

from cosmos_robot.interface.media_request import MediaMode


@dataclass(frozen=True)
class MediaDefaults:
    """The defaults of one mode.

    Attributes:
        num_steps: denoising steps.
        guidance: classifier-free guidance scale.
        shift: flow shift; None keeps the checkpoint's schedule.
        num_frames: frames of a clip; 1 is an image.
        fps: frames a second.
        tier: of the resolution.
        aspect_ratio: width and height, where no picture has one.
    """

    num_steps: int
    guidance: float
    shift: float | None
    num_frames: int
    fps: float = 24.0
    tier: int = 720
    aspect_ratio: str = "16,9"


def media_defaults(mode: MediaMode, *, native_flow: bool = False) -> MediaDefaults:
    """Give a mode's defaults.

    Args:
        mode: the mode.
        native_flow: whether the checkpoint samples on its training schedule, as Edge does: a smaller model, with a
            smaller canvas and shorter clips.
    """
    if mode == "text2image":
        if native_flow:
            return MediaDefaults(50, 4.0, None, 1, tier=480, aspect_ratio="1,1")
        return MediaDefaults(50, 4.0, 3.0, 1, aspect_ratio="1,1")
    if native_flow:
        return MediaDefaults(35, 5.0, None, 121, tier=480)
    return MediaDefaults(35, 6.0, 10.0, 189)
