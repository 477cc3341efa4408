import torch
from torch import nn

from cosmos_robot.training.weight_blend import blend


def test_a_quarter_of_the_way_back():
    model, earlier = nn.Linear(3, 2), nn.Linear(3, 2).double()
    weight, before = model.weight.detach().clone(), earlier.weight.detach().float()
    blend(model, earlier, 0.25)
    torch.testing.assert_close(model.weight.detach(), 0.75 * weight + 0.25 * before)
    blend(model, earlier, 1.0)
    torch.testing.assert_close(model.bias.detach(), earlier.bias.detach().float())
