"""People see the frames on which two bundles differ most: few, small, whole or not at all."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.remote.proof.document import MAX_WORST, Found
from agent.remote.proof.worst import KEPT_PROOFS, LONGEST_SIDE_PX, _small, proofs
from tests.agent.remote.proof.shadowed import Station, write_grey


@pytest.fixture
def station(tmp_path: Path) -> Station:
    write_grey(tmp_path / "serves")
    return Station(folder=tmp_path)


def test_flips_come_first_then_the_largest_shifts_and_no_more_than_a_few(station: Station) -> None:
    station.keep((20, 60, 100, 116, 140, 160, 200, 235, 90, 95, 105))
    station.limits["frames"] = 20
    found = station.prove_here(write_grey(station.folder / "candidate", threshold=0.4))
    assert len(found.worst) == MAX_WORST
    verdicts = [(one.incumbent.verdict, one.candidate.verdict) for one in found.worst]
    assert verdicts[:2] == [("pass", "fail")] * 2 and ("pass", "fail") not in verdicts[2:]
    (kept,) = proofs(station.proofs)
    assert kept.name == found.candidate.sha256
    names = {name for one in found.worst for name in one.pictures.values()}
    assert {path.name for path in kept.iterdir()} == {"proof.json", *names}
    assert Found.model_validate_json((kept / "proof.json").read_text()) == found
    original, before, after = (
        cv2.imread(str(kept / found.worst[0].pictures[which]))  # type: ignore[index]
        for which in ("original", "incumbent", "candidate")
    )
    assert original.shape == before.shape == after.shape == (40, 60, 3)
    assert np.abs(before.astype(int) - after).max() > 40  # over the threshold by the candidate alone


def test_where_nothing_differs_the_document_is_all(station: Station) -> None:
    station.keep()
    found = station.prove_here(write_grey(station.folder / "candidate", counter=2))
    (kept,) = proofs(station.proofs)
    assert [path.name for path in kept.iterdir()] == ["proof.json"]
    assert json.loads((kept / "proof.json").read_text())["worst"] == list(found.worst) == []


def test_only_the_last_proofs_are_kept_and_what_is_not_ours_is_left(station: Station) -> None:
    station.keep((20,))
    station.proofs.mkdir()
    (station.proofs / "mine").mkdir()
    (station.proofs / ".part-dead").mkdir()
    (station.proofs / ".part-dead" / "half.jpg").write_bytes(b"half")
    os.utime(station.proofs / ".part-dead", (1, 1))
    (station.proofs / ".part-alive").mkdir()
    made = [
        station.prove_here(write_grey(station.folder / str(counter), counter=counter)).candidate.sha256
        for counter in range(2, 8)
    ]
    assert [path.name for path in proofs(station.proofs)] == made[: -KEPT_PROOFS - 1 : -1]
    assert {path.name for path in station.proofs.iterdir()} == {
        *("mine", ".part-alive"),
        *made[-KEPT_PROOFS:],
    }


def test_the_same_candidate_proven_again_takes_the_place_of_its_last_proof(station: Station) -> None:
    station.keep()
    one = write_grey(station.folder / "candidate", threshold=0.4)
    station.prove_here(one)
    station.archive.joinpath("2026-11-24").rename(station.folder / "away")
    station.prove_here(one)
    (kept,) = proofs(station.proofs)
    assert [path.name for path in kept.iterdir()] == ["proof.json"]


def test_a_disk_that_takes_no_picture_changes_no_proof(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    station.keep()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("agent.remote.proof.worst.write_file", full)
    found = station.prove_here(write_grey(station.folder / "candidate", threshold=0.4))
    assert found.flips.to_fail == 1
    assert found.worst[0].pictures == {}
    assert "pictures were not kept: No space left on device" in found.notes[-1]
    assert proofs(station.proofs) == []


def test_a_large_picture_is_kept_small_and_in_colour() -> None:
    assert _small(np.zeros((300, 4096, 1), np.uint8)).shape == (75, LONGEST_SIDE_PX, 3)
    assert _small(np.zeros((300, 100, 3), np.uint8)).shape == (300, 100, 3)
