"""The size that a request of a mode without actions names, in the words of services."""

from cosmos_robot.interface.media_request import MediaRequest
from cosmos_robot.interface.media_size import canvas_of, nearest_aspect_ratio, nearest_canvas, parse_resolution

SIZE_SETTINGS = ("resolution", "aspect_ratio", "height", "width")
"""The fields of a request that these words carry."""

_USUAL_TIER, _USUAL_RATIO = 720, "16,9"
"""What services take where a request names none."""


def tier_and_ratio(request: MediaRequest) -> tuple[int | None, str | None]:
    """Tier and aspect ratio that a request names; None where it names none and the service's own will do.

    A picture's own aspect ratio is kept, as everywhere in this library; services would take 16:9.
    """
    tier, ratio = None, request.aspect_ratio
    if request.height is not None and request.width is not None:
        tier, (height, width) = nearest_canvas(request.height, request.width, image=request.image)
        ratio = nearest_aspect_ratio(height, width, tier, image=request.image)
    elif request.resolution is not None:
        tier, named = parse_resolution(request.resolution, image=request.image)
        ratio = named or ratio
    if ratio is None and request.frames is not None:
        height, width = request.frames.shape[1:3]
        ratio = nearest_aspect_ratio(height, width, tier or _USUAL_TIER, image=False)
        ratio = None if ratio == _USUAL_RATIO else ratio
    return tier, ratio


def size_words(request: MediaRequest, *, usual_tier: int) -> dict[str, int] | None:
    """Width and height that a request names, or None; see `tier_and_ratio`.

    Args:
        request: what is asked.
        usual_tier: what the service takes where a request names none.
    """
    tier, ratio = tier_and_ratio(request)
    if tier is None and ratio is None:
        return None
    usual = "1,1" if request.image else _USUAL_RATIO
    height, width = canvas_of(tier or usual_tier, ratio or usual, image=request.image)
    return {"width": width, "height": height}


def resolution_word(request: MediaRequest) -> str | None:
    """Tier and aspect ratio in NIM's form, as "480_16_9", or None; see `tier_and_ratio`."""
    tier, ratio = tier_and_ratio(request)
    if tier is None and ratio is None:
        return None
    usual = "1,1" if request.image else _USUAL_RATIO
    return f"{tier or _USUAL_TIER}_{(ratio or usual).replace(',', '_')}"
