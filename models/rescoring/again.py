"""The pure function from a part's files to its rows: whoever calls it, wherever, gets the same.

A frame is judged by the device's own steps: threshold and measures of the new bundle, in the precision of
this machine's engine; smallest defect, regions to ignore and lines that may be lost as they were then. Each
engine has one thread: rows do not depend on how many there are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from agent.archive import entry
from agent.archive.chunks import Torn
from agent.archive.entry import Entry, EntryError, NotOurs
from agent.archive.record import Decided, MarkWord
from agent.bundle.bundle import Bundle
from agent.clock import Clock, SystemClock
from agent.contract.mark import Truth, truth_of
from agent.contract.verdict import Verdict
from agent.engines.engine import DeviceLost, Engine, OutOfMemory
from agent.engines.open import open_engine
from agent.errors import PlumblineError
from agent.foreign import shown, stored
from agent.messages import Judgement
from agent.remote.proof.document import VerdictWord
from agent.remote.proof.limits import shift
from agent.remote.proof.marked import Becomes, becomes
from agent.replay.again import judge_once_more
from agent.replay.told import ReplayError
from agent.settings import settings
from agent.settings.web import Web
from models.rescoring.faults import RescoreError
from models.rescoring.row import STATUSES, Row, Status

OF_NO_PICTURE = ("part_missing", "unknown_product")  # undecided whatever the picture shows: now as then
LONGEST_WHY = 500
_Told: TypeAlias = tuple[str | None, str | None, str | None]  # station, camera, and digest of the picture
WORDS: dict[str, VerdictWord] = {"pass": "pass", "fail": "fail"}


@dataclass(frozen=True, kw_only=True)
class Judge:
    """A new bundle on an engine of this machine. It is closed by whoever has it."""

    bundle: Bundle
    engine: Engine
    clock: Clock


def open_judge(bundle: Bundle) -> Judge:
    """On the best CPU engine here, with one thread. Raises RescoreError where none takes the bundle."""
    try:
        engine = open_engine(bundle, settings.Engine(device="cpu", threads=1))
    except PlumblineError as error:  # some cannot pass from one process to another
        raise RescoreError(str(error)) from error
    return Judge(bundle=bundle, engine=engine, clock=SystemClock())


def rows_of_part(files: Iterable[Mapping[str, Any]], folders: Sequence[str], judge: Judge) -> Iterator[Row]:
    """A row for each file, in their order; of copies, which follow each other, the first sound one counts.

    An entry of the same id is no copy where it is of another station or shows another picture. Raises
    RescoreError where an archive is not there, DeviceLost and OutOfMemory.
    """
    counts, counting = (
        "",
        dict[_Told, str](),
    )  # the id that was judged last, and the files of those that count
    for file in files:
        folder = Path(folders[file["folder"]])
        path = folder / file["name"]
        place = stored(str(path))
        if file["kind"] != "entry":
            yield Row(status=file["kind"], why=STATUSES[file["kind"]], file=place)
        elif file["id"] == counts and (counted := _counted(path, counting)) is not None:
            yield Row(status="double", why=f"counted as {counted}", file=place, result_id=counts)
        else:
            row = replace(_row(path, folder, file["id"], judge), file=place)
            if row.status in ("judged", "unscored"):
                counting = {**counting, _told(row): place} if file["id"] == counts else {_told(row): place}
                counts = file["id"]
            yield row


def _told(row: Row) -> _Told:
    return row.station, row.camera, row.pixels_sha256


def _counted(path: Path, counting: Mapping[_Told, str]) -> str | None:
    """The file that counts for a copy of it; one that cannot be read is taken for a copy of the first."""
    try:
        kept = entry.read(path)
    except EntryError:
        return next(iter(counting.values()))
    return counting.get(_told(_recorded(kept)))


def _row(path: Path, folder: Path, id_: str, judge: Judge) -> Row:
    try:
        kept = entry.read(path)
    except EntryError as error:
        return _not_read(error, folder)
    if kept.verdict.result_id != id_:
        why = f"it is entry {shown(kept.verdict.result_id)[:LONGEST_WHY]}"
        return Row(status="renamed", why=stored(why), file="")
    row = _recorded(kept)
    try:
        judgement, _ = judge_once_more(
            kept, _rules(kept, judge.bundle), judge.bundle, judge.engine, judge.clock
        )
    except (DeviceLost, OutOfMemory):
        raise
    except ReplayError as error:
        return replace(row, status="unscored", why=_text(error))
    except Exception as error:  # runtimes raise what they like; the line would call it undecided
        return replace(row, status="unscored", why=_text(f"no engine could judge it: {error!r}"))
    return _with(row, kept, judgement, judge)


def _not_read(error: EntryError, folder: Path) -> Row:
    match error.__cause__:
        case FileNotFoundError():
            if not folder.is_dir():
                raise RescoreError(
                    f"{shown(str(folder))}: this archive is not there; mount it at this very path, on each"
                    " machine"
                    " that judges, and run the same command again"
                ) from error
            status: Status = "gone"
        case OSError():
            status = "unreadable"
        case Torn():
            status = "torn"
        case NotOurs():
            status = "foreign"
        case _:
            status = "unsound"
    return Row(status=status, why=_text(error), file="")


def _recorded(kept: Entry) -> Row:
    said, lines = kept.verdict, kept.frame.image.shape
    year, week, _ = kept.frame.captured_at.isocalendar()
    return Row(
        status="judged",
        file="",
        result_id=said.result_id,
        station=stored(said.station),
        camera=stored(said.camera),
        product=stored(said.recipe_id),
        part_id=None if said.part_id is None else stored(said.part_id),
        captured_at=kept.frame.captured_at,
        week=f"{year}-W{week:02}",
        simulated=said.is_simulated,
        lines=lines[0],
        width=lines[1],
        channels=lines[2],
        pixels_sha256=said.frame.sha256,
        rules_kept=kept.decided is not None,
        then_verdict=WORDS.get(said.verdict, "undecided"),
        then_reason=None if said.reason is None else stored(said.reason),
        then_raw=None if said.score is None else _finite(said.score.raw),
        then_threshold=None if said.score is None else _finite(said.score.threshold),
        then_defects=len(said.defects),
        then_bundle=stored(said.model.sha256),
        then_engine=stored(said.model.engine),
        mark=None if kept.mark is None else kept.mark.word,
    )


def _rules(kept: Entry, bundle: Bundle) -> Decided:
    """The station's rules of then around the new bundle's threshold."""
    manifest = bundle.manifest
    then = kept.decided or Decided(
        threshold=manifest.threshold.raw,
        calibrated={},
        precision=None,
        min_area_px=settings.Judge().min_area_px,
        max_invalid_ratio=Web().max_invalid_ratio,
        max_windows=Web().max_windows_per_defect,
        ignore=None,
    )
    ignore = then.ignore
    return then.model_copy(
        update={
            "threshold": manifest.threshold.raw,
            "calibrated": bundle.calibrated(),
            "ignore": None if ignore is None else ignore.model_copy(update={"top": manifest.map.top}),
        }
    )


def _with(row: Row, kept: Entry, judgement: Judgement, judge: Judge) -> Row:
    verdict, reason = WORDS.get(judgement.verdict, "undecided"), judgement.reason
    if verdict != "undecided" and kept.verdict.reason in OF_NO_PICTURE:
        verdict, reason = "undecided", kept.verdict.reason
    raw, threshold = _finite(judgement.score), _finite(judgement.threshold)
    decided = "undecided" not in (row.then_verdict, verdict)
    shares = _normalized(row.then_raw, row.then_threshold), _normalized(raw, threshold)
    return replace(
        row,
        now_verdict=verdict,
        now_reason=reason,
        now_raw=raw,
        now_threshold=threshold,
        now_defects=len(judgement.defects),
        now_engine=judge.engine.describe().name,
        shift=shift(*shares) if decided and None not in shares else None,  # type: ignore[arg-type]
        becomes=_becomes(kept.verdict, row.mark, verdict),
    )


def _becomes(then: Verdict, mark: MarkWord | None, now: VerdictWord) -> Becomes | None:
    """None without a mark, or with one that does not tell what the part is."""
    truth: Truth | None = None
    match mark:
        case "confirmed":
            truth = truth_of(then.verdict, "right", None)
        case "false_alarm":
            truth = "good"
        case "missed_defect":
            truth = "defective"
    return None if truth is None else becomes(truth, now, was_right=mark == "confirmed")


def _normalized(raw: float | None, threshold: float | None) -> float | None:
    return None if raw is None or not threshold else 100 * raw / threshold


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _text(words: object) -> str:
    return stored(shown(str(words))[:LONGEST_WHY])
