"""What the proof process does, from its order to the last line that it says."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from agent import logs
from agent.archive import look
from agent.archive.entry import Entry
from agent.archive.faults import ArchiveError
from agent.bundle.bundle import Bundle, BundleError, open_bundle
from agent.clock import Clock, SystemClock, rfc3339
from agent.durable import write_all
from agent.engines.cache import EngineCache
from agent.engines.choice import look_around
from agent.engines.engine import DeviceLost, OutOfMemory
from agent.engines.open import Best
from agent.engines.switch import Switch
from agent.errors import PlumblineError
from agent.foreign import stored
from agent.line.recipe import DEFAULT, Recipe, make_recipe
from agent.marks.file import MarksError
from agent.marks.file import Wanted as WantedMarks
from agent.marks.read import newest as marks_of
from agent.marks.read import place as place_of_marks
from agent.remote.proof.candidate import open_candidate, open_incumbent, require_as_good
from agent.remote.proof.document import (
    MAX_TEXT,
    Done,
    Found,
    Frames,
    NotProven,
    OnMarks,
    Order,
    Refused,
    Side,
    Step,
    line_of,
)
from agent.remote.proof.limits import refusal
from agent.remote.proof.marked import counted, judge_marks, words
from agent.remote.proof.shadow import Compared, Pair, Shadow
from agent.remote.proof.worst import Gallery, NotKept
from agent.settings.settings import Logs, Settings

Tell = Callable[[Step], None]


def main(handle: int) -> None:
    """Say on `handle` what comes of the order on standard input."""
    logs.configure(Logs(level="error", format="json"))

    def say(what: Step | Refused | Done) -> None:
        write_all(handle, line_of(what))

    try:
        order = Order.model_validate_json(sys.stdin.buffer.read(), strict=True)
        say(Done(found=prove(order, SystemClock(), say)))
    except NotProven as error:
        say(Refused(code=error.code, message=_text(error), found=error.found))
    except PlumblineError as error:
        say(Refused(code=422, message=_text(error)))
    except Exception as error:  # the last line of defence: the other side has to hear it
        say(Refused(code=500, message=_text(f"its proof ended by {type(error).__name__}: {error}")))


def prove(order: Order, clock: Clock, tell: Tell) -> Found:
    """The whole proof. Raises NotProven, and BundleError for a candidate that is not whole."""
    wanted = settings_of(order)
    machine = look_around()
    served = {order.incumbent_sha256} - {None, order.candidate_sha256}
    cache = EngineCache(
        wanted.engine_cache(), wanted.engine.cache_max_bytes, protected={one for one in served if one}
    )
    tell(Step(step="candidate"))
    bundle = _opened(Path(order.candidate), order.candidate_sha256)
    at = rfc3339(clock.utc_now())
    best, golden = open_candidate(bundle, wanted.engine, machine, cache, at)
    limits = wanted.remote.proof
    found = Found(
        at=at,
        candidate=_side(bundle, best),
        incumbent=None,
        golden=golden,
        frames=Frames(wanted=limits.frames),
    )
    tell(Step(step="incumbent"))
    before, notes = None, list[str]()
    if order.incumbent is None or order.incumbent_sha256 is None:
        notes.append("no bundle that is whole serves here: no frame was judged")
    else:
        serving = _opened_incumbent(Path(order.incumbent), order.incumbent_sha256)
        opened = open_incumbent(serving, wanted.engine, machine, cache)
        if isinstance(opened, str):
            notes.append(opened)
        else:
            found = found.model_copy(update={"incumbent": _side(serving, opened)})
            require_as_good(best, opened, found)
            before = opened
    gallery = Gallery()
    if before is not None:
        pairs = _pairs(wanted, _serving(serving, before), _serving(bundle, best))
        rests = any(one.kind.device != "cpu" for one in (before, best))
        found = _shadowed(found, wanted, pairs, clock, gallery, tell, notes, rests=rests)
    found = found.model_copy(update={"notes": tuple(_text(one) for one in notes)})
    tell(Step(step="pictures"))
    refused = refusal(found, limits)
    found = found.model_copy(
        update={"worst": gallery.worst(), "refused": None if refused is None else _text(refused)}
    )
    try:
        gallery.write(Path(order.folder), found)
    except NotKept as error:  # people see less; the bundle is what it is
        bare = tuple(one.model_copy(update={"pictures": {}}) for one in found.worst)
        found = found.model_copy(update={"worst": bare, "notes": (*found.notes, _text(error))})
    return found


def settings_of(order: Order) -> Settings:
    """Those of the order; they were checked when the station took them."""
    return Settings.model_validate_json(json.dumps(order.settings), strict=True)


def _shadowed(
    found: Found,
    wanted: Settings,
    pairs: Mapping[str, Pair],
    clock: Clock,
    gallery: Gallery,
    tell: Tell,
    notes: list[str],
    *,
    rests: bool,
) -> Found:
    """`rests`: a GPU knows no priorities, so that half of the time is left to the line."""
    frames = wanted.remote.proof.frames
    shadow = Shadow(wanted=frames)
    begun_ns = clock.monotonic_ns()

    def seen(compared: Compared) -> None:
        nonlocal begun_ns
        gallery.see(compared)
        tell(Step(step="frames", done=len(shadow.verdicts), of=frames))
        if rests:
            time.sleep((clock.monotonic_ns() - begun_ns) / 1e9)
        begun_ns = clock.monotonic_ns()

    def pair_of(entry: Entry) -> Pair | None:
        pair = pairs.get(entry.verdict.recipe_id if wanted.recipes else DEFAULT)
        return pair if pair is not None and entry.frame.camera in pair.candidate.rules else None

    tell(Step(step="frames", done=0, of=frames))
    folder = wanted.archive.folder
    if folder is None:
        notes.append("archive.folder is not set: no frame was judged")
        return found
    try:
        shadow.judge(look.newest(folder), pair_of, clock, seen)
    except (DeviceLost, OutOfMemory) as error:
        raise NotProven(500, f"this machine could not judge the archive's frames twice: {error}") from error
    except ArchiveError as error:
        notes.append(str(error))
    marks = _on_marks(wanted, folder, pairs, clock, notes)
    judged = shadow.frames()
    if judged.judged < frames:
        notes.append(f"the archive has {judged.judged} frames that can be judged, {frames} were wanted")
    return found.model_copy(
        update={
            "frames": judged,
            "flips": shadow.flips(),
            "shift": shadow.shift(),
            "marks": marks,
            "unusable": tuple(shadow.unusable),
        }
    )


def _on_marks(
    wanted: Settings, archive: Path, pairs: Mapping[str, Pair], clock: Clock, notes: list[str]
) -> OnMarks | None:
    """What the candidate makes of the newest marks, as many as frames are wanted. Raises NotProven."""

    def recipe_of(entry: Entry) -> Recipe | None:
        pair = pairs.get(entry.verdict.recipe_id if wanted.recipes else DEFAULT)
        return None if pair is None else pair.candidate

    try:
        asked = WantedMarks(limit=wanted.remote.proof.frames)
        marks = marks_of(place_of_marks(wanted.outbox.path), asked).marks
        found = counted(judge_marks(marks, archive, recipe_of, clock))
    except MarksError as error:
        notes.append(str(error))
        return None
    except (DeviceLost, OutOfMemory) as error:
        raise NotProven(500, f"this machine could not judge what people have marked: {error}") from error
    if not marks:
        return None
    notes.append(words(found))
    return found


def _pairs(
    wanted: Settings, incumbent: tuple[Bundle, Switch], candidate: tuple[Bundle, Switch]
) -> Mapping[str, Pair]:
    """By the recipe's name; recipes with a bundle of their own will not be judged by the candidate."""
    of_station = [one for one in wanted.recipes if one.bundle is None] if wanted.recipes else [None]
    return {
        DEFAULT if one is None else one.name: Pair(
            incumbent=make_recipe(wanted, *incumbent, one), candidate=make_recipe(wanted, *candidate, one)
        )
        for one in of_station
    }


def _serving(bundle: Bundle, best: Best) -> tuple[Bundle, Switch]:
    switch = Switch()  # which tells in which precision was judged
    switch.serve(best.engine)
    return bundle, switch


def _side(bundle: Bundle, best: Best) -> Side:
    return Side(name=bundle.manifest.name, sha256=bundle.sha256, engine=best.engine.describe().name)


def _opened(path: Path, sha256: str) -> Bundle:
    bundle = open_bundle(path)
    if bundle.sha256 != sha256:
        raise NotProven(500, f"{stored(str(path))}: was exchanged meanwhile; prove it again")
    return bundle


def _opened_incumbent(path: Path, sha256: str) -> Bundle:
    try:
        return _opened(path, sha256)
    except BundleError as error:
        raise NotProven(500, f"the bundle that serves cannot be read: {error}") from error


def _text(words: object) -> str:
    return stored(str(words))[:MAX_TEXT]
