"""The older layout's names are those that diffusers' own converter knows, and the nets answer alike."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
from diffusers.loaders.single_file_utils import (
    convert_controlnet_checkpoint,
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
)
from torch import Tensor

from models.methods.decodiff import PRESETS, PublishedUNet
from models.parts.ldm import pointwise_as_linear, unet_names, vae_names
from models.parts.stable_diffusion import untrained_sd_unet
from models.parts.weights import fill
from tests.models.methods.stand_ins import save_tiny_vae, stirred
from tests.models.parts.ldm import LdmUNet

UNET = "model.diffusion_model."


def same(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> bool:
    return found.keys() == wanted.keys() and all(found[name] is wanted[name] for name in wanted)


def in_older_layout(state: dict[str, Tensor], names: dict[str, str], prefix: str = "") -> dict[str, Tensor]:
    older = {prefix + names[name]: one for name, one in state.items()}
    assert len(older) == len(state)  # no two weights have one name
    return older


def test_diffusers_own_converter_undoes_the_names_of_both_published_unets() -> None:
    with torch.device("meta"):
        nets: list[UNet2DConditionModel] = [untrained_sd_unet(), PublishedUNet(PRESETS["paper"]).net]
    for net in nets:
        state = net.state_dict()
        older = in_older_layout(state, unet_names(state), UNET)
        assert same(convert_ldm_unet_checkpoint(older, net.config), state)


def test_diffusers_own_converter_undoes_the_names_of_the_guide() -> None:
    with torch.device("meta"):
        net = ControlNetModel.from_unet(
            untrained_sd_unet(),
            conditioning_embedding_out_channels=(16, 32, 96, 256),
            load_weights_from_unet=False,
        )
    state = net.state_dict()
    older = in_older_layout(state, unet_names(state))
    assert "input_hint_block.14.weight" in older
    assert same(convert_controlnet_checkpoint(older, net.config), state)


def test_diffusers_own_converter_undoes_the_names_of_the_vae(tmp_path: Path) -> None:
    net: AutoencoderKL = save_tiny_vae(tmp_path)
    state = net.state_dict()
    older = in_older_layout(state, vae_names(state))
    for name in ("q", "k", "v", "proj_out"):
        for half in ("encoder", "decoder"):
            key = f"{half}.mid.attn_1.{name}.weight"
            older[key] = older[key][:, :, None, None]
    linear = pointwise_as_linear(older)
    assert {name: one.shape for name, one in linear.items()} == {
        vae_names(state)[name]: one.shape for name, one in state.items()
    }
    found = convert_ldm_vae_checkpoint(older, net.config)
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], state[name]) for name in state)


def test_a_net_in_the_older_layout_answers_as_ours_with_its_weights() -> None:
    torch.manual_seed(0)
    older = stirred(LdmUNet(channels=32, levels=(1, 2, 2), context=24, head=32).eval())
    net = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(32, 64, 64),
        layers_per_block=2,
        down_block_types=("CrossAttnDownBlock2D",) * 3,
        up_block_types=("CrossAttnUpBlock2D",) * 3,
        cross_attention_dim=24,
        attention_head_dim=(1, 2, 2),
        in_channels=4,
        out_channels=4,
    ).eval()
    fill(net, older.state_dict(), Path("last.pt"), "", unet_names(net.state_dict()))
    rng = torch.Generator().manual_seed(1)
    x, words, t = (
        torch.randn(2, 4, 8, 8, generator=rng),
        torch.randn(2, 3, 24, generator=rng),
        torch.tensor([0, 9]),
    )
    with torch.no_grad():
        wanted, found = older(x, t, words), net(x, t, encoder_hidden_states=words).sample
    assert wanted.std() > 0.05
    assert torch.allclose(found, wanted, atol=5e-6)
