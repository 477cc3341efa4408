"""The README's block about the embedded model, made from the published results alone."""

from pathlib import Path

from cosmos_robot.benchmarks.published_results import Results
from cosmos_robot.benchmarks.suite import MODEL
from cosmos_robot.errors import InvalidInputError

README = Path(__file__).resolve().parents[1] / "README.md"
BEGIN, END = "<!-- figures of the embedded model: made by `make bench` -->", "<!-- end of the figures -->"
PICTURES = ("benchmarks/pictures/bench_horizon.png", "benchmarks/pictures/bench_shares.png")

_ALT = {
    PICTURES[0]: "PSNR against the horizon: the model, and what is wrong on purpose",
    PICTURES[1]: "How often the T goes as it was told, in the simulator and in generated videos",
}

type Shown = tuple[str, str, str, str]
"""What is said of a figure, its run, its metric, and the unit; a share is shown in per cent."""

_SHARE = "%"
_LINES: tuple[Shown, ...] = (
    ("forward dynamics, 16 actions, PSNR", "forward-dynamics", "psnr", "dB"),
    ("the same where something moves", "forward-dynamics", "psnr_moving", "dB"),
    ("forward dynamics, SSIM", "forward-dynamics", "ssim", ""),
    ("actions read back off the frames, distance", "forward-dynamics", "consistency", ""),
    ("forward dynamics, 64 actions chained, PSNR", "forward-dynamics-64-actions", "psnr", "dB"),
    ("inverse dynamics, R² of x", "inverse-dynamics", "R², target_x", ""),
    ("inverse dynamics, R² of y", "inverse-dynamics", "R², target_y", ""),
    ("policy, told nothing, distance to what was done", "policy", "action RMSE", ""),
    ("the same, best of 4", "policy", "action RMSE, best of 4", ""),
    ("policy in gym-pusht, told a direction: T got there", "closed-loop", "success", _SHARE),
    ("the same, best of 4", "closed-loop", "success, best of 4", _SHARE),
    ("video from words: T goes as told", "text2video", "T goes as told", _SHARE),
    ("the same: T moves at all", "text2video", "T moves", _SHARE),
    ("video from words and frame: T goes as told", "image2video", "T goes as told", _SHARE),
    ("the same: T moves at all", "image2video", "T moves", _SHARE),
    ("image from words: outline of the T", "text2image", "outline of the T", ""),
)


def readme_block(results: Results) -> str:
    """The table, what it is of, and the two plots."""
    text = ["| held-out Push-T | embedded model | beside it |", "|---|---|---|"]
    for label, run, metric, unit in _LINES:
        mine = shown(results, run, metric, MODEL, unit, interval=True)
        others = [name for name in results.variants(run, metric) if name != MODEL]
        beside = "; ".join(f"{name} {shown(results, run, metric, name, unit)}" for name in others)
        text.append(f"| {label} | {mine} | {beside} |")
    bounds = "the published golden bounds (14 dB, action MSE 0.05), reached on Push-T samples"
    text.append(f"| {bounds} | {_gates(results)} | |")
    text += ["", _about(results), ""]
    text += [f"![{_ALT[path]}]({path})" for path in PICTURES]
    return "\n".join(text)


def with_block(text: str, block: str) -> str:
    """A README with its block replaced.

    Raises:
        InvalidInputError: if it has not both markers.
    """
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise InvalidInputError(f"the README must hold the lines {BEGIN!r} and {END!r} once.")
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n\n{block}\n\n{END}{rest.split(END)[1]}"


def shown(results: Results, run: str, metric: str, variant: str, unit: str, *, interval: bool = False) -> str:
    """A figure as text, with its interval of 95 of 100."""
    found = results.figure(run, metric, variant)
    if found is None or found.value is None:
        return "none"
    number = _number(found.value, unit)
    if interval and found.low is not None and found.high is not None:
        number += f" ({_number(found.low, unit)} to {_number(found.high, unit)})"
    return f"{number} {unit}".strip()


def _number(value: float, unit: str) -> str:
    if unit == _SHARE:
        return f"{100 * value:.0f}"
    return f"{value:.1f}" if unit else f"{value:.3f}"


def _gates(results: Results) -> str:
    modes = dict.fromkeys(gate["name"].rpartition("_")[0] for gate in results.gates)
    told = []
    for mode in modes:
        passed = [gate["passed"] for gate in results.gates if gate["name"].rpartition("_")[0] == mode]
        told.append(f"{mode.replace('_', ' ')} {sum(passed)} of {len(passed)}")
    return ", ".join(told)


def _about(results: Results) -> str:
    rows = {name: run["rows"] for name, run in results.runs.items()}
    machine = results.machines[0]
    versions = f"{machine['device']}, torch {machine['torch']}, diffusers {machine['diffusers']}"
    return (
        f"Means with bootstrap intervals of 95 of 100 over episodes; {_listed(rows)}. Distances are in normalised "
        "units: half the table is 1. A direction counts within 45°: of ways that have nothing to do with the words one "
        f"in four is right. Weights {results.checkpoint_digest}, {versions}. All figures, and why some are absent: "
        "[embedded.json](benchmarks/results/embedded.json)."
    )


def _listed(rows: dict[str, int]) -> str:
    return ", ".join(f"{count} rows of {name}" for name, count in rows.items())
