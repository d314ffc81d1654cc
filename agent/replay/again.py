"""One decision made once more: the archive's pixels, the bundle and the rules of then, an engine of now.

Pages, commands and the command line call `agent/replay/apart.py`, which does this in a process of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from agent.archive.entry import Entry
from agent.archive.record import Decided, decided_by
from agent.bundle.bundle import Bundle, open_bundle
from agent.clock import Clock
from agent.engines.engine import Engine, tolerance
from agent.engines.switch import Switch
from agent.errors import PlumblineError
from agent.foreign import stored
from agent.line.ignore import NothingLeftError
from agent.line.infer import infer
from agent.line.judge import judge
from agent.line.prepare import PrepareError, prepare
from agent.line.recipe import make_recipe
from agent.messages import Floats, Judgement
from agent.replay.compare import SAME_ENGINE, SPANS_WINDOWS, rows_of, spans_windows
from agent.replay.document import Digest, Replayed, Row
from agent.replay.engine import open_for
from agent.replay.told import ReplayError, Told, find_bundle, find_entry, read_told, trusted
from agent.settings.settings import Settings

UNKEPT_RULES = (
    "an older version kept the picture without the rules: threshold and bundle are those of then, smallest"
    " defect, regions to ignore and lines that may be lost those of the settings now"
)
OF_RULES = ("threshold", "min_area_px", "max_invalid_ratio", "max_windows", "ignore")


class Order(BaseModel):
    """What is to be decided once more; the process reads it from standard input."""

    schema_: Literal["plumbline.replay-order/1"] = Field("plumbline.replay-order/1", alias="schema")
    result_id: str | None = None
    file: str | None = None  # with the verdict, as somebody else kept it
    bundle: str | None = None  # where the one of then is not on this station any more
    engine: str | None = None  # kind, with or without -precision; None: the one that judged then
    task: Literal["replay", "explain"] = "replay"  # explain: why it was judged so, of a result_id alone
    settings: dict[str, Any]  # those in force, with absolute paths

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


def order_of(
    wanted: Settings,
    *,
    result_id: str | None = None,
    file: Path | None = None,
    bundle: Path | None = None,
    engine: str | None = None,
    task: Literal["replay", "explain"] = "replay",
) -> Order:
    """Of settings that were loaded; exactly one of `result_id` and `file`."""
    return Order(
        task=task,
        result_id=result_id,
        file=None if file is None else str(file.absolute()),
        bundle=None if bundle is None else str(bundle.absolute()),
        engine=engine,
        settings=wanted.model_dump(mode="json"),
    )


def replay(order: Order, clock: Clock) -> Replayed:
    """The decision of then, made once more in this process.

    Raises ReplayError, EntryError for a picture that is not as it was judged, BundleError and NotTrusted.
    """
    wanted = Settings.model_validate_json(json.dumps(order.settings), strict=True)
    told, kept, notes = found_for(order, wanted)
    _require_own(told, wanted)
    bundle = (
        find_bundle(wanted, told)
        if order.bundle is None
        else trusted(open_bundle(Path(order.bundle)), wanted)
    )
    decided, of_rules = _rules_of(told, kept, wanted, bundle)
    opened = open_for(told.model.engine, order.engine, bundle, wanted)
    try:
        judgement, evidence = judge_once_more(kept, decided, bundle, opened.engine, clock)
        now = opened.engine.describe()
        is_same_engine = now.name == told.model.engine
        allowed = SAME_ENGINE if is_same_engine else tolerance(opened.engine, bundle)
    finally:
        opened.engine.close()
    rows = rows_of(told, judgement, kept=kept.evidence, evidence=evidence, allowed=allowed)
    in_force, of_force = _in_force(told, decided, wanted)
    digests = (
        Digest(what="pixels", then=told.frame.sha256 or "", used=kept.frame.digest()),
        Digest(what="bundle", then=told.model.sha256, used=bundle.sha256, in_force=in_force),
        Digest(
            what="settings",
            then=told.settings.sha256,
            used=told.settings.sha256 if kept.decided is not None else wanted.digest(),
            in_force=wanted.digest(),
        ),
    )
    spans = (SPANS_WINDOWS,) if spans_windows(told) else ()
    near = () if is_same_engine else _near(rows, judgement)
    said = (*notes, *of_rules, *opened.notes, *spans, *near, *of_force)
    return Replayed(
        result_id=stored(told.result_id),
        camera=stored(told.camera),
        created=stored(told.created),
        engine_then=stored(told.model.engine),
        engine_now=now.name,
        digests=digests,
        rows=rows,
        notes=tuple(stored(one)[:2000] for one in said),
        reproduced=not notes and all(one.is_same for one in digests) and all(one.is_same for one in rows),
    )


def found_for(order: Order, wanted: Settings) -> tuple[Told, Entry, tuple[str, ...]]:
    """The record, its picture, and where a file says otherwise than the archive. Raises ReplayError."""
    told = None
    if order.file is not None:
        told = read_told(Path(order.file))
        _require_own(told, wanted)
        if told.verdict == "skipped" or told.frame.sha256 is None:
            raise ReplayError(
                f"{told.result_id}: was skipped ({told.reason}): there was no picture, so there is nothing to"
                " judge once more"
            )
    folder = wanted.archive.folder
    if folder is None:
        raise ReplayError("archive.folder is not set, so no pictures are kept; name a folder there")
    kept = find_entry(folder, told.result_id if told is not None else order.result_id or "")
    recorded = Told.model_validate_json(kept.recorded)
    if told is None:
        return recorded, kept, ()
    if told.frame.sha256 != recorded.frame.sha256:
        raise ReplayError(
            f"{told.result_id}: the file names other pixels than the archive's record; one was changed"
        )
    notes = [
        f"the file says another {name} than the archive's record: one of the two was changed"
        for name in ("verdict", "reason", "score", "defects", "model", "settings", "camera", "recipe_id")
        if getattr(told, name) != getattr(recorded, name)
    ]
    return told, kept, tuple(notes)


def _require_own(told: Told, wanted: Settings) -> None:
    if told.station != wanted.identity.station:
        raise ReplayError(
            f"{told.result_id}: is of station {told.station}, and these settings are of"
            f" {wanted.identity.station}; run it there, or with the settings of that station"
        )


def _rules_of(told: Told, kept: Entry, wanted: Settings, bundle: Bundle) -> tuple[Decided, tuple[str, ...]]:
    """Those of then; of an entry without them, as much as its verdict tells."""
    if kept.decided is not None:
        return kept.decided, ()
    own = next((one for one in wanted.recipes if one.name == told.recipe_id), None)
    recipe = make_recipe(wanted, bundle, Switch(), own)
    if told.camera not in recipe.rules:
        raise ReplayError(
            f"{told.result_id}: an older version kept it without its rules, and camera {told.camera} is in"
            " the settings no more; name it there"
        )
    today = decided_by(recipe.rules_of(told.camera), precision=None)
    thresholds = {"f32": bundle.manifest.threshold.raw, **bundle.calibrated()}
    then = thresholds["f32"] if told.score is None else told.score.threshold
    of_bundle = any(np.float32(one) == np.float32(then) for one in thresholds.values())
    update = {"threshold": thresholds["f32"], "calibrated": bundle.calibrated()}
    return today.model_copy(update=update if of_bundle else {"threshold": then, "calibrated": {}}), (
        UNKEPT_RULES,
    )


def judge_once_more(
    kept: Entry, decided: Decided, bundle: Bundle, engine: Engine, clock: Clock
) -> tuple[Judgement, Floats]:
    """As the line does it, by these rules; the map (h, w). Raises ReplayError where it cannot be judged."""
    switch = Switch()  # which tells in which precision was judged
    switch.serve(engine)
    manifest = bundle.manifest
    rules = decided.rules(scale=manifest.input.scale, stride_px=manifest.map.stride_px)
    try:
        prepared = prepare(kept.frame, manifest.input, clock)
        without = (
            None
            if rules.ignore is None
            else rules.ignore.cells(prepared, rules.stride_px, first_line=decided.part_line)
        )
        inspection = infer(prepared, switch, clock, restored=False, without=without)
    except (PrepareError, NothingLeftError) as error:
        raise ReplayError(f"{kept.verdict.result_id}: cannot be judged, now as then: {error}") from error
    return judge(kept.frame, inspection, rules), inspection.evidence


def _in_force(told: Told, decided: Decided, wanted: Settings) -> tuple[str | None, tuple[str, ...]]:
    """The digest of the bundle that the settings name now, and what rules of now say otherwise."""
    own = next((one for one in wanted.recipes if one.name == told.recipe_id), None)
    path = wanted.bundle if own is None or own.bundle is None else own.bundle
    try:
        serving = open_bundle(path)
        recipe = make_recipe(wanted, serving, Switch(), own)
        today = decided_by(recipe.rules_of(told.camera), precision=None)
    except PlumblineError as error:
        return None, (f"what judges now cannot be told: {error}",)
    return serving.sha256, tuple(_otherwise(decided, today))


def _otherwise(then: Decided, today: Decided) -> Iterator[str]:
    for name in OF_RULES:
        old, new = getattr(then, name), getattr(today, name)
        if old == new:
            continue
        if name == "ignore":
            yield "by the settings of now other regions are ignored"
        else:
            yield f"by the settings and bundle of now {name} is {new:g}; it was {old:g}"


def _near(rows: tuple[Row, ...], judgement: Judgement) -> tuple[str, ...]:
    """Words for a verdict that another engine may decide either way."""
    score, _, verdict = rows[:3]
    if verdict.is_same or not score.is_same or score.allowed is None or judgement.threshold == 0:
        return ()
    if abs(judgement.score - judgement.threshold) > score.allowed * judgement.threshold:
        return ()
    return ("the score is so near to the threshold that another engine may decide either way",)
