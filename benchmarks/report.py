"""The report of benchmark runs: a self-contained page, and its figures as Markdown and as JSON."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cosmos_robot.benchmarks.needed_packages import needed
from cosmos_robot.benchmarks.report_figures import Line, RunFigures, compare, named_apart, read_figures
from cosmos_robot.benchmarks.report_plots import curves_svg, scatter_svg, step_metrics
from cosmos_robot.benchmarks.report_text import as_json, as_markdown, facts, shown, title, unpaired
from cosmos_robot.benchmarks.report_videos import shown_videos
from cosmos_robot.benchmarks.suite import MODEL
from cosmos_robot.errors import InvalidInputError

PAGE = Path(__file__).with_name("report_page.html")


@dataclass(frozen=True)
class _Group:
    """Lines of one metric."""

    name: str
    lines: list[dict[str, Any]]


def write_report(folders: Sequence[Path], out: Path) -> list[Path]:
    """Write the page, and beside it its figures as `.md` and `.json`.

    Args:
        folders: of runs; the others are compared with the first.
        out: path of the page.

    Returns:
        what was written.

    Raises:
        InvalidInputError: if there are no such runs, or they cannot stand side by side.
    """
    if not folders:
        raise InvalidInputError("name at least one run.")
    runs = named_apart([read_figures(folder) for folder in folders])
    lines = compare(runs)
    out.parent.mkdir(parents=True, exist_ok=True)
    texts = {
        out: render(runs, lines),
        out.with_suffix(".md"): as_markdown(runs, lines),
        out.with_suffix(".json"): json.dumps(as_json(runs, lines), indent=1) + "\n",
    }
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
    return list(texts)


def render(runs: Sequence[RunFigures], lines: Sequence[Line]) -> str:
    """The page."""
    jinja2 = needed("jinja2")
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(PAGE.read_text(encoding="utf-8"))
    shown_runs = [_run(run) for run in runs]
    text: str = template.render(
        title=f"{runs[0].head['suite']}, {runs[0].domain.name}",
        runs=shown_runs,
        compared=any(video.compared for run in shown_runs for video in run["videos"]),
        columns=[run.name for run in runs],
        differences=[f"{run.name} minus {runs[0].name}" for run in runs[1:]],
        groups=_groups(lines),
        unpaired=unpaired(runs),
        curves=[curves_svg(runs, metric) for metric in step_metrics(runs)],
        scatters=[{"run": run.name, "svg": scatter_svg(scatter)} for run in runs for scatter in run.scatters],
    )
    return text


def _run(run: RunFigures) -> dict[str, Any]:
    videos, why_not = shown_videos(run)
    return {
        "name": run.name,
        "facts": facts(run),
        "videos": videos,
        "why_not": why_not,
        "absent": run.absent,
        "failed": [
            {"row": row["row"], "episode": row["episode"], "start": row["start"], "error": row["error"]}
            for row in run.failed
        ],
        "unfinished": run.planned - len(run.rows) - len(run.failed),
    }


def _groups(lines: Sequence[Line]) -> list[_Group]:
    groups: dict[str, _Group] = {}
    for line in lines:
        group = groups.setdefault(title(line), _Group(title(line), []))
        estimates = [_cell(found) for found in line.estimates]
        differences = [_cell(found, sign=True, up=line.higher_is_better) for found in line.differences]
        group.lines.append(
            {"variant": line.variant, "model": line.variant == MODEL, "cells": estimates, "differences": differences}
        )
    return list(groups.values())


def _cell(found: Any, *, sign: bool = False, up: bool | None = None) -> dict[str, Any]:
    """A figure, its interval, and how it is told: `better` or `worse` where an interval of a difference is off 0."""
    if found is None or found.value is None:
        return {"value": "", "interval": "", "whole": "", "judged": ""}
    judged = ""
    if up is not None and found.low is not None and found.high is not None and (found.low > 0 or found.high < 0):
        judged = "better" if (found.value > 0) == up else "worse"
    interval = "" if found.low is None or found.high is None else f"{found.low:.4g} to {found.high:.4g}"
    return {
        "value": f"{found.value:+.4g}" if sign else f"{found.value:.4g}",
        "interval": interval,
        "whole": shown(found, sign=sign),
        "n": f"{found.n} rows of {found.episodes} episodes",
        "judged": judged,
    }
