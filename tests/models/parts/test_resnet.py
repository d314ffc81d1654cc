"""ResNet-50's first three stages come from a Hugging Face folder, whose absence is an error."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import ResNetConfig, ResNetForImageClassification

from models.parts.resnet import load_resnet50, untrained_resnet50
from models.parts.weights import WeightsError

WEIGHTS = "model.safetensors"


@pytest.fixture
def made(tmp_path: Path) -> tuple[Path, ResNetForImageClassification]:
    torch.manual_seed(0)
    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16, 24, 32], depths=[1, 2, 1, 1], num_labels=3)
    net = ResNetForImageClassification(config).eval()
    net.save_pretrained(tmp_path / "resnet-50")
    return tmp_path / "resnet-50", net


def test_three_stages_are_the_published_net_s_on_imagenet_colours(
    made: tuple[Path, ResNetForImageClassification],
) -> None:
    folder, net = made
    features = load_resnet50(folder)
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    with torch.no_grad():
        found = features(images)
        expected = net((((images + 1) / 2) - mean) / std, output_hidden_states=True).hidden_states[1:4]
    assert [level.shape for level in found] == [(2, 8, 16, 16), (2, 16, 8, 8), (2, 24, 4, 4)]
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(found, expected, strict=True))


def test_the_features_are_frozen(made: tuple[Path, ResNetForImageClassification]) -> None:
    features = load_resnet50(made[0])
    assert not features.training
    assert not any(parameter.requires_grad for parameter in features.parameters())


def test_the_published_pyramid_has_the_published_size() -> None:
    with torch.device("meta"):
        features = untrained_resnet50()
        found = features(torch.zeros(1, 3, 256, 256))
    assert sum(parameter.numel() for parameter in features.parameters()) == 8_543_296
    assert [level.shape[1:] for level in found] == [(256, 64, 64), (512, 32, 32), (1024, 16, 16)]


@pytest.mark.parametrize("absent", ["config.json", WEIGHTS])
def test_an_absent_file_says_what_to_download(
    made: tuple[Path, ResNetForImageClassification], absent: str
) -> None:
    (made[0] / absent).unlink()
    with pytest.raises(WeightsError, match=rf"no {absent} of a ResNet; download .*microsoft/resnet-50"):
        load_resnet50(made[0])


def test_a_damaged_file_says_what_to_download(made: tuple[Path, ResNetForImageClassification]) -> None:
    (made[0] / WEIGHTS).write_bytes(b"not weights")
    with pytest.raises(WeightsError, match=r"download .*microsoft/resnet-50"):
        load_resnet50(made[0])


def test_weights_that_lack_a_layer_are_an_error(made: tuple[Path, ResNetForImageClassification]) -> None:
    state = load_file(made[0] / WEIGHTS)
    lost = min(state)
    save_file(
        {key: value for key, value in state.items() if key != lost}, made[0] / WEIGHTS, {"format": "pt"}
    )
    with pytest.raises(WeightsError, match=f"lacks 1 weights: {lost}; download"):
        load_resnet50(made[0])
