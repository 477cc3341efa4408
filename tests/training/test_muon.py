import pytest
import torch

from cosmos_robot.training.muon import Muon, orthogonalised


@pytest.mark.parametrize("shape", [(12, 40), (40, 12), (16, 16)])
def test_singular_values_come_near_one(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 7
    values = torch.linalg.svdvals(orthogonalised(matrix).float())
    assert values.min() > 0.5
    assert values.max() < 1.4


def test_a_kernel_is_fitted():
    generator = torch.Generator().manual_seed(0)
    wanted = torch.randn(4, 3, 3, 3, generator=generator) * 0.3
    kernel = torch.nn.Parameter(torch.zeros(4, 3, 3, 3))
    optimizer = Muon([kernel], lr=0.05)
    inputs = torch.randn(16, 3, 8, 8, generator=generator)
    target = torch.nn.functional.conv2d(inputs, wanted)
    losses = []
    for step in range(80):
        optimizer.param_groups[0]["lr"] = 0.05 * (1 - step / 80)
        loss = (torch.nn.functional.conv2d(inputs, kernel) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.02 * losses[0]
