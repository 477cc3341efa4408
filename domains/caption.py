"""The JSON caption that Cosmos 3's action modes were trained on.

Byte-equal to diffusers' `Cosmos3OmniPipeline._build_action_json_prompt`, which knows four of the six view points; the
sentence of the view point is therefore handed in.
"""

import json
from typing import Any

ASPECT_RATIOS = ("1,1", "4,3", "3,4", "16,9", "9,16")


def action_caption(
    description: str,
    *,
    view_sentence: str | None,
    action_chunk_size: int,
    fps: float,
    height: int,
    width: int,
) -> str:
    """Build the caption of one action chunk.

    Args:
        description: the caller's prompt; a missing full stop is added.
        view_sentence: where the camera stands, in the words of the training data, or None.
        action_chunk_size: number of transitions; the clip has one frame more.
        fps: frames a second.
        height: of the padded canvas, in pixels.
        width: of the padded canvas, in pixels.

    Returns:
        One line of JSON; keys in the order of the training data.
    """
    seconds = (action_chunk_size + 1) / fps
    minutes, rest = divmod(round(seconds), 60)
    text = description.strip()
    if text and not text.endswith((".", "!", "?")):
        text += "."
    caption: dict[str, Any] = {"cinematography": {"framing": view_sentence}} if view_sentence else {}
    caption["actions"] = [{"time": f"0:00-{minutes}:{rest:02d}", "description": text}]
    caption["duration"] = f"{int(seconds)}s"
    caption["fps"] = float(fps)
    caption["resolution"] = {"H": height, "W": width}
    caption["aspect_ratio"] = _nearest_aspect_ratio(width / height)
    return json.dumps(caption)


def _nearest_aspect_ratio(ratio: float) -> str:
    def distance(name: str) -> float:
        width, height = name.split(",")
        return abs(int(width) / int(height) - ratio)

    return min(ASPECT_RATIOS, key=distance)
