"""Keeping paths of this machine out of what clients are told."""

import re
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from cosmos_robot.serving.problems import Problem
from cosmos_robot.serving.settings import ServerSettings

_HIDDEN = "<a path on the server>"


class LocalPaths:
    """Knows the folders that the server works in.

    Args:
        roots: the folders.
    """

    def __init__(self, roots: Iterable[Path]) -> None:
        spellings = {str(spelling) for root in roots for spelling in (root.absolute(), root.resolve())}
        known = sorted((root for root in spellings if root != "/"), key=len, reverse=True)
        self._pattern = re.compile("(?:" + "|".join(map(re.escape, known)) + r")(?:/[^\s'\",;:)]*)?") if known else None

    @classmethod
    def of(cls, settings: ServerSettings) -> "LocalPaths":
        """Those of a server."""
        folders = [settings.data, Path(tempfile.gettempdir()), Path.home(), Path(__file__).parents[1]]
        if settings.media_root is not None:
            folders.append(settings.media_root)
        if Path(settings.checkpoint).exists():
            folders.append(Path(settings.checkpoint))
        return cls(folders)

    def hide(self, text: str) -> str:
        """Replace what lies in those folders."""
        return text if self._pattern is None else self._pattern.sub(_HIDDEN, text)

    def hidden(self, problem: Problem) -> Problem:
        """The problem without local paths."""
        findings = tuple(replace(finding, message=self.hide(finding.message)) for finding in problem.findings)
        return replace(problem, message=self.hide(problem.message), findings=findings)
