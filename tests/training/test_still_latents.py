import pytest
import torch

from cosmos_robot.training.still_latents import drift, still_cells


def test_a_cell_is_still_until_something_moves_in_or_beside_it():
    pixels = torch.zeros(1, 3, 9, 64, 64)
    pixels[:, :, 6:, 4, 4] = 1.0  # in the first cell, after the second latent frame
    pixels[:, :, 2:, 40, 40] = 0.01  # a level or so: nothing
    still = still_cells(pixels, 16)
    assert still.shape == (1, 2, 4, 4)
    assert still[0, 0].all()
    assert still[0, 1].sum() == 15
    assert still[0, 1, 0, 0] == 0
    pixels[:, :, 1:, 20, 20] = 1.0  # near a corner of the cell at 1, 1: also beside three others
    assert (still_cells(pixels, 16)[0, 0] == 0).nonzero().tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]


def test_what_moved_once_is_not_still_again():
    pixels = torch.zeros(1, 3, 13, 32, 32)
    pixels[:, :, 2, 4, 4] = 1.0
    assert still_cells(pixels, 16)[0, :, 0, 0].tolist() == [0, 0, 0]


def test_drift_is_that_of_still_cells_whatever_the_scale():
    latents = torch.randn(2, 4, 1, 3, 3, generator=torch.Generator().manual_seed(0)).repeat(1, 1, 3, 1, 1)
    still = torch.ones(2, 2, 3, 3)
    assert drift(latents, still) == 0.0
    latents[:, :, 1:, 0, 0] += 1.0
    still[:, :, 0, 0] = 0.0
    assert drift(latents, still) == 0.0
    still[:] = 1.0
    found = drift(latents, still)
    assert found > 0.0
    scale = torch.tensor([0.1, 3.0, 50.0, 1.0]).view(1, -1, 1, 1, 1)
    assert float(drift(latents * scale, still)) == pytest.approx(float(found), rel=1e-5)


def test_nothing_still_is_no_drift():
    assert drift(torch.randn(1, 2, 2, 2, 2), torch.zeros(1, 1, 2, 2)) == 0.0
