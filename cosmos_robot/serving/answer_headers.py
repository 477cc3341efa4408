"""What an answer says about itself in headers: its size, its safety checker, what was answered otherwise than asked."""

from urllib.parse import quote

from cosmos_robot.serving.answer import Answer
from cosmos_robot.serving.job import Job

CANVAS = "X-Cosmos-Robot-Canvas"
FRAMES = "X-Cosmos-Robot-Frames"
NOTES = "X-Cosmos-Robot-Notes"
REQUEST = "X-Request-Id"
SAFETY = "X-Cosmos-Robot-Safety"

_MOST_CHARACTERS = 2_000


def answer_headers(job: Job, answer: Answer) -> dict[str, str]:
    """Make the headers of an answer: id, safety checker, width and height, number of frames, notes if there are any."""
    headers = {REQUEST: job.id, **safety_header(answer.items[0].safety)}
    shape = answer.items[0].shape
    if shape is not None:
        headers[CANVAS] = f"{shape[2]}x{shape[1]}"
        headers[FRAMES] = str(shape[0])
    if job.notes:
        headers[NOTES] = _printable(" ".join(job.notes))
    return headers


def safety_header(name: str) -> dict[str, str]:
    """Make the header that names the safety checker."""
    return {SAFETY: _printable(name)}


def _printable(text: str) -> str:
    """A header holds printable ASCII alone; what else there is, is escaped as in a URL."""
    return quote(text, safe=" !\"#$&'()*+,-./:;<=>?@[]^_`{|}~")[:_MOST_CHARACTERS]
