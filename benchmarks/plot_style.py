"""How the benchmarks' plots look."""

from typing import Any

RUN_COLOURS = ("#2f5fd0", "#c2571a", "#2b8a5f", "#8d4bb8", "#b0305c", "#6b7a12")
CONTROL_COLOURS = ("#8a8f98", "#b9a27c", "#9db7a8")
STYLE: dict[Any, Any] = {
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 11,
    "grid.alpha": 0.25,
    "legend.frameon": False,
}
