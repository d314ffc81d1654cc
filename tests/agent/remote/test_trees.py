"""A stick of the fleet tool is read where it is put, stays as it is, and takes the station's report back."""

from __future__ import annotations

import queue
from pathlib import Path

import pytest

from agent.contract.inbound import Inbound
from agent.remote.documents import Documents
from agent.remote.trees import Trees

OWN = "plumbline/v1/site/area/line/station"
TOPICS = (
    f"{OWN}/config/desired",
    f"{OWN}/bundle/desired",
    "plumbline/v1/groups/press/config/desired",
)
REPORTED = f"{OWN}/config/reported"


class Nothing:
    def get(self, *, timeout: float) -> Inbound:
        raise queue.Empty


class Rig:
    def __init__(self, folder: Path) -> None:
        self.inbox, self.report = folder / "inbox", folder / "reported.json"
        self.inbox.mkdir()
        self.taken: list[tuple[str, bytes, Path | None]] = []
        self.documents = Documents(
            Nothing(),
            self.inbox,
            {
                "config": lambda content, base: self.taken.append(("config", content, base)),
                "bundle": lambda content, base: self.taken.append(("bundle", content, base)),
            },
            Trees(self.inbox, topics=TOPICS, reported=REPORTED, report=self.report),
        )

    def turn(self) -> list[tuple[str, bytes, Path | None]]:
        """What is taken now."""
        self.taken.clear()
        self.documents.turn()
        return list(self.taken)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def put(root: Path, topic: str, content: bytes) -> Path:
    path = root / f"{topic}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_documents_of_this_station_and_its_groups_are_taken_once_and_stay(rig: Rig) -> None:
    stick = rig.inbox / "stick"
    paths = [put(stick, topic, topic.encode()) for topic in TOPICS]
    put(stick, OWN.replace("station", "another") + "/config/desired", b"{}")
    put(stick, "plumbline/v1/groups/another/config/desired", b"{}")
    assert rig.turn() == [
        ("config", TOPICS[0].encode(), stick),
        ("bundle", TOPICS[1].encode(), stick),
        ("config", TOPICS[2].encode(), stick),
    ]
    assert rig.turn() == [] and all(path.exists() for path in paths)


def test_the_inbox_itself_may_be_such_a_folder_and_a_link_to_where_a_stick_is_mounted_may_lie_in_it(
    rig: Rig, tmp_path: Path
) -> None:
    put(rig.inbox, TOPICS[0], b"copied")
    put(tmp_path / "media", TOPICS[0], b"mounted")
    (rig.inbox / "stick").symlink_to(tmp_path / "media")
    assert rig.turn() == [("config", b"copied", rig.inbox), ("config", b"mounted", rig.inbox / "stick")]


def test_what_has_changed_or_is_plugged_in_again_is_taken_again(rig: Rig, tmp_path: Path) -> None:
    path = put(tmp_path / "media", TOPICS[0], b"first")
    (rig.inbox / "stick").symlink_to(tmp_path / "media")
    assert len(rig.turn()) == 1
    path.write_bytes(b"second")
    assert [content for _, content, _ in rig.turn()] == [b"second"]
    (tmp_path / "media").rename(tmp_path / "away")
    assert rig.turn() == []
    (tmp_path / "away").rename(tmp_path / "media")
    assert [content for _, content, _ in rig.turn()] == [b"second"]


def test_the_report_is_brought_back_as_it_is_said_last(rig: Rig) -> None:
    stick = rig.inbox / "stick"
    put(stick, TOPICS[2], b"{}")
    rig.turn()
    back = stick / f"{REPORTED}.json"
    assert not back.exists()  # nothing has been said yet
    for said in (b"one", b"two"):
        rig.report.write_bytes(said)
        rig.turn()
        assert back.read_bytes() == said
    written = back.stat()
    rig.turn()
    assert back.stat() == written


def test_a_flat_document_is_taken_with_its_folder_and_gone_then(rig: Rig) -> None:
    (rig.inbox / "one.json").write_bytes(b"{}")
    assert rig.turn() == [("config", b"{}", rig.inbox)]
    assert rig.turn() == [] and not (rig.inbox / "one.json").exists()


@pytest.mark.parametrize("place", ["plumbline/v1", f"{OWN}/config"])
def test_no_link_leads_a_report_out_of_the_stick(rig: Rig, tmp_path: Path, place: str) -> None:
    outside, stick = tmp_path / "outside", rig.inbox / "stick"
    outside.mkdir()
    (stick / place).parent.mkdir(parents=True)
    (stick / place).symlink_to(outside)
    rig.report.write_bytes(b"said")
    rig.turn()
    assert list(outside.iterdir()) == []


def test_a_report_that_is_a_link_is_replaced_and_what_it_names_stays(rig: Rig, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    link = put(rig.inbox / "stick", REPORTED, b"")
    link.unlink()
    link.symlink_to(victim)
    rig.report.write_bytes(b"said")
    rig.turn()
    assert victim.read_bytes() == b"precious" and not link.is_symlink() and link.read_bytes() == b"said"


def test_a_stick_that_takes_nothing_ends_nothing(rig: Rig) -> None:
    stick = rig.inbox / "stick"
    put(stick, TOPICS[0], b"{}")
    (stick / OWN / "config" / "reported.json").mkdir()
    rig.report.write_bytes(b"said")
    assert len(rig.turn()) == 1
    assert rig.turn() == []


def test_what_is_no_file_or_too_large_is_passed_over(rig: Rig) -> None:
    stick = rig.inbox / "stick"
    put(stick, TOPICS[0], bytes(2_000_000))
    (stick / f"{TOPICS[1]}.json").mkdir(parents=True)
    assert rig.turn() == []
