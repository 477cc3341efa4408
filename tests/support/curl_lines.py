"""The curl commands of a documentation page, run by the real `curl` against a server of one's own.

    page = api_page("nim.md")                       # skips the test where the page is absent
    for command in curl_commands(page):
        answer = command.replaced({"http://0.0.0.0:8000": server.url}).run()
        assert answer.status == 200, answer.body

What a page's examples name, and a test has in other words (the host, the key, the address of an input, an id), is
replaced in the arguments, never in the shell; everything else goes to `curl` as the page has it.
"""

import json
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

PAGES = Path(__file__).resolve().parents[2].parent / "shared" / "spec" / "apis"
"""The pages of the hosted interfaces, as `nim.md`: beside the project, not in it."""


@dataclass(frozen=True)
class CurlAnswer:
    """Attributes: the status, the headers (names in lower case; the last of equal ones), and the body."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self):
        return json.loads(self.body)


@dataclass(frozen=True)
class CurlCommand:
    """One command.

    Attributes:
        line: where it begins in its page, from 1 on.
        arguments: as a shell would split them, without `curl` itself; variables are as they were written.
    """

    line: int
    arguments: tuple[str, ...]

    def replaced(self, texts: Mapping[str, str]) -> "CurlCommand":
        """The command with other words for some; each must occur, or the test would not test what it says."""
        arguments = self.arguments
        for old, new in texts.items():
            if not any(old in argument for argument in arguments):
                raise AssertionError(f"line {self.line}: {old!r} is in no argument of {arguments}")
            arguments = tuple(argument.replace(old, new) for argument in arguments)
        return replace(self, arguments=arguments)

    def run(self, *more: str, seconds: float = 30.0) -> CurlAnswer:
        """Run it, with further arguments."""
        program = shutil.which("curl")
        if program is None:
            pytest.skip("curl is not installed")
        with tempfile.TemporaryDirectory() as folder:
            headers, body = Path(folder) / "headers", Path(folder) / "body"
            own = ("--disable", "--silent", "--show-error", "--noproxy", "*", "--max-time", str(seconds))
            kept = ("--dump-header", str(headers), "--output", str(body))
            command = [program, *own, *self.arguments, *more, *kept]
            ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=seconds + 5)
            assert ended.returncode == 0, f"line {self.line}: {ended.stderr}"
            given = headers.read_text(encoding="latin-1").replace("\r\n", "\n").strip().split("\n\n")[-1]
            first, *rows = given.split("\n")
            pairs = (row.partition(":") for row in rows)
            found = {name.strip().lower(): value.strip() for name, _, value in pairs}
            return CurlAnswer(int(first.split()[1]), found, body.read_bytes() if body.exists() else b"")


def api_page(name: str) -> str:
    """Read a page; without it the test is skipped."""
    if not (PAGES / name).is_file():
        pytest.skip(f"{PAGES / name} is absent")
    return (PAGES / name).read_text(encoding="utf-8")


def curl_commands(markdown: str) -> list[CurlCommand]:
    """Find every command: a line that begins with `curl`, and those after it that belong to it."""
    lines = markdown.splitlines()
    found, index = [], 0
    while index < len(lines):
        begun, text = index, lines[index]
        index += 1
        if not text.strip().startswith("curl "):
            continue
        while (arguments := _split(text)) is None:
            if index == len(lines):
                raise ValueError(f"the command of line {begun + 1} does not end: {text[:80]}")
            text += "\n" + lines[index]
            index += 1
        found.append(CurlCommand(begun + 1, tuple(arguments[1:])))
    return found


def _split(text: str) -> list[str] | None:
    """The words of a command, or None where it goes on in the next line."""
    if text.endswith("\\"):
        return None
    try:
        return shlex.split(text.replace("\\\n", " "))
    except ValueError:  # a quotation that is open
        return None
