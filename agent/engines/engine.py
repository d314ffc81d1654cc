"""What every engine is: uint8 tiles in, scores, maps and restorations out.

An engine is opened by a function of its file, which compiles or loads it and proves it; what it says
about itself, how it is checked and what its failures are called is the same for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from agent.bundle.bundle import MODEL, Bundle, BundleError
from agent.errors import PlumblineError
from agent.foreign import shown
from agent.messages import Floats, Pixels

BATCHES = (4, 1)  # the only batch sizes an engine is built for, largest first


class EngineError(PlumblineError):
    """The engine cannot be opened, failed, or does not reproduce the bundle; says what to do."""


class EngineUnavailable(EngineError):
    """This machine cannot have the engine: no runtime, no device, a driver too old, a precision it lacks."""


class GoldenDiffers(EngineError):
    """It gives other scores than the golden ones; `difference` is the largest, and may be no number."""

    def __init__(self, message: str, difference: float) -> None:
        super().__init__(message)
        self.difference = difference


class DeviceLost(EngineError):
    """The device, or our context on it, is gone and does not come back within this process."""


class OutOfMemory(EngineError):
    """The device has no memory left for this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """Named in status and, by `name`, in every verdict."""

    name: str  # such as openvino-bf16
    runtime: str  # and its version
    device: str
    precision: str
    open_s: float = 0.0  # what compiling or loading took
    from_cache: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The results of a run."""

    scores: Floats  # (N,)
    maps: Floats  # (N, h, w)
    restored: Pixels | None  # (N, H, W, C); None when it was not asked for
    engine: str = ""  # name of the engine that answered; empty when none did
    precision: str = "f32"  # of that engine; the switch says it


class Engine(Protocol):
    """Safe from any thread."""

    def run(self, tiles: Pixels, *, restored: bool = True) -> Answer:
        """Judge 1 or more tiles, uint8 (N, H, W, C); `restored` False leaves restorations on the device.

        Raises DeviceLost, OutOfMemory, or what the runtime raises; no answer is then to be trusted.
        """

    def describe(self) -> Description: ...

    def close(self) -> None: ...


E = TypeVar("E", bound=Engine)


def golden_difference(engine: Engine, bundle: Bundle) -> float:
    """Largest difference from a golden score, by `largest_difference`, one by one and in whole batches.

    Few golden tiles are repeated until they fill the largest batch, so each batch size has run after it.
    """
    tiles, expected = bundle.golden()
    order = np.resize(np.arange(len(tiles)), max(len(tiles), BATCHES[0]))
    alone = np.concatenate([engine.run(tile[None]).scores for tile in tiles])
    together = engine.run(tiles[order]).scores
    threshold = bundle.manifest.threshold.raw
    if alone.shape != expected.shape or together.shape != order.shape:
        raise EngineError(f"{bundle.path}: its graph gives no score for each tile; export the bundle again")
    # NaN is larger than anything for np.max, not for max().
    return float(
        np.max(
            [
                largest_difference(alone, expected, threshold),
                largest_difference(together, expected[order], threshold),
            ]
        )
    )


def largest_difference(found: Floats, expected: Floats, threshold: float) -> float:
    """Of two times the same scores, as a share of the threshold or of an expected score above it.

    Rounding grows with the score: a made-up tile at 50 thresholds may differ by more than one near it.
    """
    return float((np.abs(found - expected) / np.maximum(expected, threshold)).max())


def tolerance(engine: Engine, bundle: Bundle) -> float:
    """The manifest's, for this engine's precision."""
    golden = bundle.manifest.golden
    return golden.tolerance_f32 if engine.describe().precision == "f32" else golden.tolerance_bf16


def check_golden(engine: Engine, bundle: Bundle) -> float:
    """The golden difference, in the engine's own precision.

    Raises EngineUnavailable when the bundle was not calibrated in it, GoldenDiffers when the difference is
    over the manifest's tolerance.
    """
    try:
        bundle = bundle.at(engine.describe().precision)
    except BundleError as error:
        raise EngineUnavailable(str(error)) from error
    difference, allowed = golden_difference(engine, bundle), tolerance(engine, bundle)
    if not difference <= allowed:
        raise GoldenDiffers(
            f"{engine.describe().name}: golden scores of {bundle.path} differ by a share of "
            f"{difference:.4f}, allowed {allowed}; this machine does not give the same, use another engine",
            difference,
        )
    return difference


def proven(engine: E, bundle: Bundle) -> E:
    """The engine, checked on the golden tiles and warm by them; closed where `check_golden` raises."""
    try:
        check_golden(engine, bundle)
    except BaseException as error:
        engine.close()
        # Runtimes raise what they like; of a graph with other inputs or outputs more than that.
        if isinstance(error, PlumblineError) or not isinstance(error, Exception):
            raise
        words = shown(" ".join(str(error).split())[:200])
        raise EngineError(
            f"{bundle.path}/{MODEL}: does not run here: {words}; export the bundle again"
        ) from error
    return engine
