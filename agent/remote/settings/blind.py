"""Regions to ignore, held against the size of the frames that come: pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from agent.line.ignore import Polygon, inside
from agent.line.recipe import polygon_of
from agent.remote.settings.desired import Flaw
from agent.settings.camera import Camera
from agent.settings.settings import Settings

MIDDLES = 256  # at most, along one side of a frame

SizeOf: TypeAlias = Callable[[str], tuple[int, int] | None]  # width and height of a camera's frames


def blind(wanted: Settings, before: Settings, size_of: SizeOf) -> Iterator[Flaw]:
    """A flaw for each new region beside its camera's frames, and where regions leave nothing of a frame.

    A camera that is set otherwise than before, or of which no size is known, is not looked at; of one that
    makes a web the length is not.
    """
    then = {(recipe.name, one.camera): one.ignore for recipe in before.recipes for one in recipe.cameras}
    cameras = {camera.name: camera for camera in wanted.cameras if camera in before.cameras}
    for number, recipe in enumerate(wanted.recipes):
        for place, one in enumerate(recipe.cameras):
            camera, size = cameras.get(one.camera), size_of(one.camera)
            if camera is None or size is None or one.ignore == then.get((recipe.name, one.camera)):
                continue
            found = [polygon_of(region, camera) for region in one.ignore]
            yield from _flaws(found, camera, size, f"recipes.{number}.cameras.{place}.ignore")


def _flaws(regions: list[Polygon], camera: Camera, size: tuple[int, int], path: str) -> Iterator[Flaw]:
    width, height = size
    of = f"the frames of camera {camera.name}, {width} x {height} pixels"
    for number, region in enumerate(regions):
        xs, ys = zip(*region, strict=True)
        is_beside = min(xs) >= width or max(xs) <= 0 or max(ys) <= 0
        if is_beside or (min(ys) >= height and not camera.web.is_web):
            yield Flaw(path=f"{path}.{number}", message=f"lies outside {of}; move it or remove it")
    if regions and not camera.web.is_web:
        across, down = _middles(width), _middles(height)
        if np.logical_or.reduce([inside(region, across, down) for region in regions]).all():
            yield Flaw(path=path, message=f"leaves nothing of {of}; make the regions smaller")


def _middles(side_px: int) -> npt.NDArray[np.float64]:
    """Of pixels spread evenly from the first to the last."""
    return np.unique(np.linspace(0, side_px - 1, min(side_px, MIDDLES)).round()) + 0.5
