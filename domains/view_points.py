"""The view points that Cosmos 3 was trained with, each with the sentence that the prompt carries.

Source: cosmos-framework `utils/viewpoint_utils.py`. diffusers knows the first four; the framework all six.
"""

from cosmos_robot.domains.nearest_names import did_you_mean
from cosmos_robot.errors import InvalidInputError

VIEW_SENTENCES: dict[str, str] = {
    "ego_view": "This video is captured from a first-person perspective looking at the scene.",
    "third_person_view": (
        "This video is captured from a third-person perspective looking towards the agent from the front."
    ),
    "wrist_view": "This video is captured from a wrist-mounted camera.",
    "concat_view": "This video contains concatenated views from multiple camera perspectives.",
    "top_down_2d_view": "This video is captured from a top-down view of a flat 2D scene.",
    "video_game_view": ("This video is captured from an in-game camera perspective in a virtual environment."),
}
"""View point -> the sentence of the training data, word for word."""


def require_view_point(view_point: str) -> str:
    """Check that a view point has a trained sentence and return it.

    Raises:
        InvalidInputError: if it has none; the message carries the nearest name.
    """
    if view_point not in VIEW_SENTENCES:
        hint = did_you_mean(view_point, VIEW_SENTENCES)
        raise InvalidInputError(
            f"unknown view point {view_point!r}{hint}; expected one of {', '.join(VIEW_SENTENCES)}."
        )
    return view_point
