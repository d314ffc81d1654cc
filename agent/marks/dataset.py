"""Marks as a data set in MVTec-AD's layout: made beside its place, and put there whole or not at all.

    DIR/train/good/RESULT_ID.png             good parts, as people say, and passes that were asked for
    DIR/test/good/RESULT_ID.png              one in five of the good parts that people marked
    DIR/test/LABEL/RESULT_ID.png             defective parts; `defect` where no label was given
    DIR/ground_truth/LABEL/RESULT_ID_mask.png    where the defect is, as far as the map tells (`masks.py`)
    DIR/provenance.json                      of each file the mark, digests, and how its mask was made

Pixels are those of the archive in 8 bits, as the line judges them. A mark without truth, or whose picture is
not kept, is left out and named.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.archive import entry, look, pixels
from agent.archive.bounds import by_chance
from agent.archive.chunks import Torn
from agent.archive.entry import Entry, EntryError, NotOurs
from agent.clock import Clock, rfc3339
from agent.contract.label import GOOD_WORDS, is_accent
from agent.contract.mark import Mark
from agent.durable import sync_folder, write_file
from agent.foreign import shown
from agent.marks.file import MarksError
from agent.marks.masks import mask_of
from agent.marks.pictures import entry_of
from agent.settings import bounded
from agent.track.depth import eight_bits

PROVENANCE = "provenance.json"
SCHEMA = "plumbline.marks-export/1"
MAX_PROVENANCE_BYTES = 1 << 30
TEST_SHARE = 0.2  # of good parts
LONGEST_FOLDER = 200  # bytes; file systems take 255, and small letters may be longer than their own
UNNAMED = "defect"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What is in the folder, by its folders, and what is not, by reason."""

    files: Mapping[str, int]
    masks: int
    left_out: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where pictures and marks are of."""

    archive: Path
    station: str


Going = Generator[int, None, Exported]


def export(
    marks: Iterable[Mark], source: Source, to: Path, clock: Clock, *, passes: int = 0, damaged: int = 0
) -> Going:
    """Make the data set at `to`, which is new, empty, or an export of before; yields how many were looked at.

    `passes` newest frames that passed and nobody marked are added to the good ones. Closed or failed before
    the end it leaves what was there. Raises MarksError, ArchiveError.
    """
    with _beside(to) as folder:
        _require_own(to)
        made = _Making(folder, source, clock)
        if damaged:
            made.left_out["damaged in the file of marks"] += damaged
        for number, (mark, kept) in enumerate(_pictures(list(marks), passes, source, made.left_out), 1):
            made.add(mark, kept)
            yield number
        made.finish()
        _put(folder, to)
    return Exported(files=dict(made.files), masks=made.masks, left_out=dict(made.left_out))


class _Making:
    """A data set that is not in its place yet."""

    def __init__(self, folder: Path, source: Source, clock: Clock) -> None:
        self.files: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()
        self.masks = 0
        self._folder = folder
        self._source = source
        self._clock = clock
        self._told: list[dict[str, Any]] = []

    def add(self, mark: Mark | None, kept: Entry) -> None:
        """None: a frame that passed and nobody marked."""
        group = _group(mark, kept)
        name = Path(*group, f"{kept.verdict.result_id}.png")
        image = eight_bits(kept.frame.image, kept.frame.bit_depth)
        told: dict[str, Any] = {
            "file": name.as_posix(),
            "sha256": self._write(name, pixels.to_png(image)),
            "result_id": kept.verdict.result_id,
            "pixels_sha256": kept.verdict.frame.sha256,
            "truth": "good" if mark is None else mark.truth,
            "mark": None if mark is None else mark.model_dump(mode="json", by_alias=True),
        }
        if mark is not None and mark.truth == "defective":
            mask, how = mask_of(kept, mark.defect_index)
            told["mask"] = {"file": None, "made": how}
            if mask is not None:
                place = Path("ground_truth", group[-1], f"{kept.verdict.result_id}_mask.png")
                told["mask"] |= {"file": place.as_posix(), "sha256": self._write(place, pixels.to_png(mask))}
                self.masks += 1
        self._told.append(told)
        self.files["/".join(group)] += 1

    def finish(self) -> None:
        """Nothing is added any more."""
        told = {
            "schema": SCHEMA,
            "station": self._source.station,
            "made": rfc3339(self._clock.utc_now()),
            "files": self._told,
            "left_out": dict(self.left_out),
        }
        self._write(Path(PROVENANCE), json.dumps(told, indent=1, ensure_ascii=False).encode())

    def _write(self, name: Path, content: bytes) -> str:
        path = self._folder / name
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True)
        write_file(path, [content])
        return hashlib.sha256(content).hexdigest()


def _pictures(
    marks: list[Mark], passes: int, source: Source, left_out: Counter[str]
) -> Iterator[tuple[Mark | None, Entry]]:
    for mark in marks:
        if mark.truth is None:
            left_out["neither good nor defective: of an undecided verdict that was right"] += 1
            continue
        kept = entry_of(source.archive, mark)
        if kept is None:
            left_out["picture not kept any more, or damaged"] += 1
        else:
            yield mark, kept
    marked = {mark.result_id for mark in marks}
    for path in look.newest(source.archive) if passes else ():
        try:
            if path.stem in marked or entry.read_head(path).verdict != "pass":
                continue
            yield None, entry.read(path)
        except (OSError, Torn, NotOurs, EntryError):
            continue
        passes -= 1
        if not passes:
            return
    if passes:
        left_out["not kept, of the passes that were asked for; raise archive.pass_share"] += passes


def _group(mark: Mark | None, kept: Entry) -> tuple[str, ...]:
    if mark is None:
        return "train", "good"
    if mark.truth == "good":
        return "test" if by_chance(kept.verdict.result_id, TEST_SHARE) else "train", "good"
    return "test", folder_of(mark.label)


def folder_of(label: str | None) -> str:
    """The folder of a label: letters, digits, _ and - alone, and no name that readers take for good parts."""
    if label is None:
        return UNNAMED
    signs = (sign if sign.isalnum() or is_accent(sign) or sign in "_-" else "_" for sign in label.casefold())
    cut = "".join(signs).encode()[:LONGEST_FOLDER].decode(errors="ignore")
    name = cut.strip("_") or UNNAMED
    return f"{UNNAMED}_{name}" if name in GOOD_WORDS else name


def _require_own(to: Path) -> None:
    """Raises MarksError for a folder with anything in it that is not of an export."""
    try:
        if not to.exists():
            return
        there = {one.relative_to(to).as_posix() for one in to.rglob("*") if not one.is_dir()}
        own = _listed(to / PROVENANCE) if PROVENANCE in there else set()
    except OSError as error:
        raise _explained(to, error) from error
    if foreign := sorted(there - own):
        raise MarksError(
            f"{shown(str(to))}: holds {shown(foreign[0])}, which is not of an export; give a new folder,"
            " nothing is overwritten"
        )


def _listed(provenance: Path) -> set[str]:
    try:
        told = json.loads(bounded.read(provenance, max_bytes=MAX_PROVENANCE_BYTES))
        if told["schema"] != SCHEMA:
            return set()
        masks = [one["mask"]["file"] for one in told["files"] if one.get("mask")]
        return {PROVENANCE, *(one["file"] for one in told["files"]), *filter(None, masks)}
    except (bounded.UnreadableError, ValueError, KeyError, TypeError, RecursionError):
        return set()


@contextmanager
def _beside(to: Path) -> Iterator[Path]:
    """A folder to make it in, gone at the end whatever happens; one that a kill left is used anew."""
    folder = to.with_name(f".{to.name}.part")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            _alone(held, to)
            if not to.exists() and _before(to).exists():  # a kill came between two renames
                _before(to).rename(to)
            for one in folder.iterdir():
                shutil.rmtree(one) if one.is_dir() else one.unlink()
            try:
                yield folder
            finally:
                if folder.exists() and os.fstat(held).st_ino == folder.stat().st_ino:
                    shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(held)
    except OSError as error:
        raise _explained(to, error) from error


def _alone(held: int, to: Path) -> None:
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise MarksError(f"{shown(str(to))}: another export to it is under way; wait for that one") from None


def _put(folder: Path, to: Path) -> None:
    for one in folder.rglob("*"):
        if one.is_dir():
            sync_folder(one)
    sync_folder(folder)
    if to.exists() and any(to.iterdir()):
        shutil.rmtree(_before(to), ignore_errors=True)
        to.rename(_before(to))
        folder.rename(to)
        shutil.rmtree(_before(to), ignore_errors=True)
    else:
        folder.rename(to)
    sync_folder(to.parent)


def _before(to: Path) -> Path:
    return to.with_name(f".{to.name}.before")


def _explained(to: Path, error: OSError) -> MarksError:
    return MarksError(
        f"{shown(str(error.filename or to))}: {error.strerror}; nothing was exported: see permissions and"
        " free space there, or give another folder"
    )
