"""What the lerobot library writes comes back as the library itself reads it: frames, columns, indices and task texts.

The library reads with PyAV here, and so does this one: the same decoder and the same conversion to RGB, so that frames are
equal to the last bit.
"""

import numpy as np
import pytest

from cosmos_robot.datasets.open_episodes import open_episodes

pytestmark = pytest.mark.slow
lerobot = pytest.importorskip("lerobot")

CAMERAS = ("observation.images.top", "observation.images.wrist")
LENGTHS = (13, 9, 21)
CODINGS = {
    "AV1": {},
    "H.264": {"vcodec": "h264", "g": 10},
    "H.264 in several files": {"vcodec": "h264", "g": 10},
    "images": None,
}


@pytest.fixture(scope="module", params=CODINGS)
def written(request, tmp_path_factory):
    """A dataset of three episodes and two cameras: the folder, and the library's own reader on it."""
    from lerobot.configs import RGBEncoderConfig
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    options = CODINGS[request.param]
    root = tmp_path_factory.mktemp("lerobot") / "set"
    kind = "image" if options is None else "video"
    features = {
        "observation.state": {"dtype": "float32", "shape": (3,), "names": None},
        "action": {"dtype": "float32", "shape": (2,), "names": None},
        "next.reward": {"dtype": "float32", "shape": (1,), "names": None},
        **{
            camera: {"dtype": kind, "shape": (64, 96, 3), "names": ["height", "width", "channels"]}
            for camera in CAMERAS
        },
    }
    dataset = LeRobotDataset.create(
        "lab/oracle",
        10,
        features,
        root=root,
        use_videos=options is not None,
        rgb_encoder=None if not options else RGBEncoderConfig(**options),
    )
    if "several files" in request.param:
        dataset.meta.update_chunk_settings(data_files_size_in_mb=0.0001, video_files_size_in_mb=0.0001)
    rng = np.random.default_rng(0)
    for episode, length in enumerate(LENGTHS):
        for step in range(length):
            frame = {
                camera: rng.integers(0, 255, (8, 12, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1) for camera in CAMERAS
            }
            frame["observation.state"] = rng.normal(size=3).astype(np.float32)
            frame["action"] = rng.normal(size=2).astype(np.float32)
            frame["next.reward"] = np.array([step], np.float32)
            dataset.add_frame({**frame, "task": f"task {episode % 2}"})
        dataset.save_episode()
    dataset.finalize()
    files = {len(list(root.glob(f"videos/{camera}/*/*.mp4"))) for camera in CAMERAS}
    assert files == {0 if options is None else 3 if "several files" in request.param else 1}
    return root, LeRobotDataset("lab/oracle", root=root, video_backend="pyav", return_uint8=True)


def pixels(tensor):
    array = tensor.numpy()
    array = array if array.dtype == np.uint8 else (array * 255).round().astype(np.uint8)
    return np.moveaxis(array, -3, -1)


def test_every_frame_and_row_is_the_librarys(written):
    root, reference = written
    with open_episodes(root) as dataset:
        assert dataset.missing == ()
        assert [len(episode) for episode in dataset] == list(LENGTHS)
        items = iter(reference[index] for index in range(len(reference)))
        for episode in dataset:
            frames = {camera: episode.frames(camera) for camera in CAMERAS}
            columns = {name: episode.column(name) for name in episode.columns}
            assert set(columns) >= {"observation.state", "action", "next.reward", "timestamp", "task_index"}
            for step in range(len(episode)):
                item = next(items)
                for camera in CAMERAS:
                    assert np.array_equal(frames[camera][step], pixels(item[camera]))
                for name, values in columns.items():
                    assert np.array_equal(values[step], item[name].numpy().reshape(values[step].shape))
                    assert values.dtype == item[name].numpy().dtype
                assert episode.task == item["task"]
        assert next(items, None) is None


def test_windows_in_any_order_are_the_librarys(written):
    root, _ = written
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    steps = [step / 10 for step in range(5)]
    deltas = {"action": steps[:4], **dict.fromkeys(CAMERAS, steps)}
    reference = LeRobotDataset(
        "lab/oracle", root=root, video_backend="pyav", return_uint8=True, delta_timestamps=deltas
    )
    begins = np.cumsum([0, *LENGTHS])
    rng = np.random.default_rng(1)
    with open_episodes(root) as dataset:
        for _ in range(25):
            episode = int(rng.integers(len(LENGTHS)))
            start = int(rng.integers(LENGTHS[episode] - 4))
            item = reference[int(begins[episode]) + start]
            for camera in CAMERAS:
                assert np.array_equal(dataset[episode].frames(camera, start, start + 5), pixels(item[camera]))
            assert np.array_equal(dataset[episode].column("action", start, start + 4), item["action"].numpy())
