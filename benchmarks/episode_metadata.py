"""The metadata of a large LeRobot dataset, made from nothing, and what opening it takes."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

type Layout = Literal["v2.1", "v3.0"]

CAMERAS = ("observation.images.wrist", "observation.images.left", "observation.images.right")
_FPS = 15
_EPISODES_A_FILE = 10_000
_EPISODES_A_VIDEO = 50
_STATISTICS = ("min", "max", "mean", "std", "q01", "q99")

_OPEN = """
import gc, json, sys, time
from pathlib import Path
from cosmos_robot.datasets.open_episodes import open_episodes

if sys.argv[2] == "import":
    import cosmos_robot.datasets.lerobot
else:
    import cosmos_robot.datasets.lerobot
    gc.collect()
    objects, start = len(gc.get_objects()), time.perf_counter()
    episodes = open_episodes(sys.argv[1])
    seconds = time.perf_counter() - start
    made = len(gc.get_objects()) - objects
    last = episodes[-1]
    print(json.dumps({
        "seconds": seconds,
        "objects": made,
        "episodes": len(episodes),
        "frames": int(episodes.table.length.sum()),
        "task": last.task,
    }))
status = Path("/proc/self/status").read_text()
print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
"""


@dataclass(frozen=True)
class Opening:
    """What opening a dataset took, in a process of its own.

    Attributes:
        layout: of the metadata.
        episodes: how many there are.
        frames: how many they have together.
        metadata_mb: size of `meta/` in megabytes.
        seconds: from the call to the dataset.
        peak_mb: the process's greatest memory, the interpreter and all libraries included (Linux counts it).
        imports_mb: the same of a process that imports the reader and opens nothing.
        objects: Python objects that opening added.
    """

    layout: Layout
    episodes: int
    frames: int
    metadata_mb: float
    seconds: float
    peak_mb: float
    imports_mb: float
    objects: int


def write_metadata(root: Path, layout: Layout, *, episodes: int, frames: int, seed: int = 0) -> None:
    """Write `meta/` of a dataset whose data and videos are not there.

    Args:
        root: a folder to make.
        layout: v2.1 (lines of json) or v3.0 (parquet with statistics, as the lerobot library writes it).
        episodes: how many.
        frames: how many they have together.
        seed: of the lengths.
    """
    rng = np.random.default_rng(seed)
    cuts = np.sort(rng.choice(np.arange(1, frames), size=episodes - 1, replace=False))
    lengths = np.diff([0, *cuts, frames])
    meta = root / "meta"
    meta.mkdir(parents=True)
    columns = {"dtype": "float32", "shape": [8], "names": None}
    features = {camera: {"dtype": "video", "shape": [180, 320, 3], "names": None} for camera in CAMERAS}
    info = {
        "codebase_version": layout,
        "total_episodes": episodes,
        "total_frames": frames,
        "chunks_size": 1000,
        "fps": _FPS,
        "features": {"observation.state": columns, "action": columns, **features},
    }
    (meta / "info.json").write_text(json.dumps(info))
    for camera in CAMERAS:  # so that the cameras count as there
        folders = f"chunk-000/{camera}" if layout == "v2.1" else f"{camera}/chunk-000"
        (root / "videos" / folders).mkdir(parents=True)
    texts = [f"put object {index % 20_000} into container {index % 37}" for index in range(episodes)]
    if layout == "v2.1":
        _write_lines(meta, texts, lengths)
    else:
        _write_parquet(meta, texts, lengths, rng)


def measure_opening(root: Path, layout: Layout) -> Opening:
    """Open a dataset in a process of its own."""
    answer, peak = _run(root, "open")
    _, imports = _run(root, "import")
    size = sum(path.stat().st_size for path in (root / "meta").rglob("*") if path.is_file())
    return Opening(
        layout=layout,
        episodes=answer["episodes"],
        frames=answer["frames"],
        metadata_mb=size / 1e6,
        seconds=answer["seconds"],
        peak_mb=peak,
        imports_mb=imports,
        objects=answer["objects"],
    )


def _run(root: Path, what: str) -> tuple[dict[str, int], float]:
    command = [sys.executable, "-c", _OPEN, str(root), what]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    *answers, peak = result.stdout.splitlines()
    return (json.loads(answers[0]) if answers else {}), int(peak) * 1024 / 1e6


def _write_lines(meta: Path, texts: list[str], lengths: NDArray[np.int64]) -> None:
    with (meta / "episodes.jsonl").open("w") as file:
        for index, (text, length) in enumerate(zip(texts, lengths.tolist(), strict=True)):
            file.write(json.dumps({"episode_index": index, "tasks": [text], "length": length}) + "\n")
    with (meta / "tasks.jsonl").open("w") as file:
        for index, text in enumerate(dict.fromkeys(texts)):
            file.write(json.dumps({"task_index": index, "task": text}) + "\n")


def _write_parquet(meta: Path, texts: list[str], lengths: NDArray[np.int64], rng: np.random.Generator) -> None:
    ends = np.cumsum(lengths)
    begins = ends - lengths
    index = np.arange(len(lengths))
    video = index // _EPISODES_A_VIDEO
    video_begins = begins[video * _EPISODES_A_VIDEO]
    columns: dict[str, object] = {
        "episode_index": index,
        "tasks": pa.array([[text] for text in texts]),
        "length": lengths,
        "dataset_from_index": begins,
        "dataset_to_index": ends,
        "data/chunk_index": video // 1000,
        "data/file_index": video % 1000,
    }
    for camera in CAMERAS:
        columns[f"videos/{camera}/chunk_index"] = video // 1000
        columns[f"videos/{camera}/file_index"] = video % 1000
        columns[f"videos/{camera}/from_timestamp"] = (begins - video_begins) / _FPS
        columns[f"videos/{camera}/to_timestamp"] = (ends - video_begins) / _FPS
    for feature in ("observation.state", "action"):
        for statistic in _STATISTICS:
            numbers = pa.array(rng.normal(size=8 * len(lengths)))
            columns[f"stats/{feature}/{statistic}"] = pa.ListArray.from_arrays(
                pa.array(np.arange(0, 8 * len(lengths) + 1, 8), pa.int32()), numbers
            )
    table = pa.table(columns)
    (meta / "episodes/chunk-000").mkdir(parents=True)
    for file, start in enumerate(range(0, len(lengths), _EPISODES_A_FILE)):
        pq.write_table(table.slice(start, _EPISODES_A_FILE), meta / f"episodes/chunk-000/file-{file:03d}.parquet")
    unique = list(dict.fromkeys(texts))
    pq.write_table(pa.table({"task_index": range(len(unique)), "task": unique}), meta / "tasks.parquet")
