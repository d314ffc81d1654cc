"""One judged frame as it is kept: a PNG of exactly the judged pixels, and all else in chunks of our own.

    IHDR
    plRC   JSON: this schema, the recipe, and what the frame said that its verdict does not
    plVD   the verdict as it was recorded, byte for byte
    plMK   JSON: what a person said of it; only where somebody did
    IDAT   the pixels
    plMP   the anomaly map in float16, as a PNG of its bits; only where one was made
    plSL   sha256 of everything before it
    IEND

The verdict's `frame.sha256` is the digest of the pixels as they are read back (`Frame.digest`).
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Literal, TypeAlias, get_args

import numpy as np
from pydantic import ValidationError

from agent.archive import chunks, pixels
from agent.archive.chunks import Torn, chunk
from agent.clock import rfc3339
from agent.contract import payloads
from agent.contract.verdict import Verdict
from agent.errors import PlumblineError
from agent.foreign import shown
from agent.messages import Flags, Floats, Frame, Inspection, Samples, VerdictName

SCHEMA = "plumbline.archive/1"
RECORD, VERDICT, MARK, MAP = b"plRC", b"plVD", b"plMK", b"plMP"
LONGEST_CHUNK = 4 << 20  # of those that are read for the index
LONGEST_NAME = 100

MarkWord: TypeAlias = Literal["confirmed", "false_alarm", "missed_defect"]
MARK_WORDS: tuple[MarkWord, ...] = get_args(MarkWord)


class EntryError(PlumblineError):
    """An entry cannot be read; names the file, the cause and what to do."""


class NotOurs(Exception):
    """A file that this version did not write; says why in a few words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What a person said of a verdict: that it is right, or that it is wrong in one of two ways."""

    word: MarkWord
    by: str
    at: datetime


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """All of it. The frame's `captured_ns` is 0: that clock ran in another process."""

    verdict: Verdict
    recorded: bytes  # the verdict's JSON as it was recorded
    recipe: str  # digest of what judged
    frame: Frame
    evidence: Floats | None  # (h, w), raw map of the whole frame; None where it was not judged
    mark: Mark | None


def moment_of(text: str) -> datetime:
    """What `rfc3339` wrote."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


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
    )


def compose(
    verdict: Verdict, recipe: str, frame: Frame, inspection: Inspection | None
) -> list[bytes | memoryview]:
    """The pieces of an entry's file. Raises ValueError for a frame that is no picture."""
    record: dict[str, Any] = {
        "schema": SCHEMA,
        "recipe": recipe,
        "bit_depth": frame.bit_depth,
        "captured_at": frame.captured_at.isoformat(),
        "device_ns": frame.device_ns,
        "epoch": frame.epoch,
        "line_status": frame.line_status,
        "part_id": frame.part_id,
        "is_partial": frame.is_partial,
        "goes_on": frame.goes_on,
        "invalid": None if frame.valid is None else _runs(~frame.valid),
    }
    after = []
    if inspection is not None:
        halves, record["map_exponent"] = pixels.to_halves(inspection.evidence)
        after.append(chunk(MAP, pixels.halves_to_png(halves)))
    before = [chunk(RECORD, _json(record)), chunk(VERDICT, payloads.encode(verdict))]
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
    except (NotOurs, Torn, ValidationError, ValueError, KeyError, TypeError) as error:
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
    except (ValueError, KeyError, TypeError) as error:
        raise NotOurs(f"its record is not one that this version writes ({_why(error)})") from error


def marked(data: bytes, mark: Mark | None) -> list[bytes | memoryview]:
    """The pieces of the same file with another mark. Raises Torn, NotOurs."""
    found = _sections(data)
    chunks.check_seal(data)
    before = [chunk(RECORD, bytes(found[RECORD])), chunk(VERDICT, bytes(found[VERDICT]))]
    if mark is not None:
        before.append(chunk(MARK, _json(_mark_json(mark))))
    after = [chunk(MAP, bytes(found[MAP]))] if MAP in found else []
    return chunks.sealed(_plain_png(data), before, after)


def _plain_png(data: bytes) -> bytes:
    """Without our chunks: as the encoder made it."""
    ours = (RECORD, VERDICT, MARK, MAP, chunks.SEAL)
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
    verdict = Verdict.model_validate_json(recorded)
    record = json.loads(bytes(found[RECORD]))
    picture = pixels.of_png(data)
    frame = _frame(verdict, record, picture)
    if frame.digest() != verdict.frame.sha256:
        raise ValueError("its pixels are not those that its verdict names")
    return Entry(
        verdict=verdict,
        recorded=recorded,
        recipe=record["recipe"],
        frame=frame,
        evidence=pixels.of_halves(pixels.halves_of_png(bytes(found[MAP])), record["map_exponent"])
        if MAP in found
        else None,
        mark=_mark(found),
    )


def _frame(verdict: Verdict, record: Mapping[str, Any], picture: Samples) -> Frame:
    said = verdict.frame
    return Frame(
        camera=verdict.camera,
        frame_id=said.id,
        image=picture,
        captured_ns=0,
        captured_at=datetime.fromisoformat(record["captured_at"]),
        first_line=said.first_line,
        encoder=said.encoder,
        device_ns=record["device_ns"],
        epoch=record["epoch"],
        line_status=record["line_status"],
        lines_lost=said.lines_lost,
        valid=_valid(record["invalid"], len(picture)),
        bit_depth=record["bit_depth"],
        is_partial=record["is_partial"],
        goes_on=record["goes_on"],
        part_id=record["part_id"],
    )


def _head(found: Mapping[bytes, memoryview]) -> Head:
    record, verdict = json.loads(bytes(found[RECORD])), json.loads(bytes(found[VERDICT]))
    score = verdict["score"] or {"raw": None, "threshold": None}
    head = Head(
        id=verdict["result_id"],
        created=verdict["created"],
        camera=verdict["camera"],
        verdict=verdict["verdict"],
        reason=verdict["reason"],
        score=score["raw"],
        threshold=score["threshold"],
        part_id=verdict["part_id"],
        recipe=record["recipe"],
        mark=_mark(found),
    )
    texts = (head.id, head.created, head.camera, head.recipe)
    if not all(isinstance(text, str) for text in texts) or head.verdict not in ("pass", "fail", "undecided"):
        raise ValueError("a text is none, or the verdict is none")
    return head


def _mark(found: Mapping[bytes, memoryview]) -> Mark | None:
    if MARK not in found:
        return None
    said = json.loads(bytes(found[MARK]))
    if said["word"] not in MARK_WORDS or not isinstance(said["by"], str):
        raise ValueError("its mark is none that this version knows")
    return Mark(word=said["word"], by=said["by"], at=moment_of(said["at"]))


def _mark_json(mark: Mark) -> dict[str, str]:
    return {"word": mark.word, "by": mark.by, "at": rfc3339(mark.at)}


def _runs(flags: Flags) -> list[list[int]]:
    """First and after-last line of each stretch of True."""
    edges = np.flatnonzero(np.diff(flags, prepend=False, append=False))
    return [[int(start), int(stop)] for start, stop in edges.reshape(-1, 2)]


def _valid(invalid: list[list[int]] | None, lines: int) -> Flags | None:
    if invalid is None:
        return None
    valid = np.ones(lines, np.bool_)
    for start, stop in invalid:
        valid[start:stop] = False
    return valid


def _json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()


def _why(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"{error} is missing"
    if isinstance(error, ValidationError):
        return "its verdict is not one that this version knows; read it with the agent that wrote it"
    return str(error)
