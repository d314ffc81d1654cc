"""DiAD's semantic guide: an encoder that looks at the input and speaks only at the coarsest level.

DiAD (AAAI 2024). A guide that reached finer levels could hand the input through, defects and all; the
few cells of the bottleneck hold what a part is, not each of its pixels. All of it starts by adding 0.
"""

from __future__ import annotations

import itertools
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from models.parts.unet import Block, sinusoid

FUSION_EPS = 1.0  # with the published 1e-5 a map of zeros has gain 316, and one step of Adam makes it noise
PUBLISHED_EPS = 1e-5
HINT_CHANNELS = (16, 32, 96, 256)  # of the published hint block


class FeatureFusion(nn.Module):
    """Spatial-aware feature fusion: finer maps, shrunk and normalised, join each of the coarse maps.

    coarse_k = SiLU(coarse_k + sum_i SiLU(norm(D_ik(fine_i)))), D a 3x3 convolution of stride 2 from zero.
    """

    def __init__(self, fine: tuple[int, ...], coarse: int, count: int, eps: float = FUSION_EPS) -> None:
        super().__init__()
        self.shrink = nn.ModuleList(
            zeroed(nn.Conv2d(c, coarse, 3, stride=2, padding=1, bias=False))
            for _ in range(count)
            for c in fine
        )
        self.norm = nn.InstanceNorm2d(coarse, eps=eps)

    def forward(self, fine: list[Tensor], coarse: list[Tensor]) -> list[Tensor]:
        """`fine` (B, c_i, 2h, 2w) and `coarse` (B, coarse, h, w) to fused (B, coarse, h, w)."""
        fused = []
        for k, x in enumerate(coarse):
            own = self.shrink[k * len(fine) : (k + 1) * len(fine)]
            for shrink, source in zip(own, fine, strict=True):
                x = x + F.silu(self.norm(shrink(source)))
            fused.append(F.silu(x))
        return fused


class Guide(nn.Module):
    """The noisy latent and the hint, both (B, channels, H, W), to one map to add at a U-Net's bottleneck.

    A second encoder of `UNet`'s shape with its own time embedding; the hint joins after the stem.
    """

    def __init__(self, channels: int, widths: tuple[int, ...], *, time_width: int = 64) -> None:
        super().__init__()
        embedded = 4 * time_width
        first, last = widths[0], widths[-1]
        self.time = nn.Sequential(nn.Linear(time_width, embedded), nn.SiLU(), nn.Linear(embedded, embedded))
        self.time_width = time_width
        self.hint = nn.Sequential(
            nn.Conv2d(channels, first, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(first, first, 3, padding=1),
            nn.SiLU(),
            zeroed(nn.Conv2d(first, first, 3, padding=1)),
        )
        self.stem = nn.Conv2d(channels, first, 3, padding=1)
        pairs = list(itertools.pairwise(widths))
        self.down = nn.ModuleList(Block(a, a, embedded) for a, _ in pairs)
        self.shrink = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairs)
        self.middle = nn.ModuleList(Block(last, last, embedded) for _ in range(2))
        self.out = nn.ModuleList(zeroed(nn.Conv2d(last, last, 1)) for _ in range(3))
        self.fusion = FeatureFusion((widths[-2], widths[-2]), last, count=2)

    def forward(self, x: Tensor, t: Tensor, hint: Tensor) -> Tensor:
        """(B, widths[-1], h, w), exactly 0 before training."""
        embedding = self.time(sinusoid(t.to(x.device), self.time_width).to(x.dtype))
        x = self.stem(x) + self.hint(hint)
        fine = [x]
        for block, shrink in zip(self.down, self.shrink, strict=True):
            fine = [x, block(x, embedding)]
            x = shrink(fine[-1])
        coarse = [x]
        for block in self.middle:
            coarse.append(block(coarse[-1], embedding))
        *outer, middle = (out(one) for out, one in zip(self.out, coarse, strict=True))
        answer: Tensor = middle + sum(self.fusion(fine, outer))
        return answer


class PublishedGuide(nn.Module):
    """The published guide, 471.87 M parameters: a copy of the Stable Diffusion encoder, and the fusion.

    Of its thirteen outputs only the middle and the last three leave it. Outputs 6 to 8 feed the fusion
    alone: their convolutions start as identities, because from two zeros in a row no gradient leads away.
    """

    def __init__(self, unet: Any) -> None:
        super().__init__()
        from diffusers import ControlNetModel

        self.copy: Any = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=HINT_CHANNELS)
        for conv in self.copy.controlnet_down_blocks[6:9]:
            nn.init.dirac_(conv.weight)
        *_, above, fine, coarse = unet.config.block_out_channels
        self.fusion = FeatureFusion((above, fine, fine), coarse, count=3, eps=PUBLISHED_EPS)

    def forward(self, x: Tensor, t: Tensor, hint: Tensor, prompts: Tensor) -> tuple[Tensor, list[Tensor]]:
        """What to add to the middle block's answer, and to the last three skips."""
        outputs, middle = self.copy(x, t, prompts, controlnet_cond=hint, return_dict=False)
        return middle, self.fusion(list(outputs[6:9]), list(outputs[9:]))


def zeroed(conv: nn.Conv2d) -> nn.Conv2d:
    """The same convolution with all its weights at zero."""
    for parameter in conv.parameters():
        nn.init.zeros_(parameter)
    return conv
