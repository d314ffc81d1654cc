"""A source is a picture like the part, differs from it, and leaves what it is given alone."""

from __future__ import annotations

import numpy as np
import pytest

from agent.messages import Pixels
from models.parts.defects.anomalies import SOURCES, Source
from models.parts.defects.sources import GRID, cloud, recoloured, shuffled, texture

SHAPES = [(64, 64, 1), (64, 64, 3), (50, 93, 3)]


def part(shape: tuple[int, ...], seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(40, 200, shape, np.uint8)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.__name__)
def test_each_source_is_a_picture_like_the_part_and_differs_from_it(
    source: Source, shape: tuple[int, ...]
) -> None:
    image, other = part(shape)[::-1], part(shape, 1)[:, ::-1]  # mirrored views, as training gives them
    kept = image.copy(), other.copy()
    for seed in range(20):
        made = source(image, other, np.random.default_rng(seed))
        assert made.shape == shape
        assert made.dtype == np.uint8
        assert np.abs(made.astype(int) - image).mean() > 1
        assert np.array_equal(made, source(image, other, np.random.default_rng(seed)))
    assert np.array_equal(image, kept[0])
    assert np.array_equal(other, kept[1])


def test_a_shuffled_part_has_the_same_cells_in_other_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.parts.defects.sources.recoloured", lambda picture, _: picture.copy())
    image = part((8 * 4, 8 * 6, 1))
    made = shuffled(image, image, np.random.default_rng(0))

    def cells(picture: Pixels) -> list[bytes]:
        return [
            picture[4 * row : 4 * row + 4, 6 * column : 6 * column + 6].tobytes()
            for row in range(GRID)
            for column in range(GRID)
        ]

    assert cells(made) != cells(image)
    assert sorted(cells(made)) == sorted(cells(image))


def test_clouds_have_more_power_at_low_frequencies() -> None:
    made = [cloud(part((64, 64, 1)), part((64, 64, 1)), np.random.default_rng(seed)) for seed in range(40)]
    power = np.mean([np.abs(np.fft.fft2(one[..., 0].astype(float))) ** 2 for one in made], 0)
    assert power[1:4, 1:4].mean() > 20 * power[20:32, 20:32].mean()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [(8, 300), (200, 150), (1, 1)])
def test_a_texture_of_any_size_fills_the_part(shape: tuple[int, ...], size: tuple[int, int]) -> None:
    pictures = [part((*size, shape[2]))]
    for seed in range(10):
        made = texture(pictures, shape, np.random.default_rng(seed))
        assert made.shape == shape
        assert made.dtype == np.uint8


def test_other_tones_keep_equal_pixels_equal() -> None:
    picture = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 2, 0)
    for seed in range(20):
        made = recoloured(picture, np.random.default_rng(seed))
        steps = np.diff(made[0, :, 0].astype(int))
        assert np.array_equal(made[0], made[1])
        assert (steps >= 0).all() or (steps <= 0).all()
