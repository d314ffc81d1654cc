"""`plumbline replay` prints then beside now, and ends with what it found."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from agent.contract import payloads
from tests.agent.cli.calling import Plumbline, config, named_in_help
from tests.agent.remote.proof.shadowed import write_grey
from tests.agent.replay.kept import Keeping, grey_steps

SAMPLE = Path(__file__).parents[3] / "models" / "bundles" / "elpv"


@pytest.fixture
def station(tmp_path: Path) -> Keeping:
    write_grey(tmp_path / "serves")
    return Keeping(folder=tmp_path)


def settings_of(station: Keeping, **sections: object) -> Path:
    return config(
        station.folder,
        bundle="serves",
        cameras=[{"name": "top"}],
        engine={"kind": "openvino", "precision": "f32"},
        archive={"folder": "archive"},
        **sections,
    )


def test_a_decision_that_is_reproduced_ends_with_0(plumbline: Plumbline, station: Keeping) -> None:
    verdict, _ = station.judge(grey_steps(20, 240, 230, 30, 250))
    done = plumbline("replay", verdict.result_id, "-c", settings_of(station))
    assert (done.code, done.err) == (0, "")
    for words in ("score", "threshold", "verdict", "map: worst cell", "defect 0: score", "openvino-f32"):
        assert words in done.out
    assert done.out.splitlines()[-1] == "reproduced"


def test_json_names_what_the_help_says_and_a_file_of_the_mes_with_markup_in_it_runs_nothing(
    plumbline: Plumbline, station: Keeping
) -> None:
    verdict, _ = station.judge(grey_steps(20, 240, 230, 30, 250))
    content = {**json.loads(payloads.encode(verdict)), "reason": "[link=x]\u202e"}
    file = station.folder / "kept [red].json"
    file.write_text(json.dumps(content), encoding="utf-8")
    done = plumbline("replay", file, "-c", settings_of(station), "--json")
    assert done.code == 1
    assert named_in_help(plumbline, "replay", fields=json.loads(done.out))
    plain = plumbline("replay", file, "-c", settings_of(station))
    assert "[link=x]\\u202e" in plain.out and "\u202e" not in plain.out
    assert plain.out.splitlines()[-1] == "not reproduced"


@pytest.mark.parametrize("words", ["[/b]", "no-id", "01900000-0000-7000-8000-000000000009", "gone.json"])
def test_what_is_not_there_is_said_before_a_process_is_made_for_it(
    plumbline: Plumbline, station: Keeping, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    (station.folder / "archive").mkdir()
    monkeypatch.setattr("agent.replay.apart.replay_apart", lambda order: pytest.fail("it may wait for long"))
    done = plumbline("replay", words, "-c", settings_of(station))
    assert done.code == 2 and words in done.err and len(done.err.splitlines()) == 1


def test_what_cannot_be_done_ends_with_2_and_one_line(plumbline: Plumbline, station: Keeping) -> None:
    (station.folder / "archive").mkdir()
    wanted = settings_of(station)
    done = plumbline("replay", "01900000-0000-7000-8000-000000000009", "-c", wanted)
    assert done.code == 2 and "is unknown here" in done.complaint()
    gone = plumbline("replay", station.folder / "gone.json", "-c", wanted)
    assert gone.code == 2 and "No such file" in gone.complaint()
    verdict, _ = station.judge(grey_steps(20, 240))
    odd = plumbline("replay", verdict.result_id, "-c", wanted, "--engine", "abacus")
    assert odd.code == 2 and "--engine abacus: no engine has this name" in odd.complaint()


@pytest.mark.slow
def test_a_decision_is_explained_by_its_evidence(plumbline: Plumbline, station: Keeping) -> None:
    shutil.rmtree(station.folder / "serves")
    shutil.copytree(SAMPLE, station.folder / "serves")
    image = grey_steps(120, shape=(300, 300))
    image[198:204, 60:140] = 255
    verdict, _ = station.judge(image)
    told = plumbline("replay", verdict.result_id, "-c", settings_of(station), "--explain")
    assert told.code == 0 and "from good parts" in told.out and "the finder" in told.out
    assert "texture at stride 8" in told.out and " 1 in " in told.out
    done = plumbline("replay", verdict.result_id, "-c", settings_of(station), "--explain", "--json")
    found = json.loads(done.out)
    assert named_in_help(plumbline, "replay", fields=found)
    assert len(found["explained"]["places"]) == len(verdict.defects)


@pytest.mark.slow
def test_a_bundle_of_before_cannot_explain_and_says_so(plumbline: Plumbline, station: Keeping) -> None:
    verdict, _ = station.judge(grey_steps(20, 240, 230, 30, 250))
    done = plumbline("replay", verdict.result_id, "-c", settings_of(station), "--explain")
    assert done.code == 2 and "cannot explain its scores" in done.complaint()
