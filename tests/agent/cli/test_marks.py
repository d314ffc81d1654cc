"""`plumbline marks` lists, exports and judges again what people said, beside a running agent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agent.cli import calibrate
from agent.errors import PlumblineError
from agent.marks.file import MarkFile
from tests.agent.archive.records import result_id
from tests.agent.cli.calling import Plumbline, config, named_in_help
from tests.agent.marks.said import mark
from tests.agent.remote.proof.shadowed import write_grey
from tests.agent.replay.kept import Keeping, grey_steps


@pytest.fixture
def station(tmp_path: Path) -> Keeping:
    """A false alarm, a confirmed reject and a pass that nobody marked."""
    write_grey(tmp_path / "serves")
    station = Keeping(folder=tmp_path)
    file = MarkFile(tmp_path / "outbox.sqlite3-marks.sqlite3")
    for says, label in (("wrong", None), ("right", "dentx")):
        verdict, _ = station.judge(grey_steps(20, 240, 230, 30, 250))
        more = {} if label is None else {"label": label}
        file.add(mark(verdict.sequence, says, of=verdict, who="Ada [b]", **more))
    station.judge(grey_steps(20, 25, 30))
    file.close()
    return station


@pytest.fixture
def settings(station: Keeping) -> Path:
    return config(
        station.folder,
        bundle="serves",
        cameras=[{"name": "top"}],
        engine={"kind": "openvino", "precision": "f32"},
        archive={"folder": "archive"},
        outbox={"path": "outbox.sqlite3"},
    )


def test_marks_are_listed_newest_first_and_text_of_others_stays_text(
    plumbline: Plumbline, settings: Path
) -> None:
    ended = plumbline("marks", "list", "-c", settings)
    assert ended.code == 0, ended.err
    first, second, last = ended.out.splitlines()[-3:]
    assert "dentx" in first and "right" in first and "Ada [b] by page" in first
    assert "wrong" in second and "good" in second
    assert last.endswith("2 marks")
    found = json.loads(plumbline("marks", "list", "-c", settings, "--json", "--truth", "good").out)
    assert [one["says"] for one in found["marks"]] == ["wrong"]
    assert named_in_help(plumbline, "marks", "list", fields=found)


def test_they_become_a_data_set_with_the_passes_that_were_asked_for(
    plumbline: Plumbline, settings: Path, tmp_path: Path
) -> None:
    ended = plumbline("marks", "export", tmp_path / "set", "-c", settings, "--passes", "5", "--json")
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    assert sum(count for name, count in found["files"].items() if name.endswith("/good")) == 2
    assert found["files"]["test/dentx"] == 1 and found["masks"] == 1
    assert named_in_help(plumbline, "marks", "export", fields=found)
    again = plumbline("marks", "export", tmp_path / "set", "-c", settings)
    assert again.code == 0 and "1 masks" in again.out
    (tmp_path / "set" / "mine.txt").write_text("x")
    refused = plumbline("marks", "export", tmp_path / "set", "-c", settings)
    assert refused.code == 2 and "holds mine.txt, which is not of an export" in refused.complaint()


def test_another_bundle_shows_what_would_change_and_ends_with_1_where_it_spoils(
    plumbline: Plumbline, settings: Path, station: Keeping
) -> None:
    ended = plumbline("marks", "judge", "--bundle", station.folder / "serves", "-c", settings)
    assert ended.code == 0, ended.err
    assert "without a label" in ended.out and "dentx" in ended.out
    assert "1 stay right, 1 stay wrong" in ended.out.splitlines()[-1]
    found = json.loads(
        plumbline("marks", "judge", "--bundle", station.folder / "serves", "-c", settings, "--json").out
    )
    assert (found["kept_right"], found["still_wrong"], len(found["results"])) == (1, 1, 2)
    assert named_in_help(plumbline, "marks", "judge", fields=found)
    text = settings.read_text(encoding="utf-8") + "judge: {threshold: 100000.0}\n"
    settings.write_text(text, encoding="utf-8")
    blind = plumbline("marks", "judge", "--bundle", station.folder / "serves", "-c", settings)
    assert blind.code == 1 and f"newly wrong: {result_id(2)}, fail -> pass" in blind.out


def test_a_mark_is_said_through_the_broker_as_an_mes_does(
    plumbline: Plumbline, settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []

    def asked(config: Path, name: str, args: dict[str, Any]) -> dict[str, Any]:
        told.append((name, args))
        return {
            "code": 200,
            "data": {"mark": {}, "was": None, "words": "marked right: the part is defective"},
        }

    monkeypatch.setattr(calibrate, "asked", asked)
    words = ("marks", "add", result_id(1), "right", "--label", "dent", "--defect", "0", "--who", "Ada")
    ended = plumbline(*words, "-c", settings)
    assert ended.code == 0 and ended.out.splitlines()[-1] == "marked right: the part is defective"
    wanted = {"result_id": result_id(1), "says": "right", "label": "dent", "defect_index": 0, "who": "Ada"}
    assert told == [("mark", wanted)]
    found = json.loads(plumbline(*words, "-c", settings, "--json").out)
    assert named_in_help(plumbline, "marks", "add", fields=found)

    def refused(config: Path, name: str, args: dict[str, Any]) -> dict[str, Any]:
        raise PlumblineError("the station refused mark: 404 x: this station does not know that result")

    monkeypatch.setattr(calibrate, "asked", refused)
    ended = plumbline(*words, "-c", settings)
    assert ended.code == 2 and "does not know that result" in ended.complaint()


def test_where_nobody_has_marked_it_says_what_to_do(plumbline: Plumbline, tmp_path: Path) -> None:
    write_grey(tmp_path / "serves")
    wanted = config(tmp_path, bundle="serves", archive={"folder": "archive"})
    for words in (("export", tmp_path / "set"), ("judge", "--bundle", tmp_path / "serves")):
        ended = plumbline("marks", *words, "-c", wanted)
        assert ended.code == 2 and "nobody has marked a result yet" in ended.complaint()
    assert not (tmp_path / "set").exists()
    assert plumbline("marks", "list", "-c", wanted).out.splitlines()[-1].endswith("0 marks")
    bare = config(tmp_path, bundle="serves")
    ended = plumbline("marks", "export", tmp_path / "set", "-c", bare)
    assert ended.code == 2 and "archive.folder is not set" in ended.complaint()
