"""DINO's maps are the patch tokens of the chosen blocks, at the picture's size, without the final norm."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import ViTConfig, ViTModel

from models.parts.dino import Dino, load_dino, untrained_vit
from models.parts.weights import WeightsError


def save_tiny_vit(path: Path) -> ViTModel:
    """A made-up ViT with the published one's twelve blocks and patches of 8, for pictures of 32 px."""
    torch.manual_seed(0)
    vit = ViTModel(
        ViTConfig(hidden_size=16, intermediate_size=32, num_attention_heads=2, patch_size=8, image_size=32),
        add_pooling_layer=False,
    )
    with torch.no_grad():
        vit.layernorm.weight.fill_(3.0)  # so that it would be seen
    vit.save_pretrained(path)
    return vit.eval()


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ViTModel]:
    folder = tmp_path_factory.mktemp("dino")
    return folder, save_tiny_vit(folder)


def images(side: int = 64) -> Tensor:
    return torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_the_published_net_has_the_published_size() -> None:
    with torch.device("meta"):
        net = untrained_vit()
    assert sum(parameter.numel() for parameter in net.parameters()) == 85_807_872


def test_maps_are_the_patch_tokens_of_the_blocks_before_the_final_norm(vit: tuple[Path, ViTModel]) -> None:
    folder, made = vit
    x = images()
    with torch.no_grad():
        found = load_dino(folder)(x)
        pixels = ((x + 1) / 2 - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor(
            [0.229, 0.224, 0.225]
        ).view(3, 1, 1)
        tokens = made.embeddings(pixels, interpolate_pos_encoding=True)
        wanted = []
        for number, block in enumerate(made.layers, start=1):
            tokens = block(tokens)
            if number in (3, 6, 9, 12):
                wanted.append(tokens)
    assert len(found) == len(wanted) == 4
    for layer, expected in zip(found, wanted, strict=True):
        assert layer.shape == (2, 16, 8, 8)
        for row, column in ((0, 0), (0, 7), (5, 2)):
            assert torch.allclose(layer[:, :, row, column], expected[:, 1 + 8 * row + column], atol=1e-5)


def test_pictures_need_not_have_the_size_that_it_was_trained_at(vit: tuple[Path, ViTModel]) -> None:
    net = load_dino(vit[0])
    with torch.no_grad():
        assert [layer.shape[-2:] for layer in net(images(32))] == [(4, 4)] * 4
        assert [layer.shape[-2:] for layer in net(images(64)[..., :48])] == [(8, 6)] * 4


def test_the_net_is_frozen(vit: tuple[Path, ViTModel]) -> None:
    net = load_dino(vit[0])
    assert not net.vit.training
    assert not any(parameter.requires_grad for parameter in net.parameters())


def test_blocks_can_be_chosen(vit: tuple[Path, ViTModel]) -> None:
    some, all_ = Dino(vit[1], (2, 3)), load_dino(vit[0])
    with torch.no_grad():
        assert torch.allclose(some(images())[1], all_(images())[0], atol=1e-5)


def test_its_absence_says_what_to_download(vit: tuple[Path, ViTModel], tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"no config\.json of a ViTModel; download .*facebook/dino-vitb8"):
        load_dino(tmp_path / "dino")
    (tmp_path / "config.json").write_bytes((vit[0] / "config.json").read_bytes())
    with pytest.raises(WeightsError, match=r"download .*facebook/dino-vitb8"):
        load_dino(tmp_path)
