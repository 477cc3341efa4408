"""Files that a request names by a path: only those under the one folder that the operator allows."""

from dataclasses import dataclass
from pathlib import Path

from cosmos_robot.serving.media_input import GivenMedia, MediaReader, decode_base64
from cosmos_robot.serving.problems import Kind, RequestError


@dataclass(frozen=True)
class NamedMedia:
    """Reads what a request names: by URL, as a data URI, or by a path under one folder.

    Attributes:
        media: for URLs and data URIs.
        root: the folder, or None where no path is allowed.
    """

    media: MediaReader
    root: Path | None

    def load(self, location: str, field: str) -> GivenMedia:
        """Take an image or a video.

        Raises:
            RequestError: if it may not be taken, is too large, or of no kind that is read.
        """
        limits = self.media.limits
        if _is_path(location):
            most = max(limits.image_bytes, limits.video_bytes)
            return self.media.sort(self._file(location, field, most), field)
        return self.media.load(location, field)

    def text(self, location: str, field: str) -> bytes:
        """Take a file of any kind.

        Raises:
            RequestError: if it may not be taken, or is too large.
        """
        most = self.media.limits.request_bytes
        if _is_path(location):
            return self._file(location, field, most)
        if location[:5].lower() == "data:":
            return decode_base64(location, field)
        return self.media.fetcher.fetch(location, field=field, most=most)

    def _file(self, location: str, field: str, most: int) -> bytes:
        if self.root is None:
            raise RequestError.of_field(field, "this server reads no paths; send a data URI.")
        root = self.root.resolve()
        if "\x00" in location:
            raise RequestError.of_field(field, "a path has no NUL character.")
        path = (root / location).resolve()  # a link that leads out is out
        if not path.is_relative_to(root) or not path.is_file():
            raise RequestError.of_field(field, "there is no such file in the folder that this server reads from.")
        if path.stat().st_size > most:
            raise RequestError.of_field(field, f"the file has more than {most} bytes.", Kind.TOO_LARGE)
        return path.read_bytes()


def _is_path(location: str) -> bool:
    return "://" not in location[:16] and location[:5].lower() != "data:"
