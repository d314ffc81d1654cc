"""The shipped graph: uint8 tiles in, score, map and restoration out, each tile judged by itself."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from agent.messages import Pixels
from models.parts.features import load_features, load_later_features
from models.student.student import EVIDENCE, FEATURE_STAGES, NEGLIGIBLE, PRESETS, REMEMBERED_STAGES, Student
from tests.models.student.knowing import Knows
from tests.models.tiny import scratched, woven


def new(preset: str = "nano", channels: int = 1) -> Student:
    torch.manual_seed(0)
    config = dataclasses.replace(PRESETS[preset], channels=channels)
    later = load_later_features(REMEMBERED_STAGES, after=FEATURE_STAGES[-1])
    return Student(config, load_features(FEATURE_STAGES), later).eval().requires_grad_(False)


def trained() -> Student:
    """As if trained: a gate that opens, a correction that does something, and statistics of its own."""
    student = new()
    rng = torch.Generator().manual_seed(1)
    for last in (student.restorer.detail, student.restorer.deviates):
        for parameter in last.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=rng) * 0.05)
    student.mean = torch.tensor([0.1, 0.1, 0.01, 0.01, 0.01, 0.02, 0.1, 0.3, 0.3])
    student.spread = torch.tensor([0.5, 0.5, 0.02, 0.03, 0.04, 0.05, 0.2, 0.2, 0.2])
    return student


def textures(count: int, channels: int = 1, seed: int = 0) -> Pixels:
    rng = np.random.default_rng(seed)
    return np.stack([np.repeat(woven(rng)[:64, :64], channels, axis=2) for _ in range(count)])


def images(tiles: Pixels) -> Tensor:
    return torch.from_numpy(tiles).permute(0, 3, 1, 2).float() / 127.5 - 1


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("preset", ["nano", "edge"])
def test_every_tile_gets_a_score_a_map_and_a_restoration(preset: str, batch: int, channels: int) -> None:
    score, map_, restored = new(preset, channels)(torch.from_numpy(textures(batch, channels)))
    assert (score.shape, score.dtype) == ((batch,), torch.float32)
    assert (map_.shape, map_.dtype) == ((batch, 16, 16), torch.float32)
    assert (restored.shape, restored.dtype) == ((batch, 64, 64, channels), torch.uint8)
    assert (map_ > 0).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_an_untrained_student_restores_every_pixel_as_it_is(channels: int) -> None:
    tiles = textures(3, channels)
    tiles[0, :16, :16] = 0
    tiles[0, 16:32, :16] = 255
    assert np.array_equal(new(channels=channels)(torch.from_numpy(tiles))[2].numpy(), tiles)


def test_a_score_is_the_mean_of_the_largest_map_pixels() -> None:
    student = trained()
    score, map_, _ = student(torch.from_numpy(textures(4)))
    top = map_.flatten(1).sort(1, descending=True).values[:, : student.config.top]
    assert torch.allclose(score, top.mean(1))


def test_a_tile_is_judged_the_same_alone_and_among_others() -> None:
    student, tiles = trained(), textures(4)
    together = student(torch.from_numpy(tiles))
    for index in range(4):
        alone = student(torch.from_numpy(tiles[index : index + 1]))
        assert torch.allclose(together[0][index], alone[0][0], rtol=1e-4)
        assert torch.allclose(together[1][index], alone[1][0], rtol=1e-3, atol=1e-4)
        assert (together[2][index].int() - alone[2][0].int()).abs().max() <= 1  # a rounding apart


def test_judging_changes_nothing_about_the_student() -> None:
    student, tiles = trained(), torch.from_numpy(textures(2))
    first, second = student(tiles), student(tiles)
    assert all(torch.equal(one, two) for one, two in zip(first, second, strict=True))


def test_evidence_is_what_its_names_say() -> None:
    student, x = trained(), images(textures(2))
    restored, evidence = student.evidence(x)
    assert evidence.shape == (2, len(EVIDENCE), 16, 16)
    look = student.look(x)
    found = student.restore(x, look)
    assert torch.equal(found.image, restored)
    logits = student.find(x, found, look, student.differences(look, restored))
    named = dict(zip(EVIDENCE, evidence.unbind(1), strict=True))
    assert torch.allclose(named["mask"], logits[:, 0], atol=1e-4)
    assert torch.allclose(named["taught"], logits[:, 1], atol=1e-4)
    apart = evidence[:, 2 : 2 + len(NEGLIGIBLE)].exp() - student.negligible
    distance = dict(zip(EVIDENCE[2:], apart.unbind(1), strict=False))
    cells = (restored - x).abs().mean(1).view(2, 16, 4, 16, 4).mean((2, 4))
    assert torch.allclose(distance["pixels"], cells, atol=1e-5)
    assert torch.allclose(distance["latents"].mean(), found.correction.abs().mean(), rtol=0.05)
    for name in ("stride_4", "stride_8", "stride_16"):
        assert (distance[name] > -1e-5).all()
        assert distance[name].max() > 1e-4


def test_a_feature_channel_counts_by_how_far_it_strays_on_good_parts() -> None:
    student, x = trained(), images(textures(2))

    def distance() -> Tensor:
        return student.evidence(x)[1][:, EVIDENCE.index("stride_8")].exp() - 1

    before = distance()
    student.usual(2).fill_(4.0)
    assert torch.allclose(distance(), before / 4, atol=1e-5)


def test_restorations_stay_in_the_range_of_pictures() -> None:
    student = trained()
    for parameter in student.restorer.detail.parameters():
        parameter.mul_(1000)
    restored, _ = student.evidence(images(textures(2)))
    assert restored.min() >= -1
    assert restored.max() <= 1


def test_fusion_weights_are_named_and_sum_to_1() -> None:
    for config in PRESETS.values():
        assert len(config.weights) == len(EVIDENCE)
        assert sum(config.weights) == pytest.approx(1)


def test_a_memory_says_that_something_is_and_finer_evidence_where() -> None:
    student = new("edge")
    evidence = torch.zeros(1, len(EVIDENCE), 64, 64)
    evidence[:, -2:] = 8.0  # a memory sees no farther than a stride of 32
    evidence[..., 32, 32] += 20 * student.learned.view(1, -1)
    hot = student.fuse(evidence, student.fusion)[0, 0]
    alone = student.fuse(evidence * student.learned.view(1, -1, 1, 1), student.fusion)[0, 0]
    assert hot[32, 32] - alone[32, 32] == pytest.approx(4, abs=0.1)  # in full
    assert torch.equal(hot[28:37, 20], alone[28:37, 20])  # finer evidence lies far below what is near
    assert hot[32, 60] - alone[32, 60] > 3  # none is near


def test_a_memory_alone_counts_everywhere() -> None:
    student = new("edge")
    evidence = torch.randn(1, len(EVIDENCE), 64, 64, generator=torch.Generator().manual_seed(5))
    weights = student.weights_of(("memory_5", "memory_6"))
    standard = ((evidence - student.mean.view(1, -1, 1, 1)) / student.spread.view(1, -1, 1, 1))[:, -2:]
    expected = F.softplus(student.blur(standard.mean(1, keepdim=True)))
    assert torch.allclose(student.fuse(evidence, weights), expected, atol=1e-5)


def test_a_defect_that_the_restoration_removes_is_evidence() -> None:
    """With a restorer that knows the answer, the map is hottest on the scratch."""
    student, rng = new(), np.random.default_rng(4)
    good = woven(rng)[:64, :64]
    seen, mask = scratched(np.pad(good, ((0, 16), (0, 32), (0, 0)), mode="edge"), rng)
    seen, mask = np.ascontiguousarray(seen[:64, :64]), mask[:64, :64]
    assert mask.any()

    student.restorer = Knows(student, images(good[None]))  # type: ignore[assignment]
    _, map_, restored = student(torch.from_numpy(seen[None]))
    assert np.array_equal(restored[0].numpy(), good)
    cells = torch.from_numpy(mask).view(16, 4, 16, 4).amax((1, 3))
    assert map_[0][cells].mean() > map_[0][~cells].mean()


@pytest.mark.parametrize("grey", [0, 255])
def test_where_a_tile_deviates_the_restoration_shows_its_surroundings(grey: int) -> None:
    student, x = new(), torch.full((1, 1, 64, 64), 0.5)
    x[..., 24:40, 24:40] = grey / 127.5 - 1

    class Opens(nn.Module):
        def forward(self, z: Tensor, _: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
            deviates = torch.full((1, 1, 8, 8), -9.0)
            deviates[..., 3:5, 3:5] = 9.0
            return torch.zeros_like(z), deviates, torch.zeros(1, 16, 8, 8)

    student.restorer = Opens()  # type: ignore[assignment]
    restored = student.evidence(x)[0]
    assert torch.allclose(restored[..., 24:40, 24:40], torch.tensor(0.5), atol=0.02)
    outside = torch.ones_like(x, dtype=torch.bool)
    outside[..., 24:40, 24:40] = False
    assert torch.allclose(restored[outside], x[outside], atol=1e-6)


def test_a_restorer_sees_what_the_features_see() -> None:
    """Without its own look at latents, a trained gate still tells two tiles apart."""
    student, x = trained(), images(textures(2))
    look = student.look(x)
    z = torch.zeros_like(student.codec.encode(x))
    _, deviates, _ = student.restorer(z, [*look[1:3], torch.cat(look[3:], 1)])
    assert (deviates[0] - deviates[1]).abs().max() > 1e-4


@pytest.mark.parametrize("level", range(4), ids=["stride 4", "stride 8", "stride 16", "stride 32"])
def test_what_the_features_see_at_each_stride_reaches_what_is_trained(level: int) -> None:
    student = new("edge")
    student.restorer.deviates.weight.fill_(1.0)  # nothing, before training
    x = images(textures(1))
    z, pixels = student.codec.encode(x), torch.zeros(1, 32, 16, 16)
    look = student.look(x)
    seen = [*look[:3], torch.cat(look[3:], 1)]
    other = [one + (index == level) for index, one in enumerate(seen)]
    nothing = [torch.zeros_like(one) for one in seen[:3]]
    hidden = torch.zeros(1, student.config.widths[0], 8, 8)
    found, changed = (student.finder(some, nothing, hidden, pixels) for some in (seen, other))
    assert (found - changed).abs().max() > 1e-3
    if level:  # the restorer's finest grid is the latents'
        found, changed = (student.restorer(z, some[1:])[1] for some in (seen, other))
        assert (found - changed).abs().max() > 1e-3
