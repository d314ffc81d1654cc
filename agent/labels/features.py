"""The features of a bundle's explaining form, and nothing else of it: what only the map needs is left out."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from agent.bundle.bundle import Bundle
from agent.engines.openvino import core_of_process
from agent.explain.form import (
    FEATURES,
    FEATURES_STRIDE_PX,
    GRAPH,
    CannotExplain,
    graph_of,
    open_form,
    read_good,
)
from agent.foreign import shown
from agent.messages import Floats, Pixels


class Features(Protocol):
    """From one thread."""

    grid: int
    coarsest: int  # channels of the coarsest stride, which are the last

    def of(self, tile: Pixels) -> Floats:
        """(C, grid, grid) of uint8 (tile, tile, C)."""


class Compiled:
    """In float32, whatever the line's engine computes in, so that a set holds whichever serves."""

    def __init__(self, request: Any, *, grid: int, coarsest: int) -> None:
        self._request = request
        self.grid = grid
        self.coarsest = coarsest

    def of(self, tile: Pixels) -> Floats:
        self._request.infer([np.ascontiguousarray(tile[None])])
        return np.array(self._request.get_output_tensor(0).data[0], np.float32)  # the next call overwrites it


class Plain:
    """Its twin: the whole explaining form."""

    def __init__(self, bundle: Bundle) -> None:
        self._form = open_form(bundle)
        self.grid, self.coarsest = _sizes(bundle)

    def of(self, tile: Pixels) -> Floats:
        features: Floats = self._form.explain(tile[None]).features[0]
        return features


def open_features(bundle: Bundle, *, threads: int = 0) -> Compiled:
    """Compiled for this CPU; `threads` 0 takes all cores, for whoever waits. Raises CannotExplain."""
    import openvino as ov

    grid, coarsest = _sizes(bundle)
    graph, spec = graph_of(bundle), bundle.manifest.input
    options: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    if threads:
        options["INFERENCE_NUM_THREADS"] = threads
    try:
        whole = core_of_process().read_model(graph)
        model = ov.Model([whole.output(FEATURES)], whole.get_parameters())
        model.reshape([1, spec.tile_px, spec.tile_px, spec.channels])
        compiled = core_of_process().compile_model(model, "CPU", options)
        request = compiled.create_infer_request()
        engine = Compiled(request, grid=grid, coarsest=coarsest)
        found = engine.of(np.zeros((spec.tile_px, spec.tile_px, spec.channels), np.uint8)).shape
    except RuntimeError as error:
        words = shown(str(error).strip().splitlines()[-1][:200])
        raise CannotExplain(f"{shown(str(bundle.path))}/{GRAPH}: {words}; export the bundle again") from error
    if found[1:] != (grid, grid) or found[0] < coarsest:
        raise CannotExplain(
            f"{shown(str(bundle.path))}/{GRAPH}: gives features as {found}, wanted {coarsest} channels or "
            f"more on {grid} x {grid} cells; export the bundle again"
        )
    return engine


def _sizes(bundle: Bundle) -> tuple[int, int]:
    """Cells along a side, and channels of the coarsest stride. Raises CannotExplain."""
    groups = read_good(bundle).groups
    if not groups:
        raise CannotExplain(
            f"{shown(str(bundle.path))}: has no features that tell defects apart; export the bundle again"
        )
    return bundle.manifest.input.tile_px // FEATURES_STRIDE_PX, groups[-1].channels
