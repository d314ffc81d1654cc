"""An entry gives back all that was put in, and nothing of one that was cut short or changed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from agent.archive import chunks, entry, pixels
from agent.archive.chunks import Torn
from agent.archive.entry import EntryError, NotOurs
from agent.archive.record import Mark
from agent.contract import payloads
from agent.contract.verdict import DefectMessage
from agent.messages import Frame
from tests.agent.archive.records import (
    MORNING,
    RECIPE,
    evidence,
    frame,
    inspection,
    picture,
    record,
    result_id,
    verdict,
)

MARK = Mark(word="false_alarm", by="Ada", at=MORNING)


def written(path: Path, pieces: list[bytes | memoryview]) -> Path:
    path.write_bytes(b"".join(pieces))
    return path


def whole(path: Path, seen: Frame | None = None, **more: object) -> Path:
    seen = seen or frame(picture())
    said = verdict(of=seen, **more)  # type: ignore[arg-type]
    return written(path, entry.compose(said, RECIPE, seen, inspection(evidence())))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("dtype", "bits"), [(np.uint8, 8), (np.uint16, 12)])
def test_the_pixels_read_back_have_the_digest_that_the_verdict_names(
    tmp_path: Path, channels: int, dtype: type, bits: int
) -> None:
    seen = frame(picture((31, 57, channels), dtype=dtype, bits=bits), bit_depth=bits)
    said = verdict(of=seen)
    found = entry.read(
        written(tmp_path / "one.png", entry.compose(said, RECIPE, seen, inspection(evidence())))
    )
    assert np.array_equal(found.frame.image, seen.image) and found.frame.image.dtype == dtype
    assert found.frame.bit_depth == bits
    assert found.verdict == said
    assert found.recorded == payloads.encode(said)  # as the outbox has it
    assert found.recipe == RECIPE
    assert found.evidence is not None and np.allclose(found.evidence, evidence(), rtol=2.0**-11)
    assert found.mark is None


def test_the_frame_comes_back_as_it_was_judged(tmp_path: Path) -> None:
    valid = np.ones(40, np.bool_)
    valid[[0, 1, 7, 39]] = False
    seen = frame(picture(), valid=valid, lines_lost=3, is_partial=True, goes_on=True)
    found = entry.read(whole(tmp_path / "one.png", seen)).frame
    assert found.valid is not None and np.array_equal(found.valid, valid)
    assert replace(found, image=seen.image, valid=None, captured_ns=5) == replace(seen, valid=None)


def test_a_frame_that_no_engine_could_judge_has_no_map(tmp_path: Path) -> None:
    seen = frame(picture())
    said = verdict(of=seen, name="undecided", score=None)
    found = entry.read(written(tmp_path / "one.png", entry.compose(said, RECIPE, seen, None)))
    assert found.evidence is None
    head = entry.read_head(tmp_path / "one.png")
    assert (head.score, head.threshold, head.reason) == (None, None, "lost_lines")


def test_every_viewer_opens_an_entry(tmp_path: Path) -> None:
    seen = frame(picture((31, 57, 1)))
    read = cv2.imread(str(whole(tmp_path / "one.png", seen)), cv2.IMREAD_UNCHANGED)
    assert read is not None and np.array_equal(read, seen.image[..., 0])


def test_the_index_learns_the_same_from_the_file_as_from_the_record(tmp_path: Path) -> None:
    said = verdict(of=frame(picture()))
    assert entry.read_head(whole(tmp_path / "one.png")) == entry.head_of(said, RECIPE)
    two = [DefectMessage(index=at, score=1, bbox_px=(at, 2, 3, 4), area_px=5) for at in range(2)]
    said = said.model_copy(update={"defects": tuple(two)})
    pieces = entry.compose(said, RECIPE, frame(picture()), inspection(evidence()))
    head = entry.read_head(written(tmp_path / "two.png", pieces))
    assert head == entry.head_of(said, RECIPE)
    assert (head.lines, head.boxes) == (len(picture()), ((0, 2, 3, 4), (1, 2, 3, 4)))


def test_a_mark_travels_with_the_entry_and_can_be_changed_and_taken_back(tmp_path: Path) -> None:
    path = whole(tmp_path / "one.png")
    before = path.read_bytes()
    assert entry.read(written(path, entry.marked(before, MARK))).mark == MARK
    assert entry.read_head(path).mark == MARK
    other = Mark(word="confirmed", by="Grace", at=MORNING)
    assert entry.read(written(path, entry.marked(path.read_bytes(), other))).mark == other
    assert b"".join(entry.marked(path.read_bytes(), None)) == before


@pytest.mark.parametrize("channels", [1, 3])
def test_the_restoration_is_kept_as_a_picture_and_stays_when_a_mark_comes(
    tmp_path: Path, channels: int
) -> None:
    seen = frame(picture())
    restored = np.full((33, 44, channels), 90, np.uint8)
    restored[:, 20:, 0] = 200
    said = verdict(of=seen)
    path = written(tmp_path / "one.png", entry.compose(said, RECIPE, seen, inspection(evidence(), restored)))
    kept = entry.read(path).restored
    assert kept is not None
    looked_at = pixels.of_png(kept)  # OpenCV's own reader, of either kind
    assert looked_at.shape == restored.shape
    assert np.abs(looked_at[:, :, 0].astype(int) - restored[:, :, 0]).mean() < 3
    after = entry.read(written(path, entry.marked(path.read_bytes(), MARK)))
    assert after.restored == kept and after.mark == MARK


def test_an_entry_of_before_has_no_restoration(tmp_path: Path) -> None:
    found = entry.read(whole(tmp_path / "one.png"))
    assert found.restored is None and found.evidence is not None


def test_a_restoration_that_is_no_jpeg_is_refused(tmp_path: Path) -> None:
    data = whole(tmp_path / "one.png").read_bytes()
    found = dict(chunks.walk(data))
    plain = b"".join(
        chunks.chunk(kind, bytes(content)) for kind, content in chunks.walk(data) if kind != chunks.SEAL
    )
    foreign = chunks.sealed(chunks.MAGIC + plain, [], [chunks.chunk(entry.RESTORED, b"<svg>")])
    assert entry.MAP in found
    with pytest.raises(EntryError, match="its restoration is no JPEG"):
        entry.read(written(tmp_path / "foreign.png", foreign))


def test_a_file_that_is_cut_short_anywhere_is_known_for_it(tmp_path: Path) -> None:
    data = whole(tmp_path / "one.png", frame(picture((5, 6, 1)))).read_bytes()
    for size in range(len(data)):
        path = tmp_path / f"{size}-cut.png"
        path.write_bytes(data[:size])
        with pytest.raises(EntryError, match=r"cut\.png: .*; nothing of it can be relied on"):
            entry.read(path)
        with pytest.raises(Torn):
            entry.read_head(path)


def test_no_byte_can_change_unseen(tmp_path: Path) -> None:
    data = whole(tmp_path / "one.png", frame(picture((3, 4, 1)))).read_bytes()
    for at in range(len(data)):
        path = tmp_path / f"{at}-changed.png"
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        with pytest.raises(EntryError):
            entry.read(path)


def test_a_whole_entry_of_other_pixels_is_refused(tmp_path: Path) -> None:
    said = verdict(of=frame(picture(seed=1)))
    path = written(tmp_path / "one.png", entry.compose(said, RECIPE, frame(picture(seed=2)), None))
    with pytest.raises(EntryError, match="its pixels are not those that its verdict names"):
        entry.read(path)


def resealed(path: Path, kind: bytes, content: bytes) -> Path:
    """The entry with other content of one chunk, as another version would have written it."""
    data = path.read_bytes()
    parts = [
        chunks.chunk(one, content if one == kind else bytes(old))
        for one, old in chunks.walk(data)
        if one not in (chunks.SEAL, b"IEND")
    ]
    return written(path, chunks.sealed(chunks.MAGIC + parts[0] + chunks.END, parts[1:], []))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"schema":"plumbline.archive/2"}', r"it is of another version \(plumbline.archive/2\)"),
        (b"no JSON", "its record is no JSON of ours"),
        (b"[]", "its record is no JSON of ours"),
    ],
)
def test_another_versions_entry_is_not_taken_for_ours(tmp_path: Path, content: bytes, words: str) -> None:
    path = resealed(whole(tmp_path / "one.png"), entry.RECORD, content)
    with pytest.raises(NotOurs, match=words):
        entry.read_head(path)
    with pytest.raises(EntryError, match=words):
        entry.read(path)


def test_a_verdict_with_a_field_of_a_later_version_is_indexed_and_says_who_can_read_it(
    tmp_path: Path,
) -> None:
    path = whole(tmp_path / "one.png")
    later = {**json.loads(entry.read(path).recorded), "new_field": 1}
    resealed(path, entry.VERDICT, json.dumps(later).encode())
    assert entry.read_head(path).id == result_id(1)
    with pytest.raises(EntryError, match=r"Verdict is not one that this version knows \(at new_field\)"):
        entry.read(path)


TOLD = {
    "result_id": result_id(1),
    "created": "2026-11-24T07:15:04.412Z",
    "camera": "top",
    "verdict": "fail",
    "reason": None,
    "part_id": None,
    "score": None,
}


@pytest.mark.parametrize(
    "content",
    [
        b"{}",
        b"[]",
        b"nothing",
        b"[" * 100_000,
        *(
            json.dumps({**TOLD, name: value}).encode()
            for name, value in {
                "result_id": 1,
                "verdict": "good",
                "part_id": {"a": 1},
                "camera": "\udcff",
                "score": {"raw": "high"},
            }.items()
        ),
    ],
)
def test_a_record_of_another_shape_is_not_ours(tmp_path: Path, content: bytes) -> None:
    path = resealed(whole(tmp_path / "one.png"), entry.VERDICT, content)
    with pytest.raises(NotOurs, match="its record is not one that this version writes"):
        entry.read_head(path)
    with pytest.raises(EntryError, match="Verdict is not one that this version knows"):
        entry.read(path)


@pytest.mark.parametrize("content", [b"{}", b'{"word":"fine","by":"Ada","at":"2026-11-24T07:15:04Z"}', b"[]"])
def test_a_mark_of_another_shape_is_not_ours(tmp_path: Path, content: bytes) -> None:
    path = whole(tmp_path / "one.png")
    written(path, entry.marked(path.read_bytes(), MARK))
    with pytest.raises(NotOurs, match="Mark is not one that this version knows"):
        entry.read_head(resealed(path, entry.MARK, content))


def test_a_mark_needs_a_moment_with_a_zone_and_a_name_of_some_length() -> None:
    with pytest.raises(ValidationError, match="timezone"):
        Mark(word="confirmed", by="Ada", at=MORNING.replace(tzinfo=None))
    with pytest.raises(ValidationError, match="at most 100 characters"):
        Mark(word="confirmed", by="A" * 101, at=MORNING)


@pytest.mark.parametrize("content", [b"", b"text", b"\xff\xd8\xff a JPEG perhaps"])
def test_a_file_of_somebody_else_is_not_ours(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "one.png"
    path.write_bytes(content)
    with pytest.raises(Torn if not content else NotOurs):
        entry.read_head(path)
    cv2.imwrite(str(path), picture((9, 9, 1)))
    with pytest.raises(NotOurs, match="it is a picture without a record"):
        entry.read_head(path)


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(EntryError, match=r"none\.png: cannot be read \(No such file"):
        entry.read(tmp_path / "none.png")


def test_a_part_id_of_any_bytes_is_kept(tmp_path: Path) -> None:
    seen = frame(picture(), part_id="\udcff\u2028 x")
    assert entry.read(whole(tmp_path / "one.png", seen)).frame.part_id == "?\u2028 x"  # as in the verdict


def test_what_is_kept_is_little_more_than_the_picture() -> None:
    _, pieces = record(size=(300, 300, 1))
    assert sum(map(len, pieces)) < 300 * 300 * 1.02 + 4_000  # noise, which nothing makes smaller
