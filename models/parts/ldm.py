"""What the latent-diffusion code of 2022 calls the weights that `diffusers` has under other names.

DeCo-Diff, DiAD and the first Stable Diffusion were published in that layout. A stage there is a run of blocks
with one count: a level has LAYERS of them, then one that halves (`input_blocks`), or LAYERS + 1, the last of
which doubles (`output_blocks`). The tables are read from diffusers' names to those; each weight has one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from torch import Tensor

LAYERS = 2  # residual blocks of a level
PER_LEVEL = LAYERS + 1

RESIDUAL = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
ENDS = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "controlnet_mid_block": "middle_block_out.0",
    "controlnet_cond_embedding.conv_in": "input_hint_block.0",
}
VAE_RESIDUAL = {"conv_shortcut": "nin_shortcut"}
VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
POINTWISE = re.compile(r"mid\.attn_1\.(q|k|v|proj_out)\.weight$")


def unet_names(own: Iterable[str]) -> dict[str, str]:
    """For each weight of a UNet2DConditionModel or a ControlNetModel its name in the older layout."""
    names = list(own)
    attends = {name.split(".")[1] for name in names if re.match(r"up_blocks\.\d+\.attentions\.", name)}
    hints = sum(bool(re.match(r"controlnet_cond_embedding\.blocks\.\d+\.weight", name)) for name in names)
    return {name: _of_unet(name, attends, hints) for name in names}


def vae_names(own: Iterable[str]) -> dict[str, str]:
    """For each weight of an AutoencoderKL its name in the older layout."""
    names = list(own)
    levels = 1 + max(
        int(found[1]) for name in names if (found := re.match(r"decoder\.up_blocks\.(\d+)", name))
    )
    return {name: _of_vae(name, levels) for name in names}


def pointwise_as_linear(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A VAE's attention had convolutions of 1 x 1, (C, C, 1, 1), which are linear layers now, (C, C)."""
    return {
        name: one[..., 0, 0] if POINTWISE.search(name) and one.ndim == 4 else one
        for name, one in tensors.items()
    }


def _of_unet(name: str, attends: set[str], hints: int) -> str:
    part, kind = name.rsplit(".", 1)
    if part in ENDS:
        return f"{ENDS[part]}.{kind}"
    if part == "controlnet_cond_embedding.conv_out":
        return f"input_hint_block.{2 * (hints + 1)}.{kind}"
    if found := re.match(r"controlnet_cond_embedding\.blocks\.(\d+)$", part):
        return f"input_hint_block.{2 * (int(found[1]) + 1)}.{kind}"
    if found := re.match(r"controlnet_down_blocks\.(\d+)$", part):
        return f"zero_convs.{found[1]}.0.{kind}"
    found = re.match(r"(?:(down|up)_blocks\.(\d+)|(mid)_block)\.(\w+)\.(\d+)\.(.+)$", name)
    if found is None:
        return name
    side, level, middle, what, index, rest = found.groups()
    at, place = int(level or 0), int(index)
    if middle:
        return f"middle_block.{2 * place if what == 'resnets' else 1}.{_inner(what, rest)}"
    if what == "downsamplers":
        return f"input_blocks.{PER_LEVEL * (at + 1)}.0.{rest.replace('conv', 'op', 1)}"
    if what == "upsamplers":
        return f"output_blocks.{PER_LEVEL * at + LAYERS}.{2 if level in attends else 1}.{rest}"
    block = (
        f"input_blocks.{1 + PER_LEVEL * at + place}"
        if side == "down"
        else f"output_blocks.{PER_LEVEL * at + place}"
    )
    return f"{block}.{0 if what == 'resnets' else 1}.{_inner(what, rest)}"


def _inner(what: str, rest: str) -> str:
    if what != "resnets":
        return rest  # transformers have kept their names
    part, kind = rest.rsplit(".", 1)
    return f"{RESIDUAL.get(part, part)}.{kind}"


def _of_vae(name: str, levels: int) -> str:
    found = re.match(r"(encoder|decoder)\.(.+)\.(weight|bias)$", name)
    if found is None:
        return name  # quant_conv, post_quant_conv
    half, part, kind = found.groups()
    if inner := re.match(r"(?:down|up)_blocks\.(\d+)\.(?:down|up)samplers\.0\.conv$", part):
        side, at = _vae_level(half, int(inner[1]), levels)
        part = f"{side}.{at}.{side}sample.conv"
    elif inner := re.match(r"(?:down|up)_blocks\.(\d+)\.resnets\.(\d+)\.(\w+)$", part):
        side, at = _vae_level(half, int(inner[1]), levels)
        part = f"{side}.{at}.block.{inner[2]}.{VAE_RESIDUAL.get(inner[3], inner[3])}"
    elif inner := re.match(r"mid_block\.resnets\.(\d+)\.(\w+)$", part):
        part = f"mid.block_{int(inner[1]) + 1}.{VAE_RESIDUAL.get(inner[2], inner[2])}"
    elif inner := re.match(r"mid_block\.attentions\.0\.(.+)$", part):
        part = f"mid.attn_1.{VAE_ATTENTION.get(inner[1], inner[1])}"
    elif part == "conv_norm_out":
        part = "norm_out"
    return f"{half}.{part}.{kind}"


def _vae_level(half: str, index: int, levels: int) -> tuple[str, int]:
    """The decoder's levels were counted from the finest."""
    return ("down", index) if half == "encoder" else ("up", levels - 1 - index)
