"""A report as Markdown and as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from cosmos_robot.benchmarks.bootstrap_interval import Estimate
from cosmos_robot.benchmarks.report_figures import Line, RunFigures, curve, same_episodes


def as_json(runs: Sequence[RunFigures], lines: Sequence[Line]) -> dict[str, Any]:
    """All figures as plain data."""
    return {
        "runs": [
            {
                "name": run.name,
                "run": dict(run.head),
                "rows": len(run.rows),
                "failed": len(run.failed),
                "planned": run.planned,
                "machines": machines(run),
                "seconds": round(sum(row["seconds"] for row in run.rows), 1),
                "absent": dict(run.absent),
                "curves": {
                    f"{s.metric}, {s.variant}": [asdict(point) for point in curve(s)] for s in run.series if s.steps
                },
            }
            for run in runs
        ],
        "figures": [asdict(line) for line in lines],
    }


def as_markdown(runs: Sequence[RunFigures], lines: Sequence[Line]) -> str:
    """What was run, and the table."""
    text = [f"# {runs[0].head['suite']}, {runs[0].domain.name}", ""]
    for run in runs:
        text += [f"**{run.name}**: " + "; ".join(f"{key} {value}" for key, value in facts(run)), ""]
    names = [f"{run.name}" for run in runs] + [f"{run.name} - {runs[0].name}" for run in runs[1:]]
    text += [f"| metric | | {' | '.join(names)} |", "|---|---|" + "---|" * len(names)]
    for line in lines:
        cells = [shown(found) for found in line.estimates] + [shown(found, sign=True) for found in line.differences]
        text.append(f"| {title(line)} | {line.variant} | {' | '.join(cells)} |")
    text += ["", "Means with their bootstrap intervals of 95 of 100 over episodes; n rows of so many episodes."]
    text += [f"\n{told}" for told in unpaired(runs)]
    for run in runs:
        text += [f"\n{run.name}: {name}: {why}" for name, why in run.absent.items()]
        text += [f"\n{run.name}, row {row['row']} failed: {row['error']}" for row in run.failed]
    return "\n".join(text) + "\n"


def title(line: Line) -> str:
    """A metric with its unit, and which way is better."""
    unit = f", {line.unit}" if line.unit else ""
    return f"{line.metric.replace('_', ' ')}{unit} {'↑' if line.higher_is_better else '↓'}"


def unpaired(runs: Sequence[RunFigures]) -> list[str]:
    """Which runs have no differences, because their rows are of other episodes."""
    others = [run.name for run in runs if not same_episodes(runs[0], run)]
    return [f"No differences of {name} and {runs[0].name}: they are of other episodes." for name in others]


def shown(found: Estimate | None, *, sign: bool = False) -> str:
    """An estimate as text."""
    if found is None or found.value is None:
        return ""
    number = f"{found.value:+.4g}" if sign else f"{found.value:.4g}"
    if found.low is not None and found.high is not None:
        number += f" ({found.low:.4g} to {found.high:.4g})"
    return f"{number}, n = {found.n} of {found.episodes}"


def facts(run: RunFigures) -> list[tuple[str, str]]:
    """What a reader must know to do it again."""
    head = run.head
    told = [
        ("suite", head["suite"]),
        ("weights", _weights(head)),
        *([("episodes", f"{head['episodes']} ({head['episodes_digest']})")] if head["episodes"] else []),
        ("domain", head["domain"]),
        ("rows", f"{len(run.rows)} of {run.planned}, {len(run.failed)} failed"),
        ("seconds a row", f"{sum(r['seconds'] for r in run.rows) / max(1, len(run.rows)):.3g}"),
    ]
    quiet = {"suite", "weights", "checkpoint", "checkpoint_digest", "episodes", "episodes_digest", "domain", "rows"}
    told += [
        (key.replace("_", " "), str(value)) for key, value in head.items() if key not in quiet and value is not None
    ]
    for number, found in enumerate(machines(run), start=1):
        label = "machine" if number == 1 else f"machine {number}"
        told.append((label, ", ".join(f"{key} {value}" for key, value in found.items() if value is not None)))
    return told


def _weights(head: Mapping[str, Any]) -> str:
    digest = str(head["checkpoint_digest"])
    return digest if " " in digest else f"{head['checkpoint'] or 'embedded'} ({digest})"


def machines(run: RunFigures) -> list[dict[str, Any]]:
    """The machines that rows were measured on."""
    return [dict(pairs) for pairs in dict.fromkeys(tuple(row["machine"].items()) for row in run.rows)]
