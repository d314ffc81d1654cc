"""Stable Diffusion 1.x from a folder in the `diffusers` layout: the U-Net, and prompts as constants.

The folder has `unet/`, `vae/`, `text_encoder/` and `tokenizer/`; the VAE is read by `codec.load_sd_vae`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.parts.weights import WeightsError, load_folder

LATENT_CHANNELS = 4
PROMPT_TOKENS = 77
REMEDY = (
    "download the folder of a Stable Diffusion 1.x model in the diffusers layout with safetensors "
    "(CompVis/stable-diffusion-v1-4 for GLAD, stable-diffusion-v1-5/stable-diffusion-v1-5 for DiAD) "
    "and give its path with --weights"
)
NEEDED = {
    "unet": ("config.json",),
    "vae": ("config.json",),
    "text_encoder": ("config.json",),
    "tokenizer": ("vocab.json", "merges.txt"),
}


def require_parts(path: Path, parts: Sequence[str]) -> None:
    """Raises WeightsError that names every file of `parts` (of NEEDED) that is absent below `path`."""
    names = [f"{part}/{name}" for part in parts for name in NEEDED[part]]
    absent = [name for name in names if not (path / name).is_file()]
    if absent:
        raise WeightsError(f"{path}: no {', '.join(absent)}; {REMEDY}")


def untrained_sd_unet() -> Any:
    """The published U-Net, a UNet2DConditionModel of 859.52 M parameters, without its weights."""
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(  # type: ignore[no-untyped-call]
        sample_size=64,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=(320, 640, 1280, 1280),
        layers_per_block=2,
        down_block_types=(*("CrossAttnDownBlock2D",) * 3, "DownBlock2D"),
        up_block_types=("UpBlock2D", *("CrossAttnUpBlock2D",) * 3),
        cross_attention_dim=768,
        attention_head_dim=8,  # the number of heads, whatever the name says: SD 1.x predates the right one
    )


def sd_unet(path: Path) -> Any:
    """The U-Net of `path/unet`, a UNet2DConditionModel in training mode. Raises WeightsError."""
    require_parts(path, ["unet"])
    from diffusers import UNet2DConditionModel

    return load_folder(UNet2DConditionModel, path / "unet", REMEDY, low_cpu_mem_usage=False).train()


def prompt_embedding(path: Path, prompt: str) -> Tensor:
    """CLIP's last hidden state of the padded prompt, (1, 77, 768). Raises WeightsError."""
    require_parts(path, ["text_encoder", "tokenizer"])
    from transformers import CLIPTextModel, CLIPTokenizer

    try:
        tokenizer = CLIPTokenizer.from_pretrained(str(path / "tokenizer"), local_files_only=True)
    except OSError as error:
        raise WeightsError(f"{path}: {error} {REMEDY}") from error
    # Older releases kept the positions 0 to 76 as a weight.
    encoder = load_folder(
        CLIPTextModel, path / "text_encoder", REMEDY, spare=("text_model.embeddings.position_ids",)
    )
    tokens = tokenizer(
        prompt, padding="max_length", max_length=PROMPT_TOKENS, truncation=True, return_tensors="pt"
    )
    with torch.no_grad():
        embedding: Tensor = encoder(tokens["input_ids"]).last_hidden_state
    return embedding.detach()
