"""What a synthetic defect is made of: the part itself changed, a foreign part, or a texture.

All pictures are uint8 (H, W, C). Each source takes the part, another good part and the randomness, used or
not; only `texture` needs data, which a product may name.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from agent.messages import Pixels
from models.parts.defects.masks import Rng, Weights, smooth_noise

GRID = 8  # cells along each side of a shuffled part


def shade(image: Pixels, other: Pixels, rng: Rng) -> Pixels:
    """The part darker, now and then brighter, from barely visible to nearly black."""
    gain = rng.uniform(0.15, 0.92) if rng.random() < 0.85 else rng.uniform(1.08, 1.6)
    return to_pixels(image.astype(np.float32) * np.float32(gain))


def foreign(image: Pixels, other: Pixels, rng: Rng) -> Pixels:
    """Another good part, moved."""
    return np.roll(other, (int(rng.integers(other.shape[0])), int(rng.integers(other.shape[1]))), (0, 1))


def elsewhere(image: Pixels, other: Pixels, rng: Rng) -> Pixels:
    """The part itself, moved, in slightly other tones (CutPaste)."""
    tones = rng.uniform(0.9, 1.1) * image.astype(np.float32) + rng.uniform(-12, 12)
    return foreign(image, to_pixels(tones), rng)


def faint(image: Pixels, other: Pixels, rng: Rng) -> Pixels:
    """The part under a lamp of another strength, 4 to 20 % off."""
    share = rng.uniform(0.04, 0.2) * rng.choice([-1, 1])
    return to_pixels(image.astype(np.float32) * np.float32(1 + share))


def shuffled(image: Pixels, other: Pixels, rng: Rng) -> Pixels:
    """The part in other tones with the cells of an 8 x 8 grid exchanged."""
    height, width, channels = image.shape
    rows, columns = height // GRID, width // GRID
    mixed = recoloured(image, rng)
    inner = mixed[: GRID * rows, : GRID * columns].reshape(GRID, rows, GRID, columns, channels)
    cells = inner.swapaxes(1, 2).reshape(GRID * GRID, rows, columns, channels)[rng.permutation(GRID * GRID)]
    back = cells.reshape(GRID, GRID, rows, columns, channels).swapaxes(1, 2)
    mixed[: GRID * rows, : GRID * columns] = back.reshape(GRID * rows, GRID * columns, channels)
    return mixed


def inverted(image: Pixels, other: Pixels, rng: Rng) -> Pixels:
    return np.ascontiguousarray(255 - image)


def grain(image: Pixels, other: Pixels, rng: Rng) -> Pixels:
    """The part under smooth noise, fine to coarse."""
    noise = smooth_noise(*image.shape[:2], scale_px=float(rng.choice([2.0, 6.0, 20.0])), rng=rng)
    return to_pixels(image.astype(np.float32) + 70 * noise[..., None])


def cloud(image: Pixels, other: Pixels, rng: Rng) -> Pixels:
    """Noise from grain to broad stains, in any colour."""
    return _tinted(cloudy(image.shape[0], image.shape[1], rng), image.shape[2], rng)


def gratings(image: Pixels, other: Pixels, rng: Rng) -> Pixels:
    """Waves across, in any colour."""
    return _tinted(waves(image.shape[0], image.shape[1], rng), image.shape[2], rng)


def checker(image: Pixels, other: Pixels, rng: Rng) -> Pixels:
    """A checker board, in any colour."""
    return _tinted(checked(image.shape[0], image.shape[1], rng), image.shape[2], rng)


def neutral(image: Pixels, other: Pixels, rng: Rng) -> Pixels:
    """The part under one of those, all channels alike: hue tells nothing, and the part shows through."""
    field = (cloudy, waves, checked)[int(rng.integers(3))](image.shape[0], image.shape[1], rng)
    return to_pixels(image + np.float32(rng.uniform(12, 60)) * field[..., None])


def cloudy(height: int, width: int, rng: Rng) -> Weights:
    """1/f^a noise of random phase and unit spread, (H, W)."""
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)).astype(np.float32)
    frequency[0, 0] = 1  # the mean is set below
    parts = rng.random((2, *frequency.shape), np.float32) - np.float32(0.5)
    real, imaginary = parts * frequency ** np.float32(-rng.uniform(0.5, 2.5))
    field = np.fft.irfft2(real + 1j * imaginary, (height, width))
    return np.asarray(field / max(float(field.std()), 1e-6), np.float32)


def waves(height: int, width: int, rng: Rng) -> Weights:
    """One to four waves of random direction, 3 to 60 pixels long, (H, W)."""
    field = np.zeros((height, width), np.float32)
    for _ in range(rng.integers(1, 5)):
        angle, length, phase = rng.uniform(0, np.pi), 3 * 20 ** rng.random(), rng.uniform(0, 2 * np.pi)
        step = 2 * np.pi / length
        down = np.exp(1j * (step * np.sin(angle) * np.arange(height) + phase)).astype(np.complex64)
        along = np.exp(1j * step * np.cos(angle) * np.arange(width)).astype(np.complex64)
        field += np.real(np.outer(down, along))  # cos(a + b), cheaper as a product
    return field


def checked(height: int, width: int, rng: Rng) -> Weights:
    """A checker board of -1 and 1, of random size and direction, (H, W)."""
    y, x = np.ogrid[: np.float32(height), : np.float32(width)]
    angle, side = rng.uniform(0, math.pi / 2), rng.uniform(3, 32)
    down, along = math.cos(angle) / side, math.sin(angle) / side
    cells = np.floor(y * down + x * along) + np.floor(y * along - x * down)
    return np.asarray((cells.astype(np.int32) & 1) * 2 - 1, np.float32)


def texture(textures: Sequence[Pixels], shape: tuple[int, ...], rng: Rng) -> Pixels:
    """A random piece of a random texture as a picture of `shape`, in other tones."""
    picture = textures[int(rng.integers(len(textures)))]
    share = rng.uniform(0.3, 1.0)
    height, width = (max(1, int(side * share)) for side in picture.shape[:2])
    top = int(rng.integers(0, picture.shape[0] - height + 1))
    left = int(rng.integers(0, picture.shape[1] - width + 1))
    piece = np.rot90(picture[top : top + height, left : left + width], int(rng.integers(4)))
    resized = cv2.resize(np.ascontiguousarray(piece), (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)
    return recoloured(np.asarray(resized, np.uint8).reshape(shape), rng)


def recoloured(picture: Pixels, rng: Rng) -> Pixels:
    """The picture with gamma, gain and offset of its own for each channel, sometimes inverted."""
    channels = picture.shape[2]
    levels = np.linspace(0, 1, 256)[:, None]
    curves = 255 * levels ** rng.uniform(0.5, 2, channels) * rng.uniform(0.8, 1.2, channels)
    curves += rng.uniform(-30, 30, channels)
    if rng.random() < 0.2:
        curves = 255 - curves
    table = to_pixels(curves)[None]  # (1, 256, C), as OpenCV wants it
    return np.asarray(cv2.LUT(np.ascontiguousarray(picture), table), np.uint8).reshape(picture.shape)


def to_pixels(values: npt.NDArray[np.floating]) -> Pixels:
    return np.asarray(np.clip(values, 0, 255), np.uint8)


def _tinted(field: Weights, channels: int, rng: Rng) -> Pixels:
    """A field of about unit spread as a picture of random colour and contrast."""
    base = rng.uniform(0, 255, channels).astype(np.float32)
    contrast = rng.uniform(-80, 80, channels).astype(np.float32)
    return to_pixels(base + contrast * field[..., None])
