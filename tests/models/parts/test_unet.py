from __future__ import annotations

import torch

from models.parts.unet import UNet


def picture(channels: int = 3) -> torch.Tensor:
    return torch.randn(2, channels, 16, 16, generator=torch.Generator().manual_seed(0))


def test_an_untrained_net_answers_zero() -> None:
    for shared in (False, True):
        net = UNet(3, (8, 16), shared=shared)
        assert not net(picture(), torch.tensor([0, 999])).any()


def test_a_shared_net_can_answer_with_a_share_of_each_channel() -> None:
    net = UNet(3, (8, 16), shared=True)
    shares = torch.tensor([0.5, 1.0, 2.0])
    with torch.no_grad():
        assert net.share is not None
        net.share.bias.copy_(shares)
        answer = net(picture(), torch.tensor([0, 999]))
    assert torch.allclose(answer, shares.view(1, 3, 1, 1) * picture())


def test_an_unknown_product_steers_like_none_at_all() -> None:
    net = UNet(3, (8, 16), products=2)
    torch.nn.init.normal_(net.head.weight)
    torch.nn.init.normal_(net.products.weight)
    t = torch.tensor([5, 5])
    with torch.no_grad():
        assert torch.equal(net(picture(), t, torch.tensor([-1, -1])), net(picture(), t))
        assert not torch.allclose(net(picture(), t, torch.tensor([0, 1])), net(picture(), t))
