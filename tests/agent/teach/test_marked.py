"""Wrong rejects widen the good set; confirmed defects are held apart, and say what the threshold catches."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from agent.cameras.images import read_image
from agent.marks.file import MarkFile
from agent.marks.read import place
from agent.settings.settings import Settings
from agent.teach.flow import Flow, Means
from agent.teach.marked import caught, confirmed, good_parts, words
from agent.teach.part_set import About, PartSet
from agent.teach.state import State
from tests.agent.archive.records import MORNING, picture, verdict
from tests.agent.marks.said import mark, station


@pytest.fixture
def wanted(tmp_path: Path) -> Iterator[Settings]:
    """Five rejects, of which two were wrong and two are confirmed, and a pass that was a missed defect."""
    settings = Settings.model_validate(
        {
            "archive": {"folder": str(tmp_path / "archive")},
            "outbox": {"path": str(tmp_path / "outbox.sqlite3")},
        }
    )
    with station(tmp_path) as said:
        for number, name in enumerate(("fail", "fail", "fail", "fail", "fail", "pass"), 1):
            said.judge(number, name=name)
    file = MarkFile(place(settings.outbox.path))
    for number, says, label in ((1, "wrong", None), (2, "wrong", "dust"), (3, "right", "dent")):
        file.add(mark(number, says, **({} if label is None else {"label": label})))
    file.add(mark(4, "right"))
    file.add(mark(6, "wrong", of=verdict(6, name="pass")))
    file.add(mark(9, "right"))  # whose picture made room
    file.close()
    yield settings


def test_parts_that_people_call_good_join_the_set_and_no_others(wanted: Settings, tmp_path: Path) -> None:
    parts = PartSet(tmp_path / "set")
    parts.open(About(product="plate", source="archive"))
    got = [*good_parts(parts, wanted, None, 10)]
    assert [one.parts for one in got] == [1, 2]
    taught = {read_image(file).tobytes() for file in parts.pictures()}
    assert taught == {picture((40, 60, 1), seed=number).tobytes() for number in (1, 2)}


def test_only_so_many_join_as_are_wanted_and_none_of_another_camera(wanted: Settings, tmp_path: Path) -> None:
    parts = PartSet(tmp_path / "set")
    parts.open(About(product="plate", source="archive"))
    assert [*good_parts(parts, wanted, "side", 10)] == []
    assert len([*good_parts(parts, wanted, "top", 1)]) == 1


def test_defects_are_those_that_people_confirmed_or_found_and_whose_picture_is_there(
    wanted: Settings,
) -> None:
    held = [*confirmed(wanted, None)]
    assert [(one.mark.result_sequence, one.mark.label) for one in held] == [(6, None), (4, None), (3, "dent")]
    assert held[2].image.tobytes() == picture((40, 60, 1), seed=3).tobytes()


def test_without_an_archive_there_are_neither(wanted: Settings, tmp_path: Path) -> None:
    bare = wanted.model_copy(update={"archive": wanted.archive.model_copy(update={"folder": None})})
    assert [*confirmed(bare, None)] == []


def test_what_a_threshold_catches_is_said_with_the_labels_that_it_misses() -> None:
    held = [
        {"result_id": "a", "label": "dent", "score": 2.0},
        {"result_id": "b", "label": "scratch", "score": 0.5},
        {"result_id": "c", "label": None, "score": float("nan")},
    ]
    found = caught(held, 1.0)
    assert (found["confirmed"], found["caught"]) == (3, 1)
    assert [one["result_id"] for one in found["missed"]] == ["b", "c"]
    (said,) = words(found)
    assert said.startswith(
        "of 3 defects that people confirmed it rejects 1; missed are such as scratch; they"
    )
    assert said.endswith("are held apart, neither taught nor counted in the promise")
    assert words(caught([], 1.0)) == []


def test_the_flow_holds_them_apart_and_says_what_its_threshold_catches(
    wanted: Settings, tmp_path: Path
) -> None:
    """The threshold is that of the good parts alone."""
    promised = {}
    for name, held in (("without", lambda: iter(())), ("with", lambda: confirmed(wanted, None))):
        flow = Flow(tmp_path / name)
        flow.open(State(product="plate", source="here", wanted=30, target=0.05))
        judged = iter(range(10_000))

        def collect(parts: PartSet, count: int) -> Iterator[object]:
            for number in range(count):
                parts.add_picture(
                    picture((40, 60, 1), seed=100 + number), MORNING + timedelta(minutes=number)
                )
            return iter(())

        means = Means(
            collect=collect,  # type: ignore[arg-type]
            judge=lambda image, judged=judged: 0.01 + 1e-5 * (next(judged) % 17),  # type: ignore[misc]
            bundle_sha256="ab" * 32,
            activate=lambda threshold: {},
            confirmed=held,
        )
        for _ in range(4):
            for _ in flow.do(means, flagged="keep"):
                pass
        state = flow.state()
        assert state is not None
        promised[name] = state.promised
    assert promised["with"]["threshold"] == promised["without"]["threshold"]
    assert promised["with"]["held"]["confirmed"] == 3
    assert promised["without"]["held"]["confirmed"] == 0
    assert "of 3 defects that people confirmed" in promised["with"]["words"][-1]
