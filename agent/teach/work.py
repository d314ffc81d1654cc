"""What the teaching process does: the flow's steps that judge, by the bundle and engine in force."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from agent import logs
from agent.bundle.bundle import open_bundle
from agent.bundle.trust import require_trusted
from agent.clock import SystemClock
from agent.engines.cache import EngineCache
from agent.engines.choice import look_around
from agent.engines.open import open_best
from agent.errors import PlumblineError
from agent.foreign import stored
from agent.replay.engine import engine_named
from agent.settings.settings import Logs, Settings
from agent.teach import collect
from agent.teach.flow import Flow, LookedAtError, Means
from agent.teach.judged import judge_by
from agent.teach.order import Order, Said
from agent.teach.part_set import PartSet
from agent.teach.source import TeachError
from agent.teach.state import FlowError
from agent.teach.trained import to_train

LONGEST = 2000


def main() -> None:
    """Go on to the step that a person has to do, and say how far it is."""
    ours = os.dup(1)
    os.dup2(2, 1)  # runtimes print what they like
    logs.configure(Logs(level="error", format="json"))
    with os.fdopen(ours, "w", encoding="utf-8") as out:
        try:
            order = Order.model_validate_json(sys.stdin.buffer.read(), strict=True)
            _work(order, out)
            _say(out, Said(ended="done"))
        except LookedAtError as error:
            _say(out, Said(ended="look", words=stored(str(error))[:LONGEST]))
        except PlumblineError as error:
            _say(out, Said(ended="problem", words=stored(str(error))[:LONGEST]))
        except Exception as error:  # the last line of defence: the other side has to hear it
            words = f"it ended by {type(error).__name__}: {error}"
            _say(out, Said(ended="problem", words=stored(words)[:LONGEST]))


def _say(out: IO[str], said: Said) -> None:
    out.write(said.model_dump_json() + "\n")
    out.flush()


def _work(order: Order, out: IO[str]) -> None:
    """Raises what the flow and what it acts with raise."""
    flow, clock = Flow(Path(order.folder)), SystemClock()
    wanted = Settings.model_validate_json(json.dumps(order.settings), strict=True)
    bundle = open_bundle(wanted.bundle if order.trained is None else Path(order.trained))
    require_trusted(bundle, wanted.trust)
    if bundle.sha256 != order.bundle_sha256:
        raise TeachError("the station judges by another bundle than its settings name; reload it first")
    serving = engine_named(order.engine, wanted.engine) if order.trained is None else None
    asked = serving or wanted.engine
    cache = EngineCache(
        wanted.engine_cache(), wanted.engine.cache_max_bytes, protected=frozenset([bundle.sha256])
    )
    engine = open_best(bundle, asked, look_around(), cache=cache, may_build=False).engine
    try:
        means = Means(
            collect=lambda parts, count: _collected(flow, wanted, parts, count),
            judge=judge_by(bundle, engine, clock),
            bundle_sha256=bundle.sha256,
            activate=_not_here,
        )
        while (state := flow.state()) is not None and state.step not in ("activate", "done"):
            if to_train(flow, state):  # that is done by the workshop
                return
            for told in flow.do(means):
                words = stored(told.words)[:LONGEST]
                _say(out, Said(step=told.step, done=told.done, of=told.of, words=words))
    finally:
        engine.close()


def _collected(flow: Flow, wanted: Settings, parts: PartSet, count: int) -> Iterator[collect.Got]:
    """What does not come from a line."""
    state = flow.state()
    if state is None or state.source != "archive":
        return collect.from_folder(parts, Path("" if state is None else state.source), count)
    if wanted.archive.folder is None:
        raise TeachError("archive.folder is not set, so no frames are kept; collect from the camera")
    return collect.from_archive(parts, wanted.archive.folder, state.camera or None, count)


def _not_here(threshold: float) -> Mapping[str, Any]:
    raise FlowError("what is in force is changed by the station alone")
