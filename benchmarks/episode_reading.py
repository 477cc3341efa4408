"""Reading episodes: windows a second beside the lerobot library, and what opening a large dataset takes.

    python -m cosmos_robot.benchmarks.episode_reading [--out reading.json]

The lerobot library writes the data. In every round both read the same windows in the same shuffled order, one straight
after the other, and what is reported is the median of the rounds' ratios: a shared machine changes its speed from
minute to minute. A window is 17 consecutive frames of one camera with the 16 actions between them. Both are asked for
uint8 frames; the library's default, float32 frames, is a row of its own. Before anything is timed, the frames and
actions of both are compared. The library's decoder is its default on the machine: torchcodec where that loads, else
PyAV. Ours is PyAV.
"""

import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from cosmos_robot.benchmarks.episode_metadata import Layout, Opening, measure_opening, write_metadata
from cosmos_robot.datasets.episode import Episodes
from cosmos_robot.datasets.open_episodes import open_episodes
from cosmos_robot.types import FloatArray, Frames

FRAMES = 17
FPS = 10
CAMERA = "observation.images.top"
LAYOUTS: tuple[Layout, ...] = ("v3.0", "v2.1")


@dataclass(frozen=True)
class Recording:
    """What the lerobot library is asked to write.

    Attributes:
        name: for the table.
        size: height and width of a frame.
        use_videos: videos, or images in the parquet files.
        codec: of the videos; None is the library's default, AV1 with a keyframe every second frame.
        keyframes: frames from keyframe to keyframe, where a codec is named.
    """

    name: str
    size: int = 256
    use_videos: bool = True
    codec: str | None = None
    keyframes: int = 2


RECORDINGS = (
    Recording("AV1 96x96", size=96),
    Recording("AV1 256x256"),
    Recording("H.264 256x256", codec="h264", keyframes=10),
    Recording("PNG 256x256", use_videos=False),
)
"""Push-T's frames, then Bridge's in each way to store them; AV1 is the library's default."""


@dataclass(frozen=True)
class Row:
    """What was measured of a recording: medians over the rounds.

    Attributes:
        recording: what was read.
        form: in which form the library was asked for frames.
        decoder: the library's.
        ours: windows a second of this library.
        lerobot: windows a second of the lerobot library.
        ratio: ours / lerobot, the median of the rounds' ratios.
        ratio_low: the least of them.
        ratio_high: the greatest.
        rounds: how many.
        max_difference: greatest difference of the frames, of 255.
    """

    recording: str
    form: str
    decoder: str
    ours: float
    lerobot: float
    ratio: float
    ratio_low: float
    ratio_high: float
    rounds: int
    max_difference: int


def main(
    *,
    out: Annotated[Path | None, typer.Option(help="Write the rows as JSON.")] = None,
    rounds: Annotated[int, typer.Option(help="Rounds of each comparison.")] = 7,
    windows: Annotated[int, typer.Option(help="Windows in a round.")] = 24,
    episodes: Annotated[int, typer.Option(help="Episodes that are written.")] = 8,
    length: Annotated[int, typer.Option(help="Frames of an episode.")] = 80,
    large: Annotated[int, typer.Option(help="Episodes of the large dataset; 40 frames each.")] = 50_000,
) -> None:
    """Compare reading with the lerobot library, then open a large dataset's metadata in both layouts."""
    rows: list[Row] = []
    openings: list[Opening] = []
    with tempfile.TemporaryDirectory(prefix="cosmos-robot-") as folder:
        for number, recording in enumerate(RECORDINGS):
            root = Path(folder) / f"recording-{number}"
            write_recording(root, recording, episodes=episodes, length=length)
            places = shuffled_windows(episodes, length, windows)
            rows += [measure(root, recording, uint8=uint8, places=places, rounds=rounds) for uint8 in (True, False)]
        for layout in LAYOUTS:
            root = Path(folder) / f"large-{layout}"
            write_metadata(root, layout, episodes=large, frames=40 * large)
            openings.append(measure_opening(root, layout))
    where = machine()
    console = Console()
    console.print(windows_table(rows, where))
    console.print(openings_table(openings))
    if out is not None:
        content = {"machine": where, "rows": list(map(asdict, rows)), "openings": list(map(asdict, openings))}
        out.write_text(json.dumps(content, indent=1))


def write_recording(root: Path, recording: Recording, *, episodes: int, length: int) -> None:
    """Let the lerobot library write episodes of a textured square that moves over a textured ground."""
    from lerobot.configs import RGBEncoderConfig
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    rng, size = np.random.default_rng(0), recording.size
    features = {
        CAMERA: {
            "dtype": "video" if recording.use_videos else "image",
            "shape": (size, size, 3),
            "names": ["height", "width", "channels"],
        },
        "observation.state": {"dtype": "float32", "shape": (8,), "names": None},
        "action": {"dtype": "float32", "shape": (7,), "names": None},
    }
    encoder = None if recording.codec is None else RGBEncoderConfig(vcodec=recording.codec, g=recording.keyframes)
    dataset = LeRobotDataset.create(
        "lab/reading", FPS, features, root=root, use_videos=recording.use_videos, rgb_encoder=encoder
    )
    ground = rng.integers(60, 190, (size // 8, size // 8, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    square = rng.integers(0, 255, (size // 4, size // 4, 3), dtype=np.uint8)
    for episode in range(episodes):
        for step in range(length):
            frame = np.zeros((size, size, 3), np.uint8)
            frame[: ground.shape[0], : ground.shape[1]] = ground
            left, top = (3 * step + 17 * episode) % (size - size // 4), (2 * step) % (size - size // 4)
            frame[top : top + size // 4, left : left + size // 4] = square
            dataset.add_frame(
                {
                    CAMERA: frame,
                    "observation.state": rng.normal(size=8).astype(np.float32),
                    "action": rng.normal(size=7).astype(np.float32),
                    "task": f"move the square, {episode % 3}",
                }
            )
        dataset.save_episode()
    dataset.finalize()


def shuffled_windows(episodes: int, length: int, count: int, seed: int = 0) -> list[tuple[int, int]]:
    """Draw places of windows: (episode, first frame)."""
    rng = np.random.default_rng(seed)
    starts = rng.integers(0, length - FRAMES + 1, count)
    return [(int(episode), int(start)) for episode, start in zip(rng.integers(0, episodes, count), starts, strict=True)]


def measure(root: Path, recording: Recording, *, uint8: bool, places: Sequence[tuple[int, int]], rounds: int) -> Row:
    """Time both, turn by turn, after one round that is compared and not counted."""
    ours = open_episodes(root)
    theirs = open_in_lerobot(root, uint8=uint8)
    begins = np.concatenate([[0], np.cumsum([len(episode) for episode in ours])])

    def read_ours() -> list[tuple[Frames, FloatArray]]:
        return [our_window(ours, episode, start) for episode, start in places]

    def read_theirs() -> list[Any]:
        return [theirs[int(begins[episode]) + start] for episode, start in places]

    pairs = zip(read_ours(), read_theirs(), strict=True)
    difference = max(require_same(frames, actions, item) for (frames, actions), item in pairs)
    name = f"{recording.name}, {'uint8' if uint8 else 'float32'}"
    times = [(seconds(read_ours), seconds(read_theirs)) for _ in track(range(rounds), description=name)]
    ours.close()
    ratios = [other / own for own, other in times]
    return Row(
        recording=recording.name,
        form="uint8" if uint8 else "float32",
        decoder=theirs.reader._video_backend if recording.use_videos else "PIL",  # what its default came to be
        ours=len(places) / statistics.median(own for own, _ in times),
        lerobot=len(places) / statistics.median(other for _, other in times),
        ratio=statistics.median(ratios),
        ratio_low=min(ratios),
        ratio_high=max(ratios),
        rounds=rounds,
        max_difference=difference,
    )


def our_window(episodes: Episodes, episode: int, start: int) -> tuple[Frames, FloatArray]:
    """Read 17 frames and the 16 actions between them."""
    opened = episodes[episode]
    return opened.frames(CAMERA, start, start + FRAMES), opened.column("action", start, start + FRAMES - 1)


def open_in_lerobot(root: Path, *, uint8: bool) -> Any:
    """Open a dataset in the lerobot library so that an item is such a window."""
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    deltas = {
        CAMERA: [step / FPS for step in range(FRAMES)],
        "action": [step / FPS for step in range(FRAMES - 1)],
    }
    return LeRobotDataset("lab/reading", root=root, delta_timestamps=deltas, return_uint8=uint8)


def require_same(frames: Frames, actions: FloatArray, item: Any) -> int:
    """Compare a window with the lerobot library's item.

    Returns:
        greatest difference of the frames, of 255.

    Raises:
        RuntimeError: if the actions are not equal.
    """
    other = item[CAMERA].numpy()
    if other.dtype != np.uint8:
        other = (other * 255).round().astype(np.uint8)
    if not np.array_equal(actions, item["action"].numpy()):
        raise RuntimeError("the actions of the two libraries differ; the comparison would mean nothing.")
    return int(np.abs(frames.astype(int) - other.transpose(0, 2, 3, 1)).max())


def seconds(work: Callable[[], object]) -> float:
    """Time a call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def machine() -> dict[str, str]:
    """Name what it ran on."""
    packages = ("lerobot", "av", "pyarrow", "torch")
    return {"processor": platform.processor() or platform.machine(), **{name: version(name) for name in packages}}


def windows_table(rows: Sequence[Row], where: dict[str, str]) -> Table:
    """Draw the comparison for a person."""
    headings = ("recording", "lerobot's frames", "its decoder", "ours, windows/s", "lerobot, windows/s")
    table = Table(*headings, "ratio", "least to greatest", "difference")
    table.title = ", ".join(f"{key} {value}" for key, value in where.items())
    for row in rows:
        numbers = (f"{row.ours:.1f}", f"{row.lerobot:.1f}", f"{row.ratio:.2f}x")
        spread = f"{row.ratio_low:.2f} to {row.ratio_high:.2f}"
        table.add_row(row.recording, row.form, row.decoder, *numbers, spread, str(row.max_difference))
    return table


def openings_table(openings: Sequence[Opening]) -> Table:
    """Draw the openings for a person."""
    table = Table("layout", "episodes", "frames", "meta/, MB", "seconds", "peak MB", "of it imports", "Python objects")
    for opened in openings:
        table.add_row(
            opened.layout,
            f"{opened.episodes:,}",
            f"{opened.frames:,}",
            f"{opened.metadata_mb:.1f}",
            f"{opened.seconds:.2f}",
            f"{opened.peak_mb:.0f}",
            f"{opened.imports_mb:.0f}",
            f"{opened.objects:,}",
        )
    return table


if __name__ == "__main__":
    typer.run(main)
