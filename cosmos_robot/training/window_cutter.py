"""Cuts episodes into windows and encodes them, once, with the checkpoint's own autoencoder."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from cosmos_robot.domains.canvas import action_canvas, native_canvas
from cosmos_robot.domains.domain import Domain
from cosmos_robot.engine.autoencoder import Autoencoder
from cosmos_robot.engine.checkpoint import CheckpointFacts
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.training.progress import counted
from cosmos_robot.training.run_folder import written
from cosmos_robot.training.windows import LatentWindows
from cosmos_robot.types import Canvas, FloatArray, Frames


@dataclass(frozen=True, eq=False)
class TrainingEpisode:
    """One episode to train on.

    Attributes:
        frames: uint8 `[T + 1, H, W, 3]`.
        actions: float32 `[T, D]` in robot units.
        prompt: what happens in it.
    """

    frames: Frames
    actions: FloatArray
    prompt: str = ""

    def __post_init__(self) -> None:
        if len(self.frames) != len(self.actions) + 1:
            raise InvalidInputError(
                f"an episode has one frame more than actions; got {len(self.frames)} and {len(self.actions)}."
            )


@dataclass(frozen=True, eq=False)
class WindowCutter:
    """Makes a folder of windows out of episodes.

    Attributes:
        autoencoder: of the checkpoint.
        facts: what the checkpoint was trained for so far.
        domain: whose episodes.
        chunk: actions of a window.
        stride: actions between the starts of two windows.
    """

    autoencoder: Autoencoder
    facts: CheckpointFacts
    domain: Domain
    chunk: int
    stride: int

    def cached(self, episodes: Iterable[TrainingEpisode], folder: Path) -> tuple[LatentWindows, Canvas]:
        """All windows, and the sizes that their frames pass through.

        There is one shard for each episode; those that are there are not made again, and where all are the episodes
        are not even read.

        Raises:
            InvalidInputError: if no episode is as long as a window, or they are of several sizes.
            RecordingError: if the disk is full; the shards that are finished are kept.
        """
        whole = folder / "whole.json"
        if not whole.is_file():
            with written(folder):
                folder.mkdir(parents=True, exist_ok=True)
            size = self._encode(episodes, folder)
            with written(whole):
                whole.write_text(json.dumps({"frame_size": size}) + "\n")
        height, width = json.loads(whole.read_text())["frame_size"]
        return LatentWindows.load_folder(folder), self.canvas(height, width)

    def canvas(self, height: int, width: int) -> Canvas:
        """The sizes that frames pass through, as they do when the checkpoint is asked."""
        multiple = self.autoencoder.spatial_factor
        if self.facts.native_canvas is not None:
            return native_canvas(height, width, self.facts.native_canvas, multiple=multiple)
        return action_canvas(height, width, self.domain.tier, multiple=multiple)

    @torch.no_grad()
    def cut(self, episode: TrainingEpisode, canvas: Canvas) -> LatentWindows:
        """The windows of one episode."""
        starts = range(0, len(episode.actions) - self.chunk + 1, self.stride)
        latents: list[NDArray[np.float16]] = []
        for start in starts:
            pixels = self.autoencoder.pixels(episode.frames[start : start + self.chunk + 1], canvas)
            latents.append(self.autoencoder.encode(pixels, canvas)[0].half().cpu().numpy())
        actions = [self.domain.encode(episode.actions[start : start + self.chunk]).values for start in starts]
        return LatentWindows(
            latents=np.stack(latents),
            actions=np.stack(actions),
            prompt_ids=np.zeros(len(starts), dtype=np.int64),
            prompts=(episode.prompt,),
        )

    def _encode(self, episodes: Iterable[TrainingEpisode], folder: Path) -> tuple[int, int]:
        """Make the shards that are missing; gives height and width of the frames."""
        size: tuple[int, int] | None = None
        for number, episode in enumerate(counted(episodes, "encoding windows")):
            if len(episode.actions) < self.chunk:
                continue
            height, width = episode.frames.shape[1:3]
            size, canvas = size or (height, width), self.canvas(height, width)
            first = self.canvas(*size)
            if (canvas.padded, canvas.output) != (first.padded, first.output):
                raise InvalidInputError(
                    f"episodes that are trained on together must be of one frame size; the first is of "
                    f"{size[0]}x{size[1]} (HxW), episode {number} of {height}x{width}. Train on them one after another."
                )
            path = folder / f"windows_{number:07d}.npz"
            if not path.exists():
                made = self.cut(episode, canvas)
                with written(path.with_suffix(".partial")):
                    made.save(path)
        if size is None:
            raise InvalidInputError(f"no episode has the {self.chunk} actions of a window; ask for a shorter chunk.")
        return size
