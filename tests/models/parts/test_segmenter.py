"""The segmenter says for every pixel whether two pictures differ there, whatever grid it works on."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from models.parts.segmenter import Segmenter

PUBLISHED = (64, 128, 256, 512, 512, 512)


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("widths", [(8, 16), (8, 16, 24)])
def test_every_pixel_gets_one_logit(stride: int, widths: tuple[int, ...]) -> None:
    net = Segmenter(6, widths, stride=stride).eval()
    assert net(torch.zeros(2, 6, 32, 48)).shape == (2, 1, 32, 48)


def test_the_published_form_has_the_published_size_and_cost() -> None:
    with torch.device("meta"):
        net = Segmenter(6, PUBLISHED)
        pictures = torch.empty(1, 6, 256, 256)
    assert sum(parameter.numel() for parameter in net.parameters()) == 28_373_569
    with torch.no_grad(), FlopCounterMode(display=False) as cost:
        net(pictures)
    assert cost.get_total_flops() / 1e9 == pytest.approx(76.0, abs=0.05)


@pytest.mark.parametrize("stride", [1, 4])
def test_it_learns_which_pixels_differ(stride: int) -> None:
    torch.manual_seed(0)
    expected, differs = torch.rand(4, 1, 32, 32), torch.zeros(4, 1, 32, 32)
    for index, (row, column) in enumerate([(3, 5), (9, 20), (17, 2), (22, 13)]):
        differs[index, :, row : row + 7, column : column + 7] = 1
    seen = expected + differs
    net = Segmenter(2, (16, 24), stride=stride)
    optimiser = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(80):
        loss = F.binary_cross_entropy_with_logits(net(torch.cat([seen, expected], 1)), differs)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    found, true = net(torch.cat([seen, expected], 1)) > 0, differs > 0
    assert (found & true).sum() / (found | true).sum() > 0.8
