"""Makes of finished benchmark runs what the repository shows: reports, `embedded.json`, the README's block, two plots.

    python -m cosmos_robot.benchmarks.publish [outputs/bench]

It is the last step of `make bench`. The block and the plots follow from `embedded.json` alone.
"""

from pathlib import Path
from typing import Annotated

import typer

from cosmos_robot.benchmarks.published_plots import draw_plots
from cosmos_robot.benchmarks.published_readme import PICTURES, README, readme_block, with_block
from cosmos_robot.benchmarks.published_results import RESULTS, Results, collect
from cosmos_robot.benchmarks.report import write_report
from cosmos_robot.benchmarks.run_file import read_run_file

RUNS = Path(__file__).with_name("bench_embedded.toml")


def publish(results: Results, root: Path) -> None:
    """Write the README's block and the plots of a repository."""
    readme = root / README.name
    readme.write_text(with_block(readme.read_text(encoding="utf-8"), readme_block(results)), encoding="utf-8")
    draw_plots(results, root, PICTURES)


def main(folder: Annotated[Path, typer.Argument(help="With the runs' folders.")] = Path("outputs/bench")) -> None:
    """Write the reports beside the runs, and then what the repository shows."""
    names = [run.name for run in read_run_file(RUNS)]
    results = collect(folder, names)
    for name in names:
        write_report([folder / name], folder / f"{name}.html")
    results.write()
    publish(results, README.parent)
    typer.echo(f"reports are in {folder}; {RESULTS.name}, the README's block and {len(PICTURES)} plots are written")


if __name__ == "__main__":
    typer.run(main)
