"""The U-Net of the latent-diffusion code, as its papers and its names describe it, to compare with."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Residual(nn.Module):
    def __init__(self, inputs: int, outputs: int, embedded: int) -> None:
        super().__init__()
        self.in_layers = nn.Sequential(
            nn.GroupNorm(32, inputs), nn.SiLU(), nn.Conv2d(inputs, outputs, 3, padding=1)
        )
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(embedded, outputs))
        self.out_layers = nn.Sequential(
            nn.GroupNorm(32, outputs), nn.SiLU(), nn.Dropout(0.0), nn.Conv2d(outputs, outputs, 3, padding=1)
        )
        self.skip_connection = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor, embedding: Tensor, words: Tensor) -> Tensor:
        h = self.in_layers(x) + self.emb_layers(embedding)[..., None, None]
        answer: Tensor = self.skip_connection(x) + self.out_layers(h)
        return answer


class Attention(nn.Module):
    def __init__(self, width: int, context: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k, self.to_v = (nn.Linear(context, width, bias=False) for _ in range(2))
        self.to_out = nn.Sequential(nn.Linear(width, width), nn.Dropout(0.0))

    def forward(self, x: Tensor, words: Tensor) -> Tensor:
        q, k, v = (
            one.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for one in (self.to_q(x), self.to_k(words), self.to_v(words))
        )
        weights = (q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])).softmax(-1)
        answer: Tensor = self.to_out((weights @ v).transpose(1, 2).flatten(2))
        return answer


class Gated(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Linear(width, 8 * width)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.proj(x).chunk(2, -1)
        return value * F.gelu(gate)


class Feed(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.net = nn.Sequential(Gated(width), nn.Dropout(0.0), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.net(x)
        return answer


class Layer(nn.Module):
    def __init__(self, width: int, context: int, heads: int) -> None:
        super().__init__()
        self.attn1, self.attn2 = Attention(width, width, heads), Attention(width, context, heads)
        self.ff = Feed(width)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))

    def forward(self, x: Tensor, words: Tensor) -> Tensor:
        own = self.norm1(x)
        x = x + self.attn1(own, own)
        x = x + self.attn2(self.norm2(x), words)
        answer: Tensor = x + self.ff(self.norm3(x))
        return answer


class Transformer(nn.Module):
    def __init__(self, width: int, context: int, head: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(32, width, eps=1e-6)
        self.proj_in, self.proj_out = nn.Conv2d(width, width, 1), nn.Conv2d(width, width, 1)
        self.transformer_blocks = nn.ModuleList([Layer(width, context, width // head)])

    def forward(self, x: Tensor, embedding: Tensor, words: Tensor) -> Tensor:
        h = self.proj_in(self.norm(x))
        tokens = h.flatten(2).transpose(1, 2)
        for block in self.transformer_blocks:
            tokens = block(tokens, words)
        answer: Tensor = x + self.proj_out(tokens.transpose(1, 2).unflatten(2, h.shape[-2:]))
        return answer


class Halved(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.op = nn.Conv2d(width, width, 3, stride=2, padding=1)

    def forward(self, x: Tensor, embedding: Tensor, words: Tensor) -> Tensor:
        answer: Tensor = self.op(x)
        return answer


class Doubled(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor, embedding: Tensor, words: Tensor) -> Tensor:
        answer: Tensor = self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return answer


class First(nn.Conv2d):
    def forward(self, x: Tensor, *_: Any) -> Tensor:
        return super().forward(x)


class LdmUNet(nn.Module):
    """Latents (B, 4, H, W), t (B,) and context (B, n, c) to (B, 4, H, W); attention at each level."""

    def __init__(self, *, channels: int, levels: tuple[int, ...], context: int, head: int) -> None:
        super().__init__()
        self.channels = channels
        wide = 4 * channels
        self.time_embed = nn.Sequential(nn.Linear(channels, wide), nn.SiLU(), nn.Linear(wide, wide))
        self.input_blocks = nn.ModuleList([nn.ModuleList([First(4, channels, 3, padding=1)])])
        skips, width = [channels], channels
        for level, times in enumerate(levels):
            for _ in range(2):
                block = Residual(width, times * channels, wide)
                width = times * channels
                self.input_blocks.append(nn.ModuleList([block, Transformer(width, context, head)]))
                skips.append(width)
            if level + 1 < len(levels):
                self.input_blocks.append(nn.ModuleList([Halved(width)]))
                skips.append(width)
        self.middle_block = nn.ModuleList(
            [Residual(width, width, wide), Transformer(width, context, head), Residual(width, width, wide)]
        )
        self.output_blocks = nn.ModuleList()
        for level, times in reversed(list(enumerate(levels))):
            for index in range(3):
                parts: list[nn.Module] = [Residual(width + skips.pop(), times * channels, wide)]
                width = times * channels
                parts.append(Transformer(width, context, head))
                if level and index == 2:
                    parts.append(Doubled(width))
                self.output_blocks.append(nn.ModuleList(parts))
        self.out = nn.Sequential(nn.GroupNorm(32, width), nn.SiLU(), nn.Conv2d(width, 4, 3, padding=1))

    def forward(self, x: Tensor, t: Tensor, words: Tensor) -> Tensor:
        half = self.channels // 2
        angles = t[:, None] * torch.exp(-math.log(10000) * torch.arange(half) / half)
        embedding = self.time_embed(torch.cat([angles.cos(), angles.sin()], 1))
        skips = []
        for block in self.input_blocks:
            for part in block:
                x = part(x, embedding, words)
            skips.append(x)
        for part in self.middle_block:
            x = part(x, embedding, words)
        for block in self.output_blocks:
            x = torch.cat([x, skips.pop()], 1)
            for part in block:
                x = part(x, embedding, words)
        answer: Tensor = self.out(x)
        return answer
