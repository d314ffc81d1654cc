"""A page with all that may be behind it: an archive of real entries, a day, rolls, a settings desk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import time
from pathlib import Path

from pydantic import JsonValue

from agent.archive.entry import compose, head_of
from agent.archive.shelf import Shelf
from agent.clock import Clock, SystemClock, rfc3339
from agent.contract.verdict import Verdict
from agent.errors import PlumblineError
from agent.messages import Frame, Inspection, Scale, VerdictName
from agent.page.server import PageServer
from agent.page.sources import Behind, Change, Json
from agent.rolls.rolls import Rolls
from agent.settings import archive as archive_settings
from agent.settings.settings import Settings
from agent.status.board import Board
from agent.status.day import Day
from agent.status.metrics import Metrics
from tests.agent.status.samples import THRESHOLD, part, streaming_board, verdict

RECIPE = "ef" * 32


@dataclass(slots=True, kw_only=True)
class Station:
    board: Board
    shelf: Shelf
    day: Day
    rolls: Rolls
    settings: Settings
    page: PageServer
    clock: Clock
    proposed: list[tuple[Mapping[str, JsonValue], str]] = field(default_factory=list)
    replayed: list[str] = field(default_factory=list)
    replay_fails: bool = False

    def judge(
        self,
        number: int,
        name: VerdictName = "pass",
        *,
        on_board: bool = True,
        kept: bool | None = None,
        reason: str | None = None,
        part_id: str | None = None,
    ) -> Verdict:
        """One record as a line makes it; `kept`: in the archive, None as the settings want it."""
        seen = part(number)
        frame = Frame(
            camera="top",
            frame_id=number,
            image=seen.image,
            captured_ns=0,
            captured_at=self.clock.utc_now(),
            part_id=part_id,
        )
        boxes = (seen.box,) if name == "fail" else ()
        normalized = 160.0 if name == "fail" else 50.0
        record = verdict(number, name, normalized=normalized, boxes=boxes, reason=reason, part_id=part_id)
        told = record.frame.model_copy(update={"sha256": frame.digest(), "lines": 300})
        record = record.model_copy(update={"created": rfc3339(self.clock.utc_now()), "frame": told})
        self.day.saw(record, width=300, height=300)
        if on_board:
            self.board.judged(record, seen.image)
            if name in ("fail", "undecided"):
                self.board.rejected(
                    record,
                    image=seen.image,
                    restored=seen.restored,
                    evidence=seen.evidence,
                    threshold=THRESHOLD,
                )
        if kept if kept is not None else name in ("fail", "undecided"):
            inspection = Inspection(
                scores=seen.evidence.max(keepdims=True)[0],
                evidence=seen.evidence,
                restored=None,
                started_ns=0,
                finished_ns=1,
            )
            self.shelf.put(head_of(record, RECIPE), compose(record, RECIPE, frame, inspection))
        return record


@contextmanager
def running(folder: Path, *, recipes: list[Json] | None = None) -> Iterator[Station]:
    """Files are kept below `folder`."""
    clock = SystemClock()
    board = streaming_board(clock)
    limits = archive_settings.Archive(folder=folder / "archive")
    shelf = Shelf(folder / "archive", limits, clock=clock)
    shelf.open()
    wanted = Settings.model_validate(
        {
            "cameras": [{"name": "top", "source": {"kind": "folder", "path": str(folder)}}],
            "recipes": recipes or [],
        }
    )
    rolls = Rolls({"top": 0}, {"top": Scale(mm_per_px=0.1, mm_per_line=0.1)}, clock)
    day = Day(folder / "day.json", clock)
    proposed: list[tuple[Mapping[str, JsonValue], str]] = []
    replayed: list[str] = []

    def replay(result_id: str) -> Json:
        replayed.append(result_id)
        if station.replay_fails:
            raise PlumblineError("its bundle is not here any more; install it again")
        row = {"what": "score", "then": 0.0496, "now": 0.0496, "is_same": True}
        return {"reproduced": True, "rows": [row], "digests": [], "notes": ["on the same engine"]}

    behind = Behind(
        archive=shelf,
        day=day,
        shift_starts=[time(hour) for hour in range(24)],
        rolls=rolls,
        change=Change(in_force=lambda: wanted, propose=lambda patch, who: proposed.append((patch, who))),
        replay=replay,
    )
    page = PageServer(board, Metrics(), host="127.0.0.1", port=0, behind=behind)
    page.start()
    station = Station(
        board=board,
        shelf=shelf,
        day=day,
        rolls=rolls,
        settings=wanted,
        page=page,
        clock=clock,
        proposed=proposed,
        replayed=replayed,
    )
    yield station
    page.stop()
    shelf.close()
