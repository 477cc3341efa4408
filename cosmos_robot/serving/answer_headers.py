"""What an answer says about itself in headers: its size, and what was answered otherwise than asked."""

from urllib.parse import quote

from cosmos_robot.serving.answer import Answer
from cosmos_robot.serving.job import Job

CANVAS = "X-Cosmos-Robot-Canvas"
FRAMES = "X-Cosmos-Robot-Frames"
NOTES = "X-Cosmos-Robot-Notes"
REQUEST = "X-Request-Id"

_MOST_CHARACTERS = 2_000


def answer_headers(job: Job, answer: Answer) -> dict[str, str]:
    """Make the headers of an answer: its id, width and height, number of frames, and notes where there are any."""
    headers = {REQUEST: job.id}
    shape = answer.items[0].shape
    if shape is not None:
        headers[CANVAS] = f"{shape[2]}x{shape[1]}"
        headers[FRAMES] = str(shape[0])
    if job.notes:
        # A header holds printable ASCII alone; what else there is, is escaped as in a URL.
        headers[NOTES] = quote(" ".join(job.notes), safe=" !\"#$&'()*+,-./:;<=>?@[]^_`{|}~")[:_MOST_CHARACTERS]
    return headers
