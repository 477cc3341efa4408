"""Windows behind torch's data loader: with and without workers, however they are started."""

import numpy as np
import pytest
import torch
from recorded_episode import RecordedEpisode, RecordedEpisodes, numbered_pictures
from torch.utils.data import DataLoader

from cosmos_robot.datasets.window_dataset import WindowDataset
from cosmos_robot.datasets.windows import windows
from cosmos_robot.domains.registry import get_domain

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")  # on a machine of one core
CHUNK = 4


def dataset(broken=(), **options):
    episodes = [
        RecordedEpisode(
            {"action": np.arange(length)[:, None] + [0.0, 100.0 * number]},
            {"observation.image": numbered_pictures(length)},
            index=number,
            task=f"task {number}",
            broken=broken if number == 0 else (),
        )
        for number, length in enumerate((9, 12, 7))
    ]
    on_error = "skip" if broken else "raise"
    return WindowDataset(windows(RecordedEpisodes(episodes), "pusht", CHUNK, on_error=on_error), **options)


def places(loader):
    return sorted((e, s) for batch in loader for e, s in zip(batch.episode.tolist(), batch.start.tolist(), strict=True))


EVERY = [(0, s) for s in range(5)] + [(1, s) for s in range(8)] + [(2, s) for s in range(3)]


def test_it_says_what_it_is():
    shown = repr(dataset(action_space="model"))
    assert shown == "<dataset of <16 windows of 4 actions at 10 fps, domain 'pusht'>, in model space>"


def test_a_batch():
    batch = next(iter(DataLoader(dataset(), batch_size=6)))
    assert batch.frames.shape == (6, CHUNK + 1, 16, 32, 3)
    assert batch.frames.dtype == torch.uint8
    assert (batch.actions.shape, batch.actions.dtype) == ((6, CHUNK, 2), torch.float32)
    assert batch.actions[5].tolist() == [[0, 100], [1, 101], [2, 102], [3, 103]]
    assert list(batch.prompt) == ["task 0"] * 5 + ["task 1"]
    assert batch.state.shape == (6, 0)


def test_model_space_is_normalised_and_padded():
    robot, model = dataset(), dataset(action_space="model", action_dim=64)
    expected = get_domain("pusht").encode(robot[7].actions, action_dim=64).values
    np.testing.assert_array_equal(model[7].actions, expected)
    assert model[7].actions.shape == (CHUNK, 64)


@pytest.mark.parametrize(
    ("workers", "start"),
    [
        (0, None),
        pytest.param(2, "fork", marks=pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")),
        pytest.param(2, "spawn", marks=pytest.mark.slow),
        pytest.param(2, "forkserver", marks=pytest.mark.slow),
    ],
)
def test_every_window_once_and_what_was_skipped(workers, start):
    whole = DataLoader(dataset(), batch_size=3, shuffle=True, num_workers=workers, multiprocessing_context=start)
    assert places(whole) == EVERY
    damaged = dataset(broken={6})
    loader = DataLoader(damaged, batch_size=3, num_workers=workers, multiprocessing_context=start)
    seen = places(loader)
    assert len(seen) == len(EVERY)
    assert set(seen) == set(EVERY) - {(0, 2), (0, 3), (0, 4)}
    assert [(s.episode, s.start) for s in damaged.skipped] == [(0, 2), (0, 3), (0, 4)]
    assert "frame 6 does not decode" in damaged.skipped[0].reason


def test_what_was_skipped_is_gone_with_the_dataset():
    damaged = dataset(broken={6})
    path = damaged._windows._log._path
    damaged[3]
    assert path.exists()
    del damaged
    assert not path.exists()
