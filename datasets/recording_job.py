"""How far a long recording has come, kept in the dataset that it makes, so that it can be started again.

The notes are a file beside the dataset's metadata which changes together with each finished episode.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from cosmos_robot.errors import EpisodeError, InvalidInputError


@dataclass(frozen=True)
class RecordingJob:
    """A recording made from a sequence of sources: files, or episodes of another dataset.

    Attributes:
        path: of the notes, in the dataset's folder.
        settings: what the job is; a job that is started again must be the same.
        next: position of the source that is next.
        skipped: sentences about the sources that were left out, by position.
    """

    path: str
    settings: Mapping[str, Any]
    next: int = 0
    skipped: Mapping[int, str] = field(default_factory=dict)

    @classmethod
    def begin_or_go_on(cls, folder: Path, path: str, settings: Mapping[str, Any]) -> Self:
        """Read how far a job has come in a folder, or begin it.

        Raises:
            InvalidInputError: if the folder holds a dataset that this job did not begin; what differs is named.
            EpisodeError: if the notes are damaged.
        """
        notes = folder / path
        if not notes.is_file():
            if (folder / "meta" / "info.json").is_file():
                raise InvalidInputError(f"{folder} holds a dataset that was made otherwise; choose another folder.")
            return cls(path, settings)
        try:
            then = json.loads(notes.read_text(encoding="utf-8"))
            made, position = dict(then["settings"]), int(then["next"])
            skipped = {int(number): str(why) for number, why in then["skipped"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise EpisodeError(f"{notes} is damaged, so that it is not known how far the work came.") from error
        now = json.loads(json.dumps(settings))
        differing = [
            f"{key} was {made.get(key)!r} and is {now.get(key)!r}"
            for key in sorted({*made, *now})
            if made.get(key) != now.get(key)
        ]
        if differing:
            raise InvalidInputError(
                f"{folder} was begun with other settings ({'; '.join(differing)}); choose another folder."
            )
        return cls(path, settings, position, skipped)

    def skip(self, position: int, why: str) -> Self:
        """Note that a source was left out."""
        return replace(self, next=position + 1, skipped={**self.skipped, position: why})

    def done(self, position: int) -> Self:
        """Note that a source is in the dataset."""
        return replace(self, next=position + 1)

    def notes(self) -> dict[str, str]:
        """The notes as a file for `EpisodeRecorder.finish_episode`."""
        skipped = {str(number): why for number, why in self.skipped.items()}
        content = {"settings": self.settings, "next": self.next, "skipped": skipped}
        return {self.path: json.dumps(content, indent=2, ensure_ascii=False) + "\n"}
