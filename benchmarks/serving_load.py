"""The server under load: many clients at once, mixed modes; batching beside none.

    python -m cosmos_robot.benchmarks.serving_load [--clients 64] [--seconds 60] [--out serving_load.json]

A real server process and clients on loopback. The world model is a stand-in whose forward pass takes as long for a
batch as for one request, as a graphics card's does while it is not full: what is measured is the server, and what its
batching can give. Every answer carries its request's seed, so that a lost, doubled or swapped one is seen. The two
forms, with batching and without, are run in turn in short rounds, and their ratio is the median of the rounds' ratios.
"""

import asyncio
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import httpx
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from cosmos_robot.interface.generation import Generation
from cosmos_robot.interface.media_request import MediaRequest
from cosmos_robot.interface.request import ActionRequest
from cosmos_robot.interface.world_model import WorldModel
from cosmos_robot.types import Progress, Rollout

STEP_SECONDS = 0.01
STEPS = 4
MODES = ("text2image", "text2video", "policy")
_PICTURE = "iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAIAAACQkWg2AAAAEElEQVR4nGNgGAWjYBTAAAADEAABPywr7AAAAABJRU5ErkJggg=="
"""A black picture of 16x16 pixels, as png in base64."""


@dataclass(frozen=True)
class LoadRow:
    """What one round measured.

    Attributes:
        batch_size: of the server; 1 is no batching.
        seconds: of the round.
        asked: requests that were sent.
        answered: those that came back with their own seed.
        refused: those that were told to come later (429).
        wrong: those that came back with another's seed, or an error.
        lost: jobs that the server has neither finished nor failed, or has more than one of.
        p50: seconds of an answer, the median.
        p99: likewise, of the slowest hundredth.
    """

    batch_size: int
    seconds: float
    asked: int
    answered: int
    refused: int
    wrong: int
    lost: int
    p50: float
    p99: float

    @property
    def throughput(self) -> float:
        """Answers a second."""
        return self.answered / self.seconds


class PacedModel(WorldModel):
    """Takes `STEPS` steps of `STEP_SECONDS` for a batch of any size, and shows each request's seed."""

    def generate(self, requests: Sequence[ActionRequest], *, progress: Progress | None = None) -> list[Rollout]:
        """Answer action requests."""
        _pace(progress)
        return [
            Rollout(
                frames=np.zeros((item.action_chunk_size + 1, 32, 32, 3), np.uint8),
                actions=np.zeros((item.action_chunk_size, item.domain.raw_action_dim), np.float32),
                action_space=item.action_space,
                domain=item.domain.name,
                fps=10.0,
                seed=item.seed,
                prompt=item.prompt,
            )
            for item in requests
        ]

    def generate_media(self, requests: Sequence[MediaRequest], *, progress: Progress | None = None) -> list[Generation]:
        """Answer requests of the modes without actions."""
        _pace(progress)
        return [
            Generation(
                mode=item.mode,
                frames=np.zeros((1 if item.image else 25, 32, 32, 3), np.uint8),
                fps=24.0,
                sound=None,
                seed=item.seed,
                prompt=item.prompt,
                prompt_used=item.prompt_used,
            )
            for item in requests
        ]


def _pace(progress: Progress | None) -> None:
    for step in range(STEPS):
        time.sleep(STEP_SECONDS)
        if progress is not None:
            progress(step + 1, STEPS)


def run_round(clients: int, seconds: float, batch_size: int) -> LoadRow:
    """Start a server, let clients ask it for a while, and look at what became of every job."""
    with tempfile.TemporaryDirectory() as folder, _server(Path(folder), batch_size) as url:
        return asyncio.run(_ask(url, clients, seconds, batch_size))


@contextmanager
def _server(folder: Path, batch_size: int) -> Iterator[str]:
    command = [sys.executable, "-m", "cosmos_robot.benchmarks.serving_load", "--serve", str(folder)]
    process = subprocess.Popen([*command, "--batch-size", str(batch_size)], stdout=subprocess.PIPE, text=True)
    try:
        line = "" if process.stdout is None else process.stdout.readline()
        found = re.search(r"http://\S+", line)
        if found is None:
            raise RuntimeError(f"the server did not start: {line}")
        yield found[0]
    finally:
        process.terminate()
        process.wait()


async def _ask(url: str, clients: int, seconds: float, batch_size: int) -> LoadRow:
    took: list[float] = []
    counts = {"asked": 0, "refused": 0, "wrong": 0}
    end = time.perf_counter() + seconds
    limits = httpx.Limits(max_connections=clients)
    async with httpx.AsyncClient(base_url=url, timeout=120.0, limits=limits) as client:

        async def one_client(number: int) -> None:
            while time.perf_counter() < end:
                seed = counts["asked"]
                counts["asked"] += 1
                begun = time.perf_counter()
                answer = await client.post("/v1/infer", json=_body(MODES[number % len(MODES)], seed))
                if answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
                    counts["refused"] += 1
                    await asyncio.sleep(0.2)
                elif answer.status_code != httpx.codes.OK or answer.json()["seed"] != seed:
                    counts["wrong"] += 1
                else:
                    took.append(time.perf_counter() - begun)

        begun = time.perf_counter()
        await asyncio.gather(*map(one_client, range(clients)))
        lasted = time.perf_counter() - begun
        jobs = (await client.get("/jobs")).json()["counts"]
    accepted = counts["asked"] - counts["refused"]
    ordered = sorted(took)
    return LoadRow(
        batch_size=batch_size,
        seconds=lasted,
        answered=len(took),
        lost=abs(accepted - jobs["done"]) + jobs["queued"] + jobs["running"] + jobs["failed"] + jobs["cancelled"],
        p50=statistics.median(took),
        p99=ordered[int(0.99 * (len(ordered) - 1))],
        **counts,
    )


def _body(mode: str, seed: int) -> dict[str, Any]:
    body: dict[str, Any] = {"model_mode": mode, "prompt": "A robot.", "seed": seed}
    if mode == "policy":
        body["input_reference"] = _PICTURE
        body["action_params"] = {"domain_name": "bridge_orig_lerobot", "action_chunk_size": 16}
    return body


def _serve(folder: Path, batch_size: int) -> None:
    from cosmos_robot.serving.run_server import run_server
    from cosmos_robot.serving.settings import Batching, ServerSettings

    settings = ServerSettings(data=folder / "data", port=0, batching=Batching(size=batch_size))
    run_server(settings, PacedModel(), say=lambda line: print(line, flush=True))


def main(
    *,
    clients: Annotated[int, typer.Option(min=1, help="Clients at once.")] = 64,
    seconds: Annotated[float, typer.Option(help="Of all rounds of one form together.")] = 60.0,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of each form.")] = 3,
    batch_size: Annotated[int, typer.Option(min=1, help="Of the form with batching.")] = 8,
    out: Annotated[Path | None, typer.Option(help="File for the figures.")] = None,
    serve: Annotated[Path | None, typer.Option(hidden=True)] = None,
) -> None:
    """Measure the server under load, with batching and without, in turn."""
    if serve is not None:
        _serve(serve, batch_size)
        return
    rows = [run_round(clients, seconds / rounds, size) for _ in range(rounds) for size in (batch_size, 1)]
    ratios = [ours.throughput / alone.throughput for ours, alone in zip(rows[::2], rows[1::2], strict=True)]
    table = Table("batch", "asked", "answered", "429", "wrong", "lost", "p50 s", "p99 s", "a second", box=None)
    for row in rows:
        counts = (row.batch_size, row.asked, row.answered, row.refused, row.wrong, row.lost)
        table.add_row(*map(str, counts), f"{row.p50:.3f}", f"{row.p99:.3f}", f"{row.throughput:.1f}")
    Console().print(table)
    typer.echo(f"batching / none, throughput: {statistics.median(ratios):.2f} (median of {rounds})")
    if out is not None:
        figures = {"rows": [asdict(row) for row in rows], "ratio": statistics.median(ratios)}
        out.write_text(json.dumps(figures, indent=2) + "\n")
    if any(row.wrong or row.lost for row in rows):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
