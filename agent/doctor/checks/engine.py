"""The engine: the one that would serve is opened as the agent opens it, and proves itself on golden tiles."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from agent.bundle.bundle import Bundle
from agent.doctor.checks.bundle import usable
from agent.doctor.finding import Said, failed, note, ok, skipped, wrong
from agent.doctor.site import Site
from agent.engines.cache import EngineCache
from agent.engines.choice import choose, look_around
from agent.engines.engine import Engine, EngineError, EngineUnavailable, check_golden, tolerance
from agent.engines.gpu.device import find_gpu
from agent.engines.open import is_compiled, open_runtime
from agent.settings.settings import Settings

ANOTHER = "set engine.kind to another one, or auto"
PACKAGES = {"numpy": "numpy", "cv2": "opencv-python-headless", "openvino": "openvino"}


def golden(site: Site) -> Iterator[Said]:
    wanted = site.settings.engine
    bundle = usable(site)
    if bundle is None:
        yield skipped("there is no bundle that may run")
        return
    around = look_around(gpu=lambda: find_gpu(site.machine.load))
    choice = choose(around, wanted)
    for problem in choice.problems:
        words, _, remedy = problem.partition("; ")
        yield wrong(words, remedy or ANOTHER)
    cache = _own_cache(site.settings)
    for kind in choice.kinds:
        try:
            if kind.slow and not (cache and is_compiled(kind, bundle, wanted, cache, around.gpu)):
                yield note(
                    f"{kind.name}: not compiled on this machine for this bundle, which takes minutes",
                    "the agent does it beside the line, or stop it and run `plumbline engines build`",
                )
                continue
            engine = open_runtime(kind, bundle, wanted, cache, around.gpu)
        except EngineUnavailable as error:
            words, _, remedy = f"{kind.name}: {error}".partition("; ")
            yield (wrong if wanted.kind == kind.kind else note)(words, remedy or ANOTHER)
            continue
        except EngineError as error:
            yield failed(EngineError(f"{kind.name}: {error}"), ANOTHER)
            continue
        yield _served(engine, bundle)
        return
    yield wrong("no engine serves this bundle here", "mend one of those above")


def packages(site: Site) -> Iterator[Said]:
    """What the engines stand on comes out of the agent's own environment; the system's may be older."""
    own: list[str] = []
    others: list[str] = []
    for module, package in PACKAGES.items():
        spec = find_spec(module)
        if spec is None or spec.origin is None:
            yield wrong(f"{package} is not installed", "install plumbline again")
            continue
        place = Path(spec.origin)
        is_own = site.machine.prefix in place.parents
        (own if is_own else others).append(_named(package) + ("" if is_own else f" ({place.parent})"))
    if others:
        yield note(
            f"of another environment than {site.machine.prefix}: {', '.join(others)}",
            "install plumbline again, which brings its own",
        )
    if own:
        yield ok(f"{', '.join(own)}, of this environment")


def _named(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:  # it lies there without its papers
        return package


def _served(engine: Engine, bundle: Bundle) -> Said:
    try:
        found, difference = engine.describe(), check_golden(engine, bundle)
        how = "from the cache" if found.from_cache else "compiled"
        return ok(
            f"{found.name} on {found.device}: golden scores within {difference:.1e}, "
            f"allowed {tolerance(engine, bundle):g}; {how} in {found.open_s:.1f} s"
        )
    except EngineError as error:
        return failed(error, ANOTHER)
    finally:
        engine.close()


def _own_cache(settings: Settings) -> EngineCache | None:
    """The agent's, where this process is the agent's user; anybody else would throw its engines away."""
    folder = settings.engine_cache()
    nearest = next(one for one in (folder, *folder.parents) if one.exists())
    if nearest.stat().st_uid != os.geteuid():
        return None
    return EngineCache(folder, settings.engine.cache_max_bytes)
