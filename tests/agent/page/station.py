"""A page with all that may be behind it: an archive of real entries, a day, rolls, a settings desk."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import time
from functools import partial
from pathlib import Path

from pydantic import JsonValue

from agent.archive.entry import compose, head_of
from agent.archive.shelf import Shelf
from agent.clock import Clock, SystemClock, new_uuid7, rfc3339
from agent.contract.actuation import Action, Cause
from agent.contract.arguments import CommandName
from agent.contract.commands import NotDoneError
from agent.contract.judging import MarkResult
from agent.contract.row import Changed, Row, Waiting
from agent.contract.topics import Topics
from agent.contract.verdict import Verdict
from agent.errors import PlumblineError
from agent.labels.label_set import LabelsError
from agent.line.way import RightOfWay
from agent.marks.file import MarkFile
from agent.marks.marks import Marks
from agent.messages import Frame, Inspection, Scale, VerdictName
from agent.outputs.account import Account
from agent.outputs.nouns import Ending
from agent.page.control import Control
from agent.page.jobs import Say
from agent.page.labels import told as labels_told
from agent.page.server import PageServer
from agent.page.sources import Behind, Change, Json
from agent.remote.changes import ChangeFile
from agent.remote.settings.store import Snapshot
from agent.rolls.rolls import Rolls
from agent.settings import archive as archive_settings
from agent.settings.settings import Settings
from agent.status.board import Board
from agent.status.day import Day
from agent.status.metrics import Metrics
from agent.teach.own import OwnBundles
from agent.teach.station import Teaching
from agent.teach.steps import Judges, Steps
from agent.teach.tap import Tap
from agent.teach.workshop import WorkshopError
from tests.agent.explain.samples import explanation
from tests.agent.labels.made import learned
from tests.agent.remote.fakes import FakeRollouts
from tests.agent.status.samples import THRESHOLD, part, streaming_board, verdict

MARKED = {"crack": 6, "dent": 5, "rare": 2}  # labelled defects
RECIPE = "ef" * 32


@dataclass
class FakeDesk:
    """Remembers what it was asked for."""

    asked: list[tuple[str, Json, str]] = field(default_factory=list)
    refuses: NotDoneError | None = None
    refusals: Mapping[str, int] = field(default_factory=lambda: {"expired": 2, "busy": 0})
    performed: int = 7
    commanded_ns: int | None = None
    answers: dict[str, Json] = field(default_factory=dict)
    marks: Marks | None = None
    says: dict[str, list[tuple[str, Json]]] = field(default_factory=dict)
    may_end: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.may_end.set()

    def ask(
        self, name: CommandName, args: Mapping[str, JsonValue], who: str, *, within_s: float, say: Say
    ) -> Mapping[str, JsonValue]:
        self.asked.append((name, dict(args), who))
        for message, data in self.says.get(name, []):
            say(message, data)
        self.may_end.wait()
        if self.refuses is not None:
            raise self.refuses
        if name == "mark" and self.marks is not None:
            return self.marks.mark(MarkResult.model_validate(dict(args)), who, "page").data()
        return self.answers.get(name, {"state": "done"})


@dataclass
class NoOutbox:
    """Has no row, and takes every one at once."""

    rows: list[Row] = field(default_factory=list)

    def find(self, id_: str) -> Waiting | Changed | None:
        return None

    def append(self, rows: Sequence[Row]) -> Future[None]:
        self.rows += rows
        done: Future[None] = Future()
        done.set_result(None)
        return done


@dataclass
class FakeHistory:
    kept: list[tuple[str, Snapshot]] = field(default_factory=list)
    reverted: list[tuple[str, str]] = field(default_factory=list)

    def snapshots(self) -> list[tuple[str, Snapshot]]:
        return self.kept

    def current(self) -> str | None:
        return self.kept[-1][0] if self.kept else None

    def attempted(self) -> Json | None:
        return {"state": "rejected", "errors": [{"message": "rtsp://me:secret@there is no camera"}]}

    def revert(self, sha256: str, who: str) -> None:
        self.reverted.append((sha256, who))


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
    desk: FakeDesk
    history: FakeHistory
    changes: ChangeFile
    marks: Marks
    teaching: Teaching
    parts: list[Json] = field(default_factory=list)  # what its part rules show

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
                restored=seen.restored,
                started_ns=0,
                finished_ns=1,
            )
            self.shelf.put(head_of(record, RECIPE), compose(record, RECIPE, frame, inspection))
        return record


def no_set_of_cd(recipe: str, sha256: str) -> None:
    if sha256 == "cd" * 32:
        raise LabelsError("that label set is not here")


class NoOtherRollouts(FakeRollouts):
    """Bundles may be installed, and none is."""

    why_closed = None


def has_workshop(program: Path) -> Path:
    """Where it lies there."""
    if not program.exists():
        raise WorkshopError(f"the workshop is not installed here: no {program}")
    return program


def outputs_shown() -> list[Json]:
    """A gate behind the camera `top`, which has rejected, missed and hit a neighbour."""
    account = Account(name="reject", camera="top", trouble="Modbus 10.0.0.9:502 did not answer within 0.5 s")
    causes: list[tuple[Action, Cause]] = [("reject", "verdict"), ("reject", "neighbour"), ("missed", "gate")]
    for number, (action, cause) in enumerate(causes):
        acted_ns = 1_400_000 if cause == "verdict" else None
        account.take(
            Ending(frame_id=number, action=action, cause=cause, decision=None, due_ns=0, acted_ns=acted_ns)
        )
    return [{**account.view(), "under_way": 3, "passed": 240}]


@contextmanager
def running(folder: Path, *, recipes: list[Json] | None = None) -> Iterator[Station]:
    """Files are kept below `folder`."""
    folder.mkdir(exist_ok=True)
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

    def explain(result_id: str) -> Json:
        if station.replay_fails:
            raise PlumblineError(
                "bundle old cannot explain its scores; add it with `plumbline-lab explaining`"
            )
        return explanation(result_id).model_dump(mode="json", by_alias=True)

    marks = Marks(
        MarkFile(folder / "marks.sqlite3"),
        outbox=NoOutbox(),
        topics=Topics(site="s", area="a", line="l", station="cell3"),
        shelf=shelf,
        wanted=lambda verdict: True,
        boot_id="boot-1",
        clock=clock,
        new_id=partial(new_uuid7, clock),
    )
    desk, history = FakeDesk(marks=marks), FakeHistory()
    changes = ChangeFile(folder / "changes.jsonl", clock)
    own = OwnBundles(
        rollouts=NoOtherRollouts,
        settings=lambda: wanted,
        settings_sha256=lambda: "cd" * 32,
        settling=lambda: None,
        serves=lambda: "ab" * 32,
        set_threshold=lambda threshold, onto, who: {},
        way=RightOfWay(),
        find=lambda: has_workshop(folder / "plumbline-lab"),
    )
    steps = Steps(
        tap=Tap(),
        settings=lambda: wanted,
        judges=lambda: Judges(bundle_sha256="ab" * 32, engine="openvino-f32"),
        activate=lambda threshold, onto, who: desk.ask(
            "threshold", {"threshold": threshold, "onto": onto}, who, within_s=1
        ),
        own=own,
        way=RightOfWay(),
        clock=clock,
    )
    teaching = Teaching(folder / "teach", steps=steps, own=own, settings=lambda: wanted, changes=changes)
    behind = Behind(
        outputs=outputs_shown,
        parts=lambda: station.parts,
        teaching=teaching,
        desk=desk,
        history=history,
        changes=changes,
        control=Control(
            commanded_ns=lambda: desk.commanded_ns, gives_way_s=300.0, record=changes, clock=clock
        ),
        in_force=lambda: {
            "bundle": "ab" * 32,
            "settings": "cd" * 32,
            "recipe": "default",
            "recipes": ["default", "other"],
            "thresholds": {"top": THRESHOLD},
            "paused": None,
            "cameras": [],
        },
        archive=shelf,
        marks=marks.file,
        day=day,
        shift_starts=[time(hour) for hour in range(24)],
        rolls=rolls,
        change=Change(in_force=lambda: wanted, propose=lambda patch, who, _: proposed.append((patch, who))),
        replay=replay,
        explain=explain,
        learn_labels=lambda recipe: labels_told(learned(MARKED), ("result r-9: keeps no picture of it",)),
        check_labels=no_set_of_cd,
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
        desk=desk,
        history=history,
        changes=changes,
        marks=marks,
        teaching=teaching,
    )
    yield station
    page.stop()
    marks.stop()
    shelf.close()
