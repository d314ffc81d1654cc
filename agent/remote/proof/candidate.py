"""The engines of candidate and incumbent, each the one that serves it here; the candidate's is kept."""

from __future__ import annotations

from agent.bundle.bundle import Bundle
from agent.engines.cache import EngineCache
from agent.engines.choice import Machine
from agent.engines.engine import (
    DeviceLost,
    EngineError,
    GoldenDiffers,
    OutOfMemory,
    check_golden,
    tolerance,
)
from agent.engines.open import Best, open_best
from agent.engines.table import RUNTIMES
from agent.foreign import stored
from agent.remote.proof.document import Found, Frames, Golden, NotProven, Side
from agent.settings import settings


def open_candidate(
    bundle: Bundle, wanted: settings.Engine, machine: Machine, cache: EngineCache
) -> tuple[Best, Golden]:
    """Its engine, which lies in the cache by then, and how near it comes to the golden scores.

    Raises NotProven; the engine that would serve is never replaced by a lesser one without a word.
    """
    try:
        best = open_best(bundle, wanted, machine, cache=cache)
        delta = check_golden(best.engine, bundle)
    except (DeviceLost, OutOfMemory) as error:
        raise NotProven(500, f"{error}") from error
    except EngineError as error:
        raise NotProven(422, str(error), _found(bundle, error)) from error
    if best.kind.slow and best.kind.cached and cache.trouble is not None:
        best.engine.close()
        raise NotProven(507, f"its engine was built and could not be kept: {cache.trouble}")
    golden = Golden(worst_tile_delta=delta, tolerance=tolerance(best.engine, bundle))
    return best, golden


def open_incumbent(
    bundle: Bundle, wanted: settings.Engine, machine: Machine, cache: EngineCache
) -> Best | str:
    """The engine that serves it now, or why none does: then the candidate may be what mends it.

    Raises NotProven where this machine has no room for two.
    """
    try:
        return open_best(bundle, wanted, machine, cache=cache, may_build=False)
    except (DeviceLost, OutOfMemory) as error:
        raise NotProven(500, f"the bundle that serves could not be opened beside it: {error}") from error
    except EngineError as error:
        return f"no engine takes the bundle that serves: {error}"


def require_as_good(candidate: Best, incumbent: Best, found: Found) -> None:
    """Raises NotProven for an engine that stands below the incumbent's in the table."""
    if RUNTIMES.index(candidate.kind) <= RUNTIMES.index(incumbent.kind):
        return
    reasons = "; ".join(map(str, candidate.refused))
    raise NotProven(
        422,
        f"{incumbent.kind.name}, by which the bundle before serves, does not take it, and "
        f"{candidate.kind.name} is slower: {reasons}",
        found.model_copy(update={"golden": _golden(*candidate.refused)}),
    )


def _found(bundle: Bundle, error: EngineError) -> Found:
    return Found(
        candidate=Side(name=bundle.manifest.name, sha256=bundle.sha256, engine=None),
        incumbent=None,
        golden=_golden(error, error.__cause__),
        frames=Frames(wanted=0),
        notes=(stored("no frame was judged: the candidate's engine was refused"),),
    )


def _golden(*errors: BaseException | None) -> Golden:
    """What those say of golden tiles."""
    for error in errors:
        if isinstance(error, GoldenDiffers) and error.difference == error.difference:
            return Golden(worst_tile_delta=min(error.difference, 1e9), tolerance=None)
    return Golden(worst_tile_delta=None, tolerance=None)
