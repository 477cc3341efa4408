"""Keeping paths of this machine out of what clients are told."""

import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from cosmos_robot.serving.problems import Problem
from cosmos_robot.serving.settings import ServerSettings
from cosmos_robot.world_model import EMBEDDED

_HIDDEN = "<a path on the server>"


def _spellings(root: Path) -> tuple[Path, Path]:
    return root.absolute(), root.resolve()


class LocalPaths:
    """Knows the folders that the server works in.

    Args:
        roots: the folders.
        named: those among them that clients know by a name, and the name: the checkpoint.
    """

    def __init__(self, roots: Iterable[Path], named: Mapping[Path, str] | None = None) -> None:
        names = {} if named is None else named
        self._names = {str(spelling): name for root, name in names.items() for spelling in _spellings(root)}
        spellings = {str(spelling) for root in (*roots, *names) for spelling in _spellings(root)}
        known = sorted((root for root in spellings if root != "/"), key=len, reverse=True)
        self._pattern = re.compile("(?:" + "|".join(map(re.escape, known)) + r")(?:/[^\s'\",;:)]*)?") if known else None

    @classmethod
    def of(cls, settings: ServerSettings) -> "LocalPaths":
        """Those of a server."""
        folders = [settings.data, Path(tempfile.gettempdir()), Path.home(), Path(__file__).parents[1]]
        if settings.media_root is not None:
            folders.append(settings.media_root)
        checkpoint = EMBEDDED if settings.checkpoint == "embedded" else Path(settings.checkpoint)
        return cls(folders, {checkpoint: settings.shown_checkpoint} if checkpoint.exists() else {})

    def hide(self, text: str) -> str:
        """Replace what lies in those folders, and the names of those that have one."""
        if self._pattern is None:
            return text
        return self._pattern.sub(lambda found: self._names.get(found[0].rstrip("/"), _HIDDEN), text)

    def hidden(self, problem: Problem) -> Problem:
        """The problem without local paths."""
        findings = tuple(replace(finding, message=self.hide(finding.message)) for finding in problem.findings)
        return replace(problem, message=self.hide(problem.message), findings=findings)
