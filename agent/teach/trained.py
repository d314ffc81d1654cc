"""A bundle of its own for a product: trained by the workshop of good parts alone, within the step *teach*.

The run has a folder of its own beside the parts, named by what it was begun with: the same is gone on with,
and when parts, preset, minutes or rate are others, a new one is begun and the old one is removed.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from agent.bundle.bundle import open_bundle
from agent.bundle.files import BundleError
from agent.contract.taught import Far, Made, Planned
from agent.foreign import shown, stored
from agent.teach.flow import Flow
from agent.teach.part_set import PARTS
from agent.teach.state import FlowError, State, Told
from agent.teach.workshop import Hearing, Wanted

FOLDER = "trained-"
LONGEST = 300  # characters of a line that is kept
LINES = 40
WHOLE = 100


def to_train(flow: Flow, state: State) -> bool:
    """Whether the next thing to do is the workshop's."""
    return state.step == "teach" and bool(state.preset) and state.trained.get("of") != digest(flow, state)


def digest(flow: Flow, state: State) -> str:
    """Of what a bundle is trained with."""
    every = [(one.name, one.stat().st_size) for one in flow.parts.pictures()]
    content = json.dumps([every, state.preset, state.minutes, state.target])
    return hashlib.sha256(content.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def train(flow: Flow, run: Callable[[Wanted], Hearing]) -> Generator[Told | None, None, None]:
    """How far it is, and None for a moment of silence; the bundle stands in the state at the end.

    Whoever closes this has cancelled it, and nothing is lost. Raises FlowError, and what `run` raises.
    """
    with flow.held():
        state = flow.begun()
        preset, of = state.preset, digest(flow, state)
        if not preset:
            raise FlowError("the bundle in force is calibrated; nothing is to be trained")
        out = flow.folder / f"{FOLDER}{of}"
        for old in flow.folder.glob(f"{FOLDER}*"):
            if old != out:
                shutil.rmtree(old, ignore_errors=True)
        wanted = Wanted(
            data=(flow.folder / PARTS).absolute(),
            out=out.absolute(),
            name=state.product,
            preset=preset,
            minutes=state.minutes,
            target=state.target,
        )
        with closing(run(wanted)) as heard:
            made = yield from _told(heard)
        flow.keep(_with(state, of, made, out))


def _told(heard: Hearing) -> Generator[Told | None, None, Made]:
    made: Made | None = None
    for one in heard:
        match one:
            case None:
                yield None
            case Planned():
                words = f"{one.preset}, {one.images:,} training pictures, about {_spoken(one.seconds)} in all"
                yield Told(step="teach", done=0, of=WHOLE, words=words)
            case Far():
                words = f"{one.words or 'training'}, about {_spoken(one.left_s)} left"
                yield Told(step="teach", done=round(WHOLE * min(1.0, one.share)), of=WHOLE, words=words)
            case Made():
                made = one
    if made is None:
        raise FlowError("the workshop made no bundle; go on again")
    return made


def _with(state: State, of: str, made: Made, out: Path) -> State:
    """Whole and of the digest that it was told with. Raises FlowError."""
    path = Path(made.bundle)
    if not path.resolve().is_relative_to(out.resolve()):
        raise FlowError(f"the workshop wrote its bundle to {shown(str(path))}, not into {shown(str(out))}")
    try:
        bundle = open_bundle(path)
    except BundleError as error:
        raise FlowError(f"{error}; remove {shown(str(out))}, and train anew") from error
    if bundle.sha256 != made.sha256:
        raise FlowError(f"{shown(str(path))}: is another bundle than the workshop told; train anew")
    trained = {
        "of": of,
        "bundle": str(path),
        "sha256": bundle.sha256,
        "name": bundle.manifest.name,
        "preset": bundle.manifest.provenance.preset,
        "held": list(made.held),
        "lines": [stored(one)[:LONGEST] for one in made.lines[:LINES]],
    }
    return replace(state, trained=trained, bundle=bundle.sha256)


def _spoken(seconds: float) -> str:
    minutes = max(0.0, seconds) / 60
    if minutes < 1.5:
        return "a minute"
    return f"{minutes:.0f} min" if minutes < 100 else f"{minutes / 60:.1f} h"
