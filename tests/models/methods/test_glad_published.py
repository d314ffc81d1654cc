"""GLAD as published: Stable Diffusion's networks, guided by a prompt, with weights from a folder."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from models.methods.glad import PRESETS, Glad, Prompted, adapted, build
from models.parts.codec import StableDiffusionVae
from models.parts.dino import Dino, untrained_vit
from models.parts.stable_diffusion import untrained_sd_unet
from models.parts.weights import WeightsError
from tests.models.methods.stand_ins import batch, generator, images, save_tiny_vae
from tests.models.parts.test_dino import save_tiny_vit
from tests.models.parts.test_stable_diffusion import save_tiny_text, save_tiny_unet


def test_guidance_weighs_the_prompt_against_the_empty_one() -> None:
    class Wordy(nn.Module):
        def forward(self, x: Tensor, t: Tensor, encoder_hidden_states: Tensor) -> Any:
            answer = x * 0 + encoder_hidden_states.mean((1, 2)).view(-1, 1, 1, 1)
            return dataclasses.make_dataclass("Answer", ["sample"])(answer)

    x, t = torch.randn(2, 4, 8, 8, generator=generator()), torch.tensor([3, 4])
    prompted = Prompted(Wordy(), torch.full((1, 77, 8), 2.0), torch.full((1, 77, 8), 1.0), 9.0)
    assert torch.allclose(prompted(x, t), torch.tensor(2.0))
    assert torch.allclose(prompted.guided(x, t), torch.tensor(1 + 9 * (2.0 - 1)))
    same = Prompted(Wordy(), torch.ones(1, 77, 8), torch.ones(1, 77, 8), 9.0)
    assert torch.allclose(same.guided(x, t), same(x, t))


def test_the_published_configuration_can_be_laid_out() -> None:
    with torch.device("meta"):
        vae = AutoencoderKL(
            block_out_channels=(128, 256, 512, 512),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
            latent_channels=4,
        )
        net = Prompted(untrained_sd_unet(), torch.zeros(1, 77, 768), torch.zeros(1, 77, 768), 9.0)
        model = Glad(PRESETS["paper"], StableDiffusionVae(vae), net, Dino(untrained_vit()))
        z, t = torch.zeros(2, 4, 64, 64), torch.tensor([1, 2])
        assert model.net.guided(z, t).shape == z.shape
    assert _millions(vae) == pytest.approx(83.65, abs=0.01)
    assert _millions(net) == pytest.approx(859.52, abs=0.01)


def test_published_weights_are_read_from_one_folder(tmp_path: Path) -> None:
    weights = save_tiny_weights(tmp_path)
    config = adapted(PRESETS["paper"], channels=1, products=1, weights=weights)
    torch.manual_seed(0)
    model = build(dataclasses.replace(config, steps=2, fallback=200, start=400)).eval()
    assert not torch.equal(model.net.prompt, model.net.empty)
    good = images(2)
    model.train()
    model.loss(batch(good, images(2, seed=1)), generator())["residual"].backward()
    trained = {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None}
    assert trained == {"net"}
    model.eval().fit_evidence(good, generator())
    found = model.inspect(good, generator())
    assert found.image.shape == good.shape
    assert torch.isfinite(found.map).all()


def test_absent_published_weights_are_named(tmp_path: Path) -> None:
    config = adapted(PRESETS["paper"], channels=1, products=1, weights=tmp_path)
    with pytest.raises(WeightsError, match=r"no unet/config\.json, vae/.* download .*v1-4 .*--weights"):
        build(config)
    weights = save_tiny_weights(tmp_path)
    (weights / "dino" / "config.json").unlink()
    with pytest.raises(WeightsError, match=r"dino: no config\.json .*download .*dino-vitb8"):
        build(config)


def save_tiny_weights(path: Path) -> Path:
    """A folder in the published layout with made-up models."""
    save_tiny_unet(path)
    save_tiny_text(path)
    save_tiny_vit(path / "dino")
    save_tiny_vae(path / "vae")
    return path


def _millions(module: nn.Module) -> float:
    return sum(parameter.numel() for parameter in module.parameters()) / 1e6
