"""LeRobot datasets in small, written from the description of the format and not by any library that reads them.

Every frame carries the number 100 * episode + frame as black and white blocks, plus 500 in the second camera.
"""

import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numbered_video import numbered_frame, numbers_of, write_numbered
from PIL import Image

FPS = 10
LENGTHS = (13, 9, 21)
TASKS = ("push the T", "lift the lid")
CAMERAS = ("observation.images.top", "observation.images.wrist")
STATE, ACTION, PART = "observation.state", "action", "action.gripper"


def task_of(episode):
    return episode % 2


def numbers(episode, camera, lengths=LENGTHS):
    return [100 * episode + frame + 500 * CAMERAS.index(camera) for frame in range(lengths[episode])]


def state(episode, lengths=LENGTHS):
    frames = np.arange(lengths[episode], dtype=np.float32)
    return np.stack([frames, frames * 0.5 + episode, -frames], axis=1)


def action(episode, lengths=LENGTHS):
    return state(episode, lengths)[:, :2] + 100


def rows(episode, lengths=LENGTHS, images=False):
    length = lengths[episode]
    frames = np.arange(length)
    columns = {
        STATE: pa.array(list(state(episode, lengths)), pa.list_(pa.float32())),
        ACTION: pa.array(list(action(episode, lengths)), pa.list_(pa.float32())),
        PART: pa.array(frames.astype(np.float32) / 10),
        "next.done": pa.array(frames == length - 1),
        "timestamp": pa.array((frames / FPS).astype(np.float32)),
        "frame_index": pa.array(frames),
        "episode_index": pa.array(np.full(length, episode)),
        "index": pa.array(frames + sum(lengths[:episode])),
        "task_index": pa.array(np.full(length, task_of(episode))),
        "note": pa.array(["text"] * length),
    }
    if images:
        for camera in CAMERAS:
            columns[camera] = pa.array(
                [
                    {"bytes": png(number), "path": f"frame-{number:06d}.png"}
                    for number in numbers(episode, camera, lengths)
                ]
            )
    return pa.table(columns)


def png(number):
    file = io.BytesIO()
    Image.fromarray(numbered_frame(number)).save(file, format="PNG")
    return file.getvalue()


def features(images=False):
    kind = "image" if images else "video"
    return {
        STATE: {"dtype": "float32", "shape": [3], "names": None},
        ACTION: {"dtype": "float32", "shape": [2], "names": None},
        PART: {"dtype": "float32", "shape": [1], "names": None},
        "next.done": {"dtype": "bool", "shape": [1], "names": None},
        **{camera: {"dtype": kind, "shape": [32, 160, 3], "names": None} for camera in CAMERAS},
        **{name: {"dtype": "float32" if name == "timestamp" else "int64", "shape": [1], "names": None}
           for name in ("timestamp", "frame_index", "episode_index", "index", "task_index")},
        "note": {"dtype": "string", "shape": [1], "names": None},
    }  # fmt: skip


def write_v2(root, *, version="v2.1", lengths=LENGTHS, images=False):
    """A file for each episode."""
    meta = root / "meta"
    meta.mkdir(parents=True)
    info = {
        "codebase_version": version,
        "total_episodes": len(lengths),
        "total_frames": sum(lengths),
        "chunks_size": 2,
        "fps": FPS,
        "data_path": "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
        "video_path": None
        if images
        else "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4",
        "features": features(images),
    }
    (meta / "info.json").write_text(json.dumps(info))
    write_lines(meta / "tasks.jsonl", [{"task_index": n, "task": text} for n, text in enumerate(TASKS)])
    write_lines(
        meta / "episodes.jsonl",
        [{"episode_index": n, "tasks": [TASKS[task_of(n)]], "length": length} for n, length in enumerate(lengths)],
    )
    if version == "v2.0":
        (meta / "stats.json").write_text("{}")
    else:
        write_lines(meta / "episodes_stats.jsonl", [{"episode_index": n, "stats": {}} for n in range(len(lengths))])
    for episode in range(len(lengths)):
        path = root / f"data/chunk-{episode // 2:03d}/episode_{episode:06d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(rows(episode, lengths, images), path)
        for camera in () if images else CAMERAS:
            video = root / f"videos/chunk-{episode // 2:03d}/{camera}/episode_{episode:06d}.mp4"
            write_numbered(video, numbers(episode, camera, lengths), fps=FPS)
    return root


def write_v3(root, *, lengths=LENGTHS, images=False, drop=(), templates=None):
    """Rows and videos of several episodes in a file: here the first two, then the others; videos are divided otherwise."""
    (root / "meta/episodes/chunk-000").mkdir(parents=True)
    info = {
        "codebase_version": "v3.0",
        "total_episodes": len(lengths),
        "total_frames": sum(lengths),
        "chunks_size": 1000,
        "fps": FPS,
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
        "features": features(images),
        **(templates or {}),
    }
    (root / "meta/info.json").write_text(json.dumps(info))
    tasks = pa.table({"task_index": [0, 1], "__index_level_0__": list(TASKS)})
    pq.write_table(tasks, root / "meta/tasks.parquet")
    pq.write_table(pa.table(episode_columns(lengths, images)).drop_columns(list(drop)), root / EPISODES)
    for file, episodes in enumerate(data_files(lengths)):
        path = root / f"data/chunk-000/file-{file:03d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.concat_tables([rows(n, lengths, images) for n in episodes]), path, row_group_size=8)
    for camera in () if images else CAMERAS:
        for file, episodes in enumerate(video_files(camera, lengths)):
            frames = [number for n in episodes for number in numbers(n, camera, lengths)]
            write_numbered(root / f"videos/{camera}/chunk-000/file-{file:03d}.mp4", frames, fps=FPS)
    return root


EPISODES = "meta/episodes/chunk-000/file-000.parquet"


def data_files(lengths):
    return [range(len(lengths))[:2], range(len(lengths))[2:]] if len(lengths) > 2 else [range(len(lengths))]


def video_files(camera, lengths):
    every = range(len(lengths))
    return [every] if camera == CAMERAS[0] or len(lengths) == 1 else [every[:1], every[1:]]


def place(files, episode, lengths):
    """Number of the file that holds an episode, and the frames before it there."""
    file = next(number for number, episodes in enumerate(files) if episode in episodes)
    return file, sum(lengths[n] for n in files[file] if n < episode)


def episode_columns(lengths, images):
    every = range(len(lengths))
    ends = np.cumsum(lengths)
    columns = {
        "episode_index": list(every),
        "tasks": [[TASKS[task_of(n)]] for n in every],
        "length": list(lengths),
        "dataset_from_index": list(ends - np.array(lengths)),
        "dataset_to_index": list(ends),
        "data/chunk_index": [0 for _ in every],
        "data/file_index": [place(data_files(lengths), n, lengths)[0] for n in every],
        "stats/action/min": [[0.0, 1.0] for _ in every],
    }
    for camera in () if images else CAMERAS:
        places = [place(video_files(camera, lengths), n, lengths) for n in every]
        columns[f"videos/{camera}/chunk_index"] = [0 for _ in every]
        columns[f"videos/{camera}/file_index"] = [file for file, _ in places]
        columns[f"videos/{camera}/from_timestamp"] = [before / FPS for _, before in places]
        columns[f"videos/{camera}/to_timestamp"] = [(places[n][1] + lengths[n]) / FPS for n in every]
    return columns


def change_episodes(root, **columns):
    """Replace columns of the v3 episode table; a name's `/` is written `__`."""
    table = pq.read_table(root / EPISODES).to_pydict()
    table.update({name.replace("__", "/"): values for name, values in columns.items()})
    pq.write_table(pa.table(table), root / EPISODES)


def change_info(root, **values):
    path = root / "meta/info.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def write_lines(path, items):
    path.write_text("".join(json.dumps(item) + "\n" for item in items))


def episode_in_another_process(episode, queue):
    """What another process runs: a module of its own, because a new process imports it by name."""
    queue.put((numbers_of(episode.frames()), episode.column(STATE)))
