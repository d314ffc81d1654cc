"""One judged frame as it is kept: a PNG of exactly the judged pixels, and all else in chunks of our own.

    IHDR
    plRC   JSON: this schema, the recipe, and what the frame said that its verdict does not
    plVD   the verdict as it was recorded, byte for byte
    plMK   JSON: what a person said of it; only where somebody did
    IDAT   the pixels
    plMP   the anomaly map in float16, as a PNG of its bits; only where one was made
    plRS   the restoration as a JPEG, at the size that the model saw; only where somebody may look at it
    plSL   sha256 of everything before it
    IEND

The verdict's `frame.sha256` is the digest of the pixels as they are read back (`Frame.digest`).
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from agent.archive import chunks, pixels
from agent.archive.chunks import Torn, chunk
from agent.archive.record import SCHEMA, Decided, Judged, Labelled, Mark, Record, Told, record_of, valid_lines
from agent.contract import payloads
from agent.contract.verdict import DefectMessage, Verdict
from agent.errors import PlumblineError
from agent.foreign import shown
from agent.messages import Box, Floats, Frame, Inspection, Samples, VerdictName

RECORD, VERDICT, MARK, MAP, RESTORED = b"plRC", b"plVD", b"plMK", b"plMP", b"plRS"
LONGEST_CHUNK = 4 << 20  # of those that are read for the index
LONGEST_NAME = 100


class EntryError(PlumblineError):
    """An entry cannot be read; names the file, the cause and what to do."""


class NotOurs(Exception):
    """A file that this version did not write; says why in a few words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What the index knows of an entry, without its pixels."""

    id: str  # the verdict's result_id
    created: str  # as in the verdict
    camera: str
    verdict: VerdictName
    reason: str | None
    score: float | None  # raw
    threshold: float | None
    part_id: str | None
    recipe: str
    mark: Mark | None
    label: str | None = None  # of the strongest defect that has one
    lines: int = 0  # rows of the frame
    boxes: tuple[Box, ...] = ()  # of its defects, in pixels of the frame


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """All of it. The frame's `captured_ns` is 0: that clock ran in another process."""

    verdict: Verdict
    recorded: bytes  # the verdict's JSON as it was recorded
    recipe: str  # digest of what judged
    decided: Decided | None  # by which rules; None in entries of versions that did not keep them
    frame: Frame
    evidence: Floats | None  # (h, w), raw map of the whole frame; None where it was not judged
    restored: bytes | None  # JPEG of what a good part would look like; None in older entries, too
    mark: Mark | None


def head_of(verdict: Verdict, recipe: str) -> Head:
    """Of a record that nobody has said anything of yet."""
    return Head(
        id=verdict.result_id,
        created=verdict.created,
        camera=verdict.camera,
        verdict=verdict.verdict,
        reason=verdict.reason,
        score=None if verdict.score is None else verdict.score.raw,
        threshold=None if verdict.score is None else verdict.score.threshold,
        part_id=verdict.part_id,
        recipe=recipe,
        mark=None,
        label=strongest_label(verdict.defects),
        lines=verdict.frame.lines,
        boxes=tuple(one.bbox_px for one in verdict.defects),
    )


def strongest_label(defects: Sequence[DefectMessage | Labelled]) -> str | None:
    """Of the first defect that has one: they stand strongest first."""
    return next((one.label for one in defects if one.label is not None), None)


def compose(
    verdict: Verdict,
    recipe: str,
    frame: Frame,
    inspection: Inspection | None,
    decided: Decided | None = None,
) -> list[bytes | memoryview]:
    """The pieces of an entry's file. Raises ValueError for a frame that is no picture."""
    exponent, after = None, []
    if inspection is not None:
        halves, exponent = pixels.to_halves(inspection.evidence)
        after.append(chunk(MAP, pixels.halves_to_png(halves)))
        if inspection.restored is not None:
            after.append(chunk(RESTORED, pixels.to_jpeg(inspection.restored)))
    record = payloads.encode(record_of(frame, recipe, exponent, decided))
    before = [chunk(RECORD, record), chunk(VERDICT, payloads.encode(verdict))]
    return chunks.sealed(pixels.to_png(frame.image), before, after)


def read(path: Path) -> Entry:
    """The entry in a file, every digest checked. Raises EntryError."""
    try:
        data = path.read_bytes()
        found = _sections(data)
        chunks.check_seal(data)
        return _entry(data, found)
    except OSError as error:
        raise EntryError(f"{shown(str(path))}: cannot be read ({error.strerror}); check the file") from error
    except (NotOurs, Torn, ValueError) as error:
        raise EntryError(f"{shown(str(path))}: {_why(error)}; nothing of it can be relied on") from error


def read_head(path: Path) -> Head:
    """What the index should know, from a file's beginning and end.

    Raises OSError, Torn for an entry of ours that is cut short, NotOurs for anything else.
    """
    with path.open("rb") as file:
        start, is_cut = _beginning(file)
        try:
            found = _sections(start)
        except NotOurs:
            if is_cut and (not start or chunks.MAGIC.startswith(start[:8])):
                raise Torn("it is cut short") from None
            raise
        if is_cut or not chunks.is_tail(_end(file)):
            raise Torn("it is cut short")
    try:
        return _head(found)
    except ValueError as error:
        raise NotOurs(f"its record is not one that this version writes ({_why(error)})") from error


def read_verdict(path: Path) -> Verdict:
    """The verdict of an entry, from the file's beginning. Raises OSError or EntryError."""
    try:
        with path.open("rb") as file:
            start, _ = _beginning(file)
        return Verdict.model_validate_json(bytes(_sections(start)[VERDICT]))
    except (NotOurs, Torn, ValueError) as error:
        raise EntryError(f"{shown(str(path))}: {_why(error)}; nothing of it can be relied on") from error


def read_bundle(path: Path) -> str:
    """The digest of the bundle that judged it, from the file's beginning. Raises OSError or EntryError."""
    try:
        with path.open("rb") as file:
            start, _ = _beginning(file)
        return Judged.model_validate_json(bytes(_sections(start)[VERDICT])).model.sha256
    except (NotOurs, Torn, ValueError) as error:
        raise EntryError(f"{shown(str(path))}: {_why(error)}; nothing of it can be relied on") from error


def marked(data: bytes, mark: Mark | None) -> list[bytes | memoryview]:
    """The pieces of the same file with another mark. Raises Torn, NotOurs."""
    found = _sections(data)
    chunks.check_seal(data)
    before = [chunk(RECORD, bytes(found[RECORD])), chunk(VERDICT, bytes(found[VERDICT]))]
    if mark is not None:
        before.append(chunk(MARK, payloads.encode(mark)))
    after = [chunk(kind, bytes(found[kind])) for kind in (MAP, RESTORED) if kind in found]
    return chunks.sealed(_plain_png(data), before, after)


def _plain_png(data: bytes) -> bytes:
    """Without our chunks: as the encoder made it."""
    ours = (RECORD, VERDICT, MARK, MAP, RESTORED, chunks.SEAL)
    return chunks.MAGIC + b"".join(
        chunk(kind, bytes(content)) for kind, content in chunks.walk(data) if kind not in ours
    )


def _beginning(file: IO[bytes]) -> tuple[bytes, bool]:
    """The file up to its pixels, and whether it ends before them."""
    start = file.read(chunks.HEAD_BYTES)
    while True:
        head = file.read(8)
        size, kind = int.from_bytes(head[:4], "big"), head[4:]
        if len(head) < 8 or kind == b"IDAT" or size > LONGEST_CHUNK:
            return start, len(head) < 8
        rest = file.read(size + 4)
        if len(rest) < size + 4:
            return start, True
        checksum = int.from_bytes(rest[-4:], "big")
        if kind in (RECORD, VERDICT, MARK) and zlib.crc32(rest[:-4], zlib.crc32(kind)) != checksum:
            raise Torn(f"its chunk {kind.decode()} was changed after it was written")
        start += head + rest


def _end(file: IO[bytes]) -> bytes:
    size = file.seek(0, 2)
    file.seek(max(0, size - chunks.TAIL_BYTES))
    return file.read()


def _sections(data: bytes) -> dict[bytes, memoryview]:
    """Our chunks by kind. Raises NotOurs."""
    if not data.startswith(chunks.MAGIC):
        raise NotOurs("it is no PNG")
    found = dict(chunks.walk(data))
    if RECORD not in found or VERDICT not in found:
        raise NotOurs("it is a picture without a record")
    try:
        schema = json.loads(bytes(found[RECORD]))["schema"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise NotOurs("its record is no JSON of ours") from None
    if schema != SCHEMA:
        raise NotOurs(f"it is of another version ({shown(str(schema)[:LONGEST_NAME])})")
    return found


def _entry(data: bytes, found: Mapping[bytes, memoryview]) -> Entry:
    recorded = bytes(found[VERDICT])
    verdict, record = Verdict.model_validate_json(recorded), Record.model_validate_json(bytes(found[RECORD]))
    frame = _frame(verdict, record, pixels.of_png(data))
    if frame.digest() != verdict.frame.sha256:
        raise ValueError("its pixels are not those that its verdict names")
    evidence = None
    if MAP in found:
        evidence = pixels.of_halves(pixels.halves_of_png(bytes(found[MAP])), record.map_exponent or 0)
    return Entry(
        verdict=verdict,
        recorded=recorded,
        recipe=record.recipe,
        decided=record.decided,
        frame=frame,
        evidence=evidence,
        restored=_restored(found),
        mark=_mark(found),
    )


def _restored(found: Mapping[bytes, memoryview]) -> bytes | None:
    data = bytes(found[RESTORED]) if RESTORED in found else None
    if data is not None and not data.startswith(pixels.JPEG_MAGIC):
        raise ValueError("its restoration is no JPEG")
    return data


def _frame(verdict: Verdict, record: Record, picture: Samples) -> Frame:
    said = verdict.frame
    return Frame(
        camera=verdict.camera,
        frame_id=said.id,
        image=picture,
        captured_ns=0,
        captured_at=record.captured_at,
        first_line=said.first_line,
        encoder=said.encoder,
        device_ns=record.device_ns,
        epoch=record.epoch,
        line_status=record.line_status,
        lines_lost=said.lines_lost,
        valid=valid_lines(record, len(picture)),
        bit_depth=record.bit_depth,
        is_partial=record.is_partial,
        goes_on=record.goes_on,
        part_id=record.part_id,
    )


def _head(found: Mapping[bytes, memoryview]) -> Head:
    record, told = (
        Record.model_validate_json(bytes(found[RECORD])),
        Told.model_validate_json(bytes(found[VERDICT])),
    )
    return Head(
        id=told.result_id,
        created=told.created,
        camera=told.camera,
        verdict=told.verdict,
        reason=told.reason,
        score=None if told.score is None else told.score.raw,
        threshold=None if told.score is None else told.score.threshold,
        part_id=told.part_id,
        recipe=record.recipe,
        mark=_mark(found),
        label=strongest_label(told.defects),
        lines=told.frame.lines,
        boxes=tuple(one.bbox_px for one in told.defects),
    )


def _mark(found: Mapping[bytes, memoryview]) -> Mark | None:
    return Mark.model_validate_json(bytes(found[MARK])) if MARK in found else None


def _why(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    where = ".".join(map(str, error.errors()[0]["loc"]))
    return f"{error.title} is not one that this version knows (at {shown(where[:LONGEST_NAME])})"
