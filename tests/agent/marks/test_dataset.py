"""Marks become a data set that the workshop reads: whole, with its provenance, and over nothing of others."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.archive import entry, files
from agent.clock import SystemClock
from agent.contract.mark import Mark
from agent.contract.verdict import DefectMessage
from agent.marks import dataset
from agent.marks.dataset import PROVENANCE, Exported, Source, export, folder_of
from agent.marks.file import MarksError
from agent.messages import VerdictName
from models.data.datasets import read_set
from tests.agent.archive.records import RECIPE, frame, inspection, picture, result_id, verdict
from tests.agent.marks.said import mark
from tests.faults.small_disk import may_mount, small_disk

BOX = (12, 8, 16, 12)


def keep(archive: Path, number: int, name: VerdictName = "fail", *, boxes: int = 1) -> Path:
    """An entry of 60 x 40 pixels whose map is strong within BOX, and right of it a little."""
    seen = frame(picture((40, 60, 1), seed=number))
    strong = np.zeros((10, 15), np.float32)
    strong[2:5, 3:7] = strong[2:5, 10:12] = 0.06
    said = verdict(number, of=seen, name=name)
    defects = [DefectMessage(index=0, score=0.06, bbox_px=BOX, area_px=192)]
    defects += [DefectMessage(index=1, score=0.06, bbox_px=(40, 8, 8, 12), area_px=96)]
    said = said.model_copy(update={"defects": tuple(defects[:boxes]) if name == "fail" else ()})
    path = files.place(archive, said.result_id, said.created)
    path.parent.mkdir(parents=True, exist_ok=True)
    files.put(path, entry.compose(said, RECIPE, seen, inspection(strong)))
    return path


def made(marks: list[Mark], archive: Path, to: Path, *, passes: int = 0) -> Exported:
    going = export(marks, Source(archive=archive, station="cell3"), to, SystemClock(), passes=passes)
    while True:
        try:
            next(going)
        except StopIteration as ended:
            found: Exported = ended.value
            return found


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return tmp_path / "archive"


@pytest.fixture
def marks(archive: Path) -> list[Mark]:
    """Twelve false alarms, three defects of two kinds, one missed, and one whose picture is gone."""
    found = []
    for number in range(1, 13):
        keep(archive, number)
        found.append(mark(number, "wrong"))
    for number, label in ((20, "Scratch"), (21, "scratch"), (22, "dent (deep)")):
        keep(archive, number, boxes=2)
        found.append(mark(number, "right", label=label))
    keep(archive, 23, "pass")
    found.append(mark(23, "wrong", of=verdict(23, name="pass")))
    found.append(mark(30, "right"))
    return found


def names(folder: Path) -> set[str]:
    return {one.relative_to(folder).as_posix() for one in folder.rglob("*") if one.is_file()}


def test_the_workshop_reads_it_as_it_is(archive: Path, marks: list[Mark], tmp_path: Path) -> None:
    told = made(marks, archive, tmp_path / "set")
    found = read_set(tmp_path / "set")
    by_group = {(one.split, one.defect) for one in found.items}
    assert by_group == {
        ("train", "good"),
        ("test", "good"),
        ("test", "scratch"),
        ("test", "dent__deep"),
        ("test", "defect"),
    }
    assert sum(one.is_good for one in found.items) == 12
    assert {one.defect: one.mask is not None for one in found.items if not one.is_good} == {
        "scratch": True,
        "dent__deep": True,
        "defect": False,
    }
    assert told.files["test/scratch"] == 2 and told.masks == 3
    assert told.left_out == {"picture not kept any more, or damaged": 1}


def test_confirmed_defects_are_never_among_those_that_are_trained_on(
    archive: Path, marks: list[Mark], tmp_path: Path
) -> None:
    made(marks, archive, tmp_path / "set", passes=0)
    trained = {path.stem for path in (tmp_path / "set" / "train").rglob("*.png")}
    assert trained and not trained & {one.result_id for one in marks if one.truth != "good"}


def test_pixels_masks_and_provenance_are_those_of_the_archive(
    archive: Path, marks: list[Mark], tmp_path: Path
) -> None:
    to = tmp_path / "set"
    made(marks, archive, to)
    told = json.loads((to / PROVENANCE).read_bytes())
    assert (told["schema"], told["station"]) == ("plumbline.marks-export/1", "cell3")
    assert names(to) == {
        PROVENANCE,
        *(one["file"] for one in told["files"]),
        *(one["mask"]["file"] for one in told["files"] if one.get("mask") and one["mask"]["file"]),
    }
    for one in told["files"]:
        data = (to / one["file"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == one["sha256"]
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        number = int(one["result_id"][-12:])
        assert np.array_equal(pixels, picture((40, 60, 1), seed=number)[..., 0])
        assert one["mark"]["result_id"] == one["result_id"]
    scratch = next(one for one in told["files"] if one["mark"]["label"] == "scratch")
    mask = cv2.imread(str(to / scratch["mask"]["file"]), cv2.IMREAD_UNCHANGED)
    wanted = np.zeros((40, 60), np.uint8)
    wanted[8:20, 12:28] = wanted[8:20, 40:48] = 255
    assert np.array_equal(mask, wanted)
    assert "at or above the threshold" in scratch["mask"]["made"]
    missed = next(one for one in told["files"] if one["result_id"] == result_id(23))
    assert missed["mask"]["file"] is None and missed["mask"]["made"].startswith("none")


def test_the_mask_of_one_defect_is_that_ones(archive: Path, tmp_path: Path) -> None:
    path = keep(archive, 1, boxes=2)
    of = entry.read(path).verdict
    made([mark(1, "right", of=of, defect_index=1)], archive, tmp_path / "set")
    (mask,) = (tmp_path / "set" / "ground_truth").rglob("*.png")
    ys, xs = np.nonzero(cv2.imread(str(mask), cv2.IMREAD_UNCHANGED))
    assert (xs.min(), xs.max(), ys.min(), ys.max()) == (40, 47, 8, 19)


def test_passes_that_nobody_marked_widen_the_good_ones_and_missed_defects_do_not(
    archive: Path, tmp_path: Path
) -> None:
    for number in range(1, 6):
        keep(archive, number, "pass")
    missed = mark(3, "wrong", of=verdict(3, name="pass"))
    found = made([missed], archive, tmp_path / "set", passes=3)
    assert found.files == {"test/defect": 1, "train/good": 3}
    trained = {path.stem for path in (tmp_path / "set" / "train").rglob("*.png")}
    assert trained == {result_id(number) for number in (5, 4, 2)}


def test_passes_that_the_archive_has_not_are_told(archive: Path, marks: list[Mark], tmp_path: Path) -> None:
    found = made(marks, archive, tmp_path / "set", passes=10_000)
    (words,) = [one for one in found.left_out if "raise archive.pass_share" in one]
    assert 0 < found.left_out[words] <= 10_000


def test_an_export_takes_the_place_of_one_before_and_of_nothing_else(
    archive: Path, marks: list[Mark], tmp_path: Path
) -> None:
    to = tmp_path / "set"
    made(marks, archive, to)
    made(marks[:3], archive, to)
    assert len([one for one in names(to) if one.endswith(".png")]) == 3
    (to / "notes.txt").write_text("mine")
    before = names(to)
    with pytest.raises(MarksError, match=r"holds notes\.txt, which is not of an export; give a new folder"):
        made(marks, archive, to)
    assert names(to) == before
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "a.png").write_bytes(b"x")
    with pytest.raises(MarksError, match=r"holds a\.png"):
        made(marks, archive, tmp_path / "theirs")
    assert not [one for one in tmp_path.iterdir() if one.name.startswith(".")]


def test_one_that_is_ended_leaves_what_was_there_and_nothing_half(
    archive: Path, marks: list[Mark], tmp_path: Path
) -> None:
    to = tmp_path / "set"
    made(marks[:2], archive, to)
    before = names(to)
    going = export(marks, Source(archive=archive, station="cell3"), to, SystemClock())
    next(going)
    next(going)
    going.close()
    assert names(to) == before
    assert sorted(one.name for one in tmp_path.iterdir()) == ["archive", "set"]


STEPS = ("mkdir", "rename", "rename_into", "sync")


@pytest.mark.parametrize("cut", range(4))
def test_wherever_a_kill_cuts_the_next_export_is_whole(
    archive: Path, marks: list[Mark], tmp_path: Path, cut: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each rename and removal of the last steps, ended before it as a kill would."""
    to = tmp_path / "set"
    made(marks[:2], archive, to)
    calls = iter(range(100))

    class Killed(BaseException):
        pass

    def cutting(name: str, real: object) -> object:
        def call(*args: object, **more: object) -> object:
            if next(calls) == cut:
                raise Killed
            return real(*args, **more)  # type: ignore[operator]

        return call

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "rename", cutting("rename", Path.rename))
        patch.setattr(dataset.shutil, "rmtree", cutting("rmtree", dataset.shutil.rmtree))
        with pytest.raises(Killed):
            made(marks, archive, to)
    made(marks, archive, to)
    told = json.loads((to / PROVENANCE).read_bytes())
    assert len(told["files"]) == 16
    assert sorted(one.name for one in tmp_path.iterdir()) == ["archive", "set"]


def test_a_full_disk_leaves_nothing_half_done(archive: Path, marks: list[Mark], tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if not may_mount(disk):
        pytest.skip("only root may mount a small disk")
    with small_disk(disk, megabytes=1):
        (disk / "filler").write_bytes(bytes(1_020_000))
        with pytest.raises(MarksError, match="No space left on device; nothing was exported"):
            made(marks, archive, disk / "set")
        assert [one.name for one in disk.iterdir()] == ["filler"]


@pytest.mark.parametrize(
    ("label", "name"),
    [
        (None, "defect"),
        ("Scratch", "scratch"),
        ("dent (deep)", "dent__deep"),
        ("0.5-1 mm", "0_5-1_mm"),
        ("ok", "defect_ok"),
        ("Riß", "riss"),
        ("\u0390" * 48, "\u03b9\u0308\u0301" * 33 + "\u03b9"),  # 288 bytes as small letters
    ],
)
def test_a_label_has_a_folder_that_every_reader_takes(label: str | None, name: str) -> None:
    assert folder_of(label) == name


@pytest.fixture(autouse=True)
def no_leftovers(tmp_path: Path) -> Iterator[None]:
    yield
    assert not [*tmp_path.glob(".*.part")]
