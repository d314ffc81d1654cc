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


def beside(settings: Settings, size_of: SizeOf) -> Iterator[str]:
    """One sentence for each region of settings in force that has no part in its camera's frames."""
    cameras = {camera.name: camera for camera in settings.cameras}
    for number, recipe in enumerate(settings.recipes):
        for place, one in enumerate(recipe.cameras):
            size = size_of(one.camera)
            for at, region in enumerate(one.ignore if size else ()):
                camera = cameras[one.camera]
                if size and _is_beside(polygon_of(region, camera), camera, size):
                    yield (
                        f"Recipe {recipe.name}: a region to ignore lies outside {_frames(camera, size)}; "
                        f"move or remove recipes.{number}.cameras.{place}.ignore.{at}"
                    )


def _frames(camera: Camera, size: tuple[int, int]) -> str:
    return f"the frames of camera {camera.name}, {size[0]} x {size[1]} pixels"


def _is_beside(region: Polygon, camera: Camera, size: tuple[int, int]) -> bool:
    width, height = size
    xs, ys = zip(*region, strict=True)
    if min(xs) >= width or max(xs) <= 0 or max(ys) <= 0:
        return True
    return min(ys) >= height and not camera.web.is_web


def _flaws(regions: list[Polygon], camera: Camera, size: tuple[int, int], path: str) -> Iterator[Flaw]:
    of = _frames(camera, size)
    for number, region in enumerate(regions):
        if _is_beside(region, camera, size):
            yield Flaw(path=f"{path}.{number}", message=f"lies outside {of}; move it or remove it")
    if regions and not camera.web.is_web:
        across, down = map(_middles, size)
        if np.logical_or.reduce([inside(region, across, down) for region in regions]).all():
            yield Flaw(path=path, message=f"leaves nothing of {of}; make the regions smaller")


def _middles(side_px: int) -> npt.NDArray[np.float64]:
    """Of pixels spread evenly from the first to the last."""
    return np.unique(np.linspace(0, side_px - 1, min(side_px, MIDDLES)).round()) + 0.5
