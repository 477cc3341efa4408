"""What Cosmic counts for an answer: real tokens of a text, fixed prices in tokens of media, as its page has them."""

import math
from typing import get_args

from cosmos_robot.interface.reason import Usage
from cosmos_robot.serving.cosmic_request import CosmicAudio, CosmicImage, VideoModel

_FAST, _STANDARD = get_args(VideoModel)
_VIDEO_SECOND = {_FAST: 36_000, _STANDARD: 96_000}
_DALL_E, _GEMINI, _GEMINI_4K = 4_800, 32_160, 57_600
_SPEECH = {"tts-1": 3_600, "tts-1-hd": 7_200}
"""For every 1,000 characters."""

_CHARACTERS_OF_A_TOKEN = 4


def text_usage(usage: Usage) -> dict[str, int]:
    """The tokens of a text."""
    return {"input_tokens": usage.prompt_tokens, "output_tokens": usage.completion_tokens}


def image_usage(body: CosmicImage) -> dict[str, int]:
    """The price of an image: the page counts it as output."""
    price = _DALL_E if body.model == "dall-e-3" else _GEMINI_4K if body.size == "4096x4096" else _GEMINI
    return _usage(0, price)


def video_usage(model: VideoModel, seconds: int) -> dict[str, int]:
    """The price of a video, counted as input, as in the page's examples."""
    return _usage(_VIDEO_SECOND[model] * seconds, 0)


def audio_usage(body: CosmicAudio) -> dict[str, int]:
    """The tokens of a text that is spoken, and the price of that."""
    count = len(body.prompt)
    return _usage(math.ceil(count / _CHARACTERS_OF_A_TOKEN), _SPEECH[body.model] * math.ceil(count / 1000))


def _usage(given: int, made: int) -> dict[str, int]:
    return {"input_tokens": given, "output_tokens": made, "total_tokens": given + made}
