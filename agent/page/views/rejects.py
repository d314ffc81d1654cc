"""What was rejected, or not decided, newest first: from the board, and from an archive."""

from __future__ import annotations

from typing import cast, get_args

from agent.archive.entry import Head, strongest_label
from agent.archive.faults import ArchiveError
from agent.archive.index import Query as Wanted
from agent.messages import VerdictName
from agent.page.sources import Json, Query, Sources
from agent.page.views.live import facts_of, picture_address
from agent.page.views.marks import labels, marked

AT_ONCE = 48


def data(sources: Sources, query: Query) -> Json:
    verdict, camera = query.get("verdict", "fail"), query.get("camera") or None
    label = query.get("label") or None
    wanted = cast(VerdictName, verdict) if verdict in get_args(VerdictName) else None
    after = (query.get("created", ""), query.get("id", ""))
    older = after if all(after) else None
    snapshot = sources.shown.snapshot()
    found: dict[str, Json] = {}
    if older is None:
        for one in snapshot.rejects:
            pairs = (
                (wanted, one.verdict.verdict),
                (camera, one.verdict.camera),
                (label, strongest_label(one.verdict.defects)),
            )
            if all(asked in (None, has) for asked, has in pairs):
                address = picture_address(one.verdict.result_id, "thumb")
                found[one.verdict.result_id] = {**facts_of(one.verdict), "picture": address}
    kept, words = _kept(sources, wanted, camera, label, older)
    for head in kept:
        found.setdefault(head.id, _of_head(head))
    marks = marked(sources, list(found))
    shown = [{**one, "mark": marks.get(id_)} for id_, one in found.items()]
    results = sorted(shown, key=lambda one: (one["created"], one["id"]), reverse=True)
    last = kept[-1] if len(kept) == AT_ONCE else None
    return {
        "results": results,
        "cameras": [one.name for one in snapshot.cameras],
        "words": words,
        "labels": labels(sources),
        "named": _named(sources),
        "can": {"mark": sources.behind.marks is not None},
        "older": None if last is None else {"created": last.created, "id": last.id},
    }


def _kept(
    sources: Sources,
    verdict: VerdictName | None,
    camera: str | None,
    label: str | None,
    after: tuple[str, str] | None,
) -> tuple[list[Head], str | None]:
    """And why there are none."""
    shelf = sources.behind.archive
    if shelf is None:
        return [], "Only the last ones: no frames are kept here; archive.folder in the settings names a place"
    try:
        found = shelf.find(Wanted(verdict=verdict, camera=camera, label=label, after=after, limit=AT_ONCE))
    except ArchiveError as error:
        return [], f"Only the last ones: {error}"
    return [one.head for one in found], None


def _named(sources: Sources) -> list[str]:
    """Labels that results here have."""
    shelf = sources.behind.archive
    of_board = {strongest_label(one.verdict.defects) for one in sources.shown.snapshot().rejects}
    try:
        kept = [] if shelf is None else shelf.labels()
    except ArchiveError:  # what is wrong with it is said beside the results
        kept = []
    return sorted({*kept, *(one for one in of_board if one is not None)})


def _of_head(head: Head) -> Json:
    known = head.score is not None and head.threshold
    return {
        "id": head.id,
        "sequence": None,
        "camera": head.camera,
        "created": head.created,
        "frame_id": None,
        "part_id": head.part_id,
        "verdict": head.verdict,
        "reason": head.reason,
        "score": 100 * (head.score or 0) / (head.threshold or 1) if known else None,
        "lines": head.lines,
        "boxes": [list(box) for box in head.boxes],
        "label": head.label,
        "picture": picture_address(head.id, "thumb"),
    }
