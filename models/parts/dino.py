"""DINO ViT-B/8 as a frozen feature pyramid through `transformers` (Caron et al. 2021)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.parts.weights import WeightsError, load_folder

BLOCKS = (3, 6, 9, 12)  # whose outputs GLAD compares, counted from 1
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_SPREAD = (0.229, 0.224, 0.225)


class Dino(nn.Module):
    """RGB (B, 3, H, W) in [-1, 1] to one map per chosen block, (B, 768, H / 8, W / 8).

    Maps are patch tokens before the final LayerNorm; position embeddings are resampled to the picture.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, vit: Any, blocks: tuple[int, ...] = BLOCKS) -> None:
        super().__init__()
        self.vit = vit
        self.vit.layernorm = nn.Identity()  # some releases of transformers put it into the last state
        self.blocks = blocks
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("spread", torch.tensor(IMAGENET_SPREAD).view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> list[Tensor]:
        patch = self.vit.config.patch_size
        rows, columns = images.shape[-2] // patch, images.shape[-1] // patch
        pixels = ((images + 1) / 2 - self.mean) / self.spread
        states = self.vit(pixels, output_hidden_states=True, interpolate_pos_encoding=True).hidden_states
        # Without the class token, (B, h * w, 768) to (B, 768, h, w).
        return [states[k][:, 1:].transpose(1, 2).unflatten(2, (rows, columns)) for k in self.blocks]


def untrained_vit() -> Any:
    """The published ViT-B/8 without its weights: 85.81 M parameters."""
    from transformers import ViTConfig, ViTModel

    return ViTModel(ViTConfig(patch_size=8), add_pooling_layer=False)


def load_dino(path: Path) -> Dino:
    """The frozen network of a `transformers` ViTModel folder.

    Raises WeightsError saying what to download when `path` has none, or not all; pickles are not read.
    """
    remedy = f"download the folder of facebook/dino-vitb8 as safetensors to {path}"
    if not (path / "config.json").is_file():
        raise WeightsError(f"{path}: no config.json of a ViTModel; {remedy}")
    from transformers import ViTModel

    vit = load_folder(ViTModel, path, remedy, spare=("pooler.",), add_pooling_layer=False)
    return Dino(vit.requires_grad_(False))
