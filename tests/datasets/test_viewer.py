"""Rerun recordings are read back with rerun's own reader."""

import io
import sys

import numpy as np
import pytest

pytest.importorskip("rerun", reason="the extra viz")

from PIL import Image
from recorded_episode import RecordedEpisode
from rerun.experimental import RrdReader

from cosmos_robot.datasets.viewer import save_episode
from cosmos_robot.errors import EpisodeError, MissingDependencyError

LENGTH = 70  # more than the frames that are sent at once


def episode(**options):
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[0:48, 0:64]
    frames = np.stack([np.stack([rows * 5, columns * 3, np.full_like(rows, 3 * i)], -1) for i in range(LENGTH)])
    return RecordedEpisode(
        {
            "action": rng.normal(size=(LENGTH, 2)),
            "predicted.action": rng.normal(size=(LENGTH, 2)).astype(np.float32),
            "predicted.alone": rng.normal(size=LENGTH),
            "obs/box (m)": rng.normal(size=(LENGTH, 1, 2)),
            "frame_index": np.arange(LENGTH),
        },
        {"cam": frames.astype(np.uint8), "predicted.cam": frames[::-1].astype(np.uint8)},
        fps=5,
        task="push the T",
        **options,
    )


def read(path):
    """Rows of each entity, put together over its chunks: `{entity: {name: values}}`."""
    found = {}
    for chunk in RrdReader(path).stream().to_chunks():
        for name, values in chunk.to_record_batch().to_pydict().items():
            found.setdefault(chunk.entity_path, {}).setdefault(name, []).extend(values)
    return found


def test_a_recording_holds_what_the_episode_does(tmp_path):
    save_episode(episode(), tmp_path / "a.rrd")
    assert [path.name for path in tmp_path.iterdir()] == ["a.rrd"]
    found, original = read(tmp_path / "a.rrd"), episode()
    assert found["/task"]["TextDocument:text"] == [["push the T"]]
    curves = {
        **{f"/columns/action/{i}/recorded": original.column("action")[:, i] for i in range(2)},
        **{f"/columns/action/{i}/predicted": original.column("predicted.action")[:, i] for i in range(2)},
        "/columns/predicted.alone/0/recorded": original.column("predicted.alone"),
        **{rf"/columns/obs\/box\ \(m\)/{i}/recorded": original.column("obs/box (m)")[:, 0, i] for i in range(2)},
    }
    assert {name for name in found if name.startswith("/columns")} == set(curves)
    for name, values in curves.items():
        assert found[name]["step"] == list(range(LENGTH))
        assert np.array_equal(np.ravel(found[name]["Scalars:scalars"]), values), name
    assert found["/columns/action/0/recorded"]["time"][7].total_seconds() == pytest.approx(7 / 5)
    for name, camera in (("/cameras/cam/recorded", "cam"), ("/cameras/cam/predicted", "predicted.cam")):
        assert found[name]["step"] == list(range(LENGTH))
        for step in (0, 63, 64, LENGTH - 1):
            picture = np.asarray(Image.open(io.BytesIO(bytes(found[name]["EncodedImage:blob"][step][0]))))
            assert np.abs(picture.astype(int) - original.frames(camera)[step]).mean() < 3


def test_an_episode_that_cannot_be_read_leaves_no_file(tmp_path):
    with pytest.raises(EpisodeError, match="frame 66 does not decode"):
        save_episode(episode(broken={66}), tmp_path / "a.rrd")
    assert list(tmp_path.iterdir()) == []


def test_without_rerun(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rerun", None)
    with pytest.raises(MissingDependencyError, match=r"cosmos-robot\[viz\]"):
        save_episode(episode(), tmp_path / "a.rrd")
    assert list(tmp_path.iterdir()) == []
