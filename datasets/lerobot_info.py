"""`meta/info.json` of a LeRobot dataset: rates, features, and where the files are."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cosmos_robot.errors import EpisodeError

type Layout = Literal["v2", "v3"]
"""v2: a file for each episode (v2.0 and v2.1). v3: many episodes in a file."""

_DATA_PATHS: Mapping[Layout, str] = {
    "v2": "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
    "v3": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
}
_VIDEO_PATHS: Mapping[Layout, str] = {
    "v2": "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4",
    "v3": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
}
_NOT_NUMERIC = ("video", "image", "string", "language", "audio")


@dataclass(frozen=True)
class DatasetInfo:
    """What `meta/info.json` says.

    Attributes:
        path: the file.
        layout: how episodes are laid out in files.
        version: `codebase_version`, for people to read.
        fps: time steps a second.
        data_path: template of the parquet files.
        video_path: template of the videos.
        chunk_size: episodes in a folder (v2).
        total_episodes: how many episodes it promises, or None.
        video_keys: cameras that are stored as videos.
        image_keys: cameras that are stored as images in the parquet files.
        depth_keys: depth maps, which are no pictures and are left alone.
        numeric_keys: the other columns.
    """

    path: Path
    layout: Layout
    version: str
    fps: float
    data_path: str
    video_path: str
    chunk_size: int
    total_episodes: int | None
    video_keys: tuple[str, ...]
    image_keys: tuple[str, ...]
    depth_keys: tuple[str, ...]
    numeric_keys: tuple[str, ...]

    @classmethod
    def read(cls, path: Path, layout: Layout) -> "DatasetInfo":
        """Read and check the file.

        Raises:
            EpisodeError: if it is not json or lacks what reading needs.
        """
        content = _json_object(path)
        fps, features = content.get("fps"), content.get("features")
        if isinstance(fps, bool) or not isinstance(fps, int | float) or not fps > 0:
            raise EpisodeError(f"{path}: 'fps' must be a positive number; got {fps!r}.")
        if not isinstance(features, dict) or not all(isinstance(value, dict) for value in features.values()):
            raise EpisodeError(f"{path}: 'features' must be an object of objects.")
        cameras = {key: value["dtype"] for key, value in features.items() if value.get("dtype") in ("video", "image")}
        depth = tuple(key for key in cameras if _is_depth(features[key]))
        total = content.get("total_episodes")
        return cls(
            path=path,
            layout=layout,
            version=str(content.get("codebase_version") or layout),
            fps=float(fps),
            data_path=_template(content, "data_path", _DATA_PATHS[layout], path),
            video_path=_template(content, "video_path", _VIDEO_PATHS[layout], path),
            chunk_size=int(content.get("chunks_size") or 1000),
            total_episodes=total if isinstance(total, int) else None,
            video_keys=tuple(key for key, kind in cameras.items() if kind == "video" and key not in depth),
            image_keys=tuple(key for key, kind in cameras.items() if kind == "image" and key not in depth),
            depth_keys=depth,
            numeric_keys=tuple(key for key, value in features.items() if value.get("dtype") not in _NOT_NUMERIC),
        )

    def data_file(self, *, episode: int, chunk: int, file: int) -> str:
        """Relative path of the parquet file of an episode; v2 goes by `episode`, v3 by `chunk` and `file`."""
        return self._filled(self.data_path, "", episode, chunk, file)

    def video_file(self, key: str, *, episode: int, chunk: int, file: int) -> str:
        """Relative path of the video of an episode; v2 goes by `episode`, v3 by `chunk` and `file`."""
        return self._filled(self.video_path, key, episode, chunk, file)

    def _filled(self, template: str, key: str, episode: int, chunk: int, file: int) -> str:
        # `episode_chunk` is v2's; NVIDIA's v3 datasets use it with `episode_file` for what others call
        # `chunk_index` and `file_index`.
        of_episode = episode // self.chunk_size if self.layout == "v2" else chunk
        try:
            return template.format(
                video_key=key,
                episode_index=episode,
                episode_chunk=of_episode,
                episode_file=file,
                chunk_index=chunk,
                file_index=file,
            )
        except (KeyError, IndexError, ValueError, AttributeError) as error:
            raise EpisodeError(f"{self.path}: the path template {template!r} cannot be filled in: {error}.") from error


def _json_object(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise EpisodeError(f"there is no {path}.") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise EpisodeError(f"{path} is not valid json: {error}.") from error
    if not isinstance(content, dict):
        raise EpisodeError(f"{path} must hold a json object.")
    return content


def _template(content: Mapping[str, Any], name: str, default: str, path: Path) -> str:
    value = content.get(name)
    if value is None:  # a dataset without videos has null here
        return default
    if not isinstance(value, str):
        raise EpisodeError(f"{path}: {name!r} must be a text; got {value!r}.")
    return value


def _is_depth(feature: Mapping[str, Any]) -> bool:
    info = feature.get("info") or feature.get("video_info") or {}
    return bool(info.get("is_depth_map") or info.get("video.is_depth_map"))
