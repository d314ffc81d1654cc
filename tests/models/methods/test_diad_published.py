"""DiAD as published: a frozen encoder, a guide that starts as its copy, and weights from a folder."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel
from transformers import ResNetConfig, ResNetForImageClassification

from models.methods.diad import PRESETS, PublishedNet, adapted, build
from models.parts.stable_diffusion import untrained_sd_unet
from models.parts.weights import WeightsError
from tests.models.methods.stand_ins import batch, generator, images, save_tiny_vae, stirred


def small_unet() -> UNet2DConditionModel:
    torch.manual_seed(0)
    return UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(8, 8, 16, 16),
        layers_per_block=2,
        down_block_types=(*("CrossAttnDownBlock2D",) * 3, "DownBlock2D"),
        up_block_types=("UpBlock2D", *("CrossAttnUpBlock2D",) * 3),
        cross_attention_dim=6,
        attention_head_dim=2,
        norm_num_groups=4,
    ).eval()


@pytest.fixture(scope="module")
def published() -> PublishedNet:
    """The published net in small, with an imagined training."""
    net = PublishedNet(small_unet(), torch.randn(1, 77, 6, generator=generator(3)))
    return stirred(net.eval())


@pytest.mark.parametrize("scale", [1.0, 9.0, 100.0])
def test_guidance_between_equal_prompts_is_an_exact_no_op(published: PublishedNet, scale: float) -> None:
    x, t = torch.randn(2, 4, 16, 16, generator=generator()), torch.tensor([1, 900])
    hint = torch.rand(2, 3, 128, 128, generator=generator(1))
    with torch.no_grad():
        conditional, unconditional = published(x, t, hint), published(x, t, hint)
    assert torch.equal(unconditional + scale * (conditional - unconditional), published(x, t, hint))


def test_the_published_nets_have_the_published_sizes() -> None:
    with torch.device("meta"):
        net = PublishedNet(untrained_sd_unet(), torch.zeros(1, 77, 768))

    def count(parameters: Any) -> int:
        return sum(parameter.numel() for parameter in parameters)

    assert count(net.guide.fusion.parameters()) == 110_592_000
    assert count(net.guide.copy.parameters()) == 361_279_120
    assert count(net.guide.parameters()) == 471_871_120
    assert count(net.trunk.parameters()) == 859_520_964
    assert count(net.parameters()) == 1_331_392_084
    assert count(one for one in net.parameters() if one.requires_grad) == 982_679_124
    assert count(one for one in net.parameters() if not one.requires_grad) == 348_712_960


def test_the_published_guide_starts_as_a_copy_that_changes_nothing() -> None:
    unet = small_unet()
    net = PublishedNet(unet, torch.randn(1, 77, 6, generator=generator(3))).eval()
    x, t = torch.randn(2, 4, 16, 16, generator=generator()), torch.tensor([1, 900])
    hint = torch.rand(2, 3, 128, 128, generator=generator(1))
    for name, parameter in unet.down_blocks.named_parameters():
        assert torch.equal(parameter, net.guide.copy.down_blocks.get_parameter(name))
    with torch.no_grad():
        plain = unet(x, t, net.prompt.expand(2, -1, -1)).sample
        assert torch.equal(net(x, t, hint), plain)


def test_the_published_hint_reaches_the_decoder_by_the_middle_and_the_last_three_skips(
    published: PublishedNet,
) -> None:
    given: dict[str, Any] = {}
    hook = published.trunk.register_forward_pre_hook(
        lambda _module, _args, kwargs: given.update(kwargs), with_kwargs=True
    )
    x, t = torch.randn(1, 4, 32, 32, generator=generator()), torch.tensor([500])
    with torch.no_grad():
        published(x, t, torch.rand(1, 3, 256, 256, generator=generator(1)))
    hook.remove()
    residuals = given["down_block_additional_residuals"]
    assert len(residuals) == 12
    assert all(not residual.any() for residual in residuals[:9])
    assert all(residual.any() and residual.shape == (1, 16, 4, 4) for residual in residuals[9:])
    assert given["mid_block_additional_residual"].shape == (1, 16, 4, 4)


def test_the_published_trunk_learns_in_its_decoder_only(published: PublishedNet) -> None:
    x, t = torch.randn(1, 4, 16, 16, generator=generator()), torch.tensor([500])
    published.answers(x, t, torch.rand(1, 3, 128, 128))["guided"].square().mean().backward()
    decoder = ("up_blocks.", "conv_norm_out.", "conv_out.")
    for name, parameter in published.trunk.named_parameters():
        assert (parameter.grad is not None) == name.startswith(decoder), name
    assert all(parameter.grad is not None for parameter in published.guide.fusion.parameters())
    assert published.guide.copy.controlnet_down_blocks[6].weight.grad is not None
    assert published.guide.copy.controlnet_down_blocks[5].weight.grad is None  # goes nowhere
    published.zero_grad()


def write_weights(root: Path) -> Path:
    """A made-up folder in the published layout."""
    small_unet().save_pretrained(root / "unet")
    save_tiny_vae(root / "vae")
    ResNetForImageClassification(
        ResNetConfig(embedding_size=8, hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1])
    ).save_pretrained(root / "resnet-50")
    return root


def test_the_published_method_inspects_with_weights_from_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "models.methods.diad.prompt_embedding",
        lambda _path, prompt: torch.full((1, 77, 6), float(len(prompt))),
    )
    config = adapted(PRESETS["paper"], channels=1, products=15, weights=write_weights(tmp_path))
    made = build(dataclasses.replace(config, steps=2)).eval()
    shown = F.interpolate(images(1), scale_factor=2.0)
    found = made.inspect(shown, generator())
    assert found.image.shape == found.map.shape == (1, 1, 128, 128)
    assert torch.isfinite(found.score).all()
    assert set(made.loss(batch(shown), generator())) == {"guided"}
    assert not made.net.prompt.any()  # the prompt is empty


@pytest.mark.parametrize(
    ("part", "remedy"),
    [("unet", "unet.*stable-diffusion-v1-5"), ("vae", "vae.*download"), ("resnet-50", "microsoft/resnet-50")],
)
def test_an_absent_part_of_the_published_weights_says_what_to_download(
    tmp_path: Path, part: str, remedy: str
) -> None:
    root = write_weights(tmp_path)
    (root / part / "config.json").unlink()
    with pytest.raises(WeightsError, match=remedy):
        build(adapted(PRESETS["paper"], channels=3, products=15, weights=root))
