"""Whether two datasets are the same on the disk."""

import numpy as np

from cosmos_robot.datasets.video import read_video


def assert_same_files(folder, other):
    """Byte by byte; of videos the frames, to within a grey level: an encoder's threads may make other bytes."""
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert names == {str(path.relative_to(other)) for path in other.rglob("*") if path.is_file()}
    for name in names:
        if name.endswith(".mp4"):
            frames, others = (read_video(root / name)[0].astype(np.int16) for root in (folder, other))
            assert frames.shape == others.shape
            assert np.abs(frames - others).mean() < 1.0, name
        else:
            assert (folder / name).read_bytes() == (other / name).read_bytes(), name
