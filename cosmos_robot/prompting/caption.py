"""The structured caption that Cosmos 3 was trained on: its fields, and how one is read from an answer.

The fields and their order are those of the prompt templates of NVIDIA/cosmos-framework
(`inference/prompting_templates/reasoner`); what is said about them is ours.
"""

import json
from collections.abc import Mapping
from typing import Any

from cosmos_robot.errors import AnswerError
from cosmos_robot.prompting.facts import CaptionFacts

_SUBJECT = {
    "description": "what it is and looks like",
    "appearance_details": "what tells it apart",
    "relationship": "how it stands to the others and to the scene",
    "location": "where in the frame",
    "relative_size": "how much of the frame it fills",
    "orientation": "which way it faces, seen from the camera",
    "pose": "how it is held",
}
_PERSON = {
    "clothing": "'' if it wears none",
    "expression": "'' if it has none",
    "gender": "'' if it is no person",
    "age": "'' if it is no person",
    "skin_tone_and_texture": "'' if it is no person",
    "facial_features": "'' if it is no person",
}
_COUNTS = {"number_of_subjects": 1, "number_of_arms": 0, "number_of_legs": 0}
_SCENE = {
    "background_setting": "where it takes place",
    "lighting": {
        "conditions": "what light there is",
        "direction": "where it comes from",
        "shadows": "how they fall",
        "illumination_effect": "what it does to the scene",
    },
    "aesthetics": {
        "composition": "how the frame is arranged",
        "color_scheme": "which colours, and their mood",
        "mood_atmosphere": "what it feels like",
        "patterns": "what repeats, or ''",
    },
}
_LENS = {
    "framing": "wide, medium or close",
    "camera_angle": "from where it is seen",
    "depth_of_field": "shallow or deep",
    "focus": "what is sharp",
    "lens_focal_length": "as in 'wide-angle 24mm'",
}
_STYLE = {
    "style_medium": "as in 'live-action video'",
    "artistic_style": "what it reminds of",
    "context": "what it is part of",
}
_SIGN = {
    "text": "the very letters",
    "category": "as in 'scene_sign' or 'logo'",
    "appearance": "how they look",
}
_TIMES = "M:SS-M:SS, within the length"

VIDEO_FIELDS: dict[str, Any] = {
    "temporal_caption": "everything that happens, in its order, with times as in 'At 0:03'",
    "audio_description": "what is heard, or that nothing is",
    "subjects": [
        _SUBJECT
        | {"action": "what it does", "state_changes": "how that changes, or that it does not"}
        | _PERSON
        | _COUNTS
    ],
    **_SCENE,
    "cinematography": {"camera_motion": "how the camera moves, or 'static'", **_LENS},
    **_STYLE,
    "actions": [{"time": _TIMES, "description": "what happens then"}],
    "text_and_signage_elements": [_SIGN | {"spatial_temporal": "where and when", "context": "what for"}],
    "segments": [
        {
            "segment_index": 0,
            "time_range": _TIMES,
            "description": "what is seen",
            "key_changes": "what becomes different",
            "camera": "what the camera does",
        }
    ],
    "transitions": ["from one segment to the next; none in a single shot"],
}
"""Of a video."""

IMAGE_FIELDS: dict[str, Any] = {
    "comprehensive_t2i_caption": "the whole image in sentences",
    "subjects": [_SUBJECT | _PERSON | _COUNTS],
    **_SCENE,
    "cinematography": _LENS,
    **_STYLE,
    "text_and_signage_elements": [_SIGN | {"spatial": "where", "context": "what for"}],
    "quadrant_scan": {
        "top_left": "what is there",
        "top_right": "what is there",
        "bottom_left": "what is there",
        "bottom_right": "what is there",
        "absolute_center": "what is there",
    },
}
"""Of an image."""


def caption_fields(facts: CaptionFacts) -> dict[str, Any]:
    """The fields of a caption, each with what belongs into it."""
    return IMAGE_FIELDS if facts.is_image else VIDEO_FIELDS


def caption_schema(facts: CaptionFacts) -> dict[str, Any]:
    """The JSON schema of a caption, without the fields that are set afterwards."""
    return _schema(caption_fields(facts))


def read_caption(answer: Mapping[str, Any], facts: CaptionFacts) -> str:
    """Make a prompt of an answer: the known fields in the order of the training data, size and length set.

    Args:
        answer: what the language model gave.
        facts: size and length, which replace whatever it said of them.

    Returns:
        One line of JSON in ASCII, as in training.

    Raises:
        AnswerError: if the field that tells the whole is missing, or a field is of another kind.
    """
    fields = caption_fields(facts)
    main = next(iter(fields))
    caption = {name: _read(answer[name], form, name) for name, form in fields.items() if answer.get(name) is not None}
    if not str(caption.get(main, "")).strip():
        raise AnswerError(f"the caption has no {main!r}, which tells what is to be seen.")
    return json.dumps(caption | facts.pins())


def _schema(form: Any) -> dict[str, Any]:
    if isinstance(form, dict):
        return {
            "type": "object",
            "properties": {name: _schema(inner) for name, inner in form.items()},
            "required": list(form),
            "additionalProperties": False,
        }
    if isinstance(form, list):
        return {"type": "array", "items": _schema(form[0]), "maxItems": 8}
    return {"type": "integer", "minimum": 0, "maximum": 999} if isinstance(form, int) else {"type": "string"}


def _read(value: Any, form: Any, name: str) -> Any:
    """Read a field in its form; what it has besides is left out, for the model does not know it."""
    if isinstance(form, dict):
        if not isinstance(value, Mapping):
            raise AnswerError(f"the caption's {name!r} is no object: {value!r:.100}.")
        return {
            key: _read(value[key], inner, f"{name}.{key}") for key, inner in form.items() if value.get(key) is not None
        }
    if isinstance(form, list):
        if not isinstance(value, list):
            raise AnswerError(f"the caption's {name!r} is no list: {value!r:.100}.")
        return [_read(item, form[0], name) for item in value if item is not None]
    if not isinstance(value, str | int | float):
        raise AnswerError(f"the caption's {name!r} is no text: {value!r:.100}.")
    return value if isinstance(form, int) else str(value)
