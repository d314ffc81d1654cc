"""One decision made once more gives what was decided then, or says in what it differs and why."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from agent.archive.entry import EntryError
from agent.bundle.trust import NotTrusted
from agent.contract import payloads
from agent.errors import PlumblineError
from agent.replay.again import order_of, replay
from agent.replay.apart import replay_apart
from agent.replay.document import Replayed, Row
from agent.replay.engine import engine_named
from agent.replay.told import ReplayError
from agent.settings import camera, settings
from agent.settings.recipes import OfCamera, Recipe, Region
from tests.agent.remote.proof.shadowed import write_grey
from tests.agent.replay.kept import CLOCK, Keeping, grey_steps

FAILS = grey_steps(20, 240, 230, 30, 250)
PASSES = grey_steps(20, 60, 90)


@pytest.fixture
def station(tmp_path: Path) -> Keeping:
    write_grey(tmp_path / "serves")
    return Keeping(folder=tmp_path)


def once_more(station: Keeping, result: str | Path, **how: object) -> Replayed:
    told = {"file": result} if isinstance(result, Path) else {"result_id": result}
    return replay(order_of(station.settings, **told, **how), CLOCK)  # type: ignore[arg-type]


def row(found: Replayed, what: str) -> Row:
    return next(one for one in found.rows if one.what == what)


@pytest.mark.parametrize("image", [PASSES, FAILS], ids=["pass", "fail"])
def test_the_same_engine_gives_every_value_of_then_to_a_millionth(station: Keeping, image: object) -> None:
    verdict, _ = station.judge(image)  # type: ignore[arg-type]
    found = once_more(station, verdict.result_id)
    assert found.reproduced and found.notes == ()
    assert found.engine_then == found.engine_now == "openvino-f32"
    score = row(found, "score")
    assert score.difference is not None and score.difference <= 1e-6 and score.allowed == 1e-6
    assert row(found, "verdict").now == verdict.verdict
    named = [one for one in found.rows if one.what.startswith("defect")]
    assert len(named) == 2 * len(verdict.defects)
    assert (len(named) > 0) == (verdict.verdict == "fail")


@pytest.mark.parametrize("engine", ["onnxruntime", "eager"])
def test_another_engine_of_this_machine_gives_it_within_what_the_bundle_allows(
    station: Keeping, engine: str
) -> None:
    verdict, _ = station.judge(FAILS)
    found = once_more(station, verdict.result_id, engine=engine)
    assert found.reproduced and found.engine_now == f"{engine}-f32"
    assert row(found, "score").allowed == 0.002


def test_it_is_judged_by_the_rules_of_then_and_what_is_in_force_now_is_told(station: Keeping) -> None:
    region = Region(corners=((0.0, 0.0), (12.0, 0.0), (12.0, 40.0), (0.0, 40.0)))
    strict = Recipe(name="strict", cameras=(OfCamera(camera="top", threshold=0.2, ignore=(region,)),))
    station.changes = {"recipes": (strict,)}
    verdict, _ = station.judge(FAILS, own="strict")
    loose = Recipe(name="strict", cameras=(OfCamera(camera="top", threshold=0.9),))
    station.changes = {"recipes": (loose,)}
    found = once_more(station, verdict.result_id)
    assert found.reproduced and row(found, "threshold").now == pytest.approx(0.2)
    assert "by the settings and bundle of now threshold is 0.9; it was 0.2" in found.notes
    assert "by the settings of now other regions are ignored" in found.notes
    settings_ = next(one for one in found.digests if one.what == "settings")
    assert settings_.used == settings_.then != settings_.in_force


def test_a_later_piece_of_a_part_ignores_what_it_ignored_then(station: Keeping) -> None:
    below = Region(corners=((0.0, 40.0), (30.0, 40.0), (30.0, 80.0), (0.0, 80.0)))
    own = Recipe(name="own", cameras=(OfCamera(camera="top", ignore=(below,)),))
    station.changes = {"recipes": (own,)}
    verdict, _ = station.judge(FAILS, part_line=40, own="own")
    assert once_more(station, verdict.result_id).reproduced


def test_an_entry_without_rules_is_judged_by_its_threshold_and_says_what_is_not_of_then(
    station: Keeping,
) -> None:
    station.changes = {"judge": settings.Judge(threshold=0.3)}
    verdict, _ = station.judge(PASSES, keeps_rules=False)
    station.changes = {}
    found = once_more(station, verdict.result_id)
    assert row(found, "threshold").is_same and row(found, "verdict").is_same
    assert any("an older version kept the picture without the rules" in one for one in found.notes)
    assert not found.reproduced  # its settings are not those of then


def test_a_bundle_that_is_in_the_depot_no_more_has_to_be_given(station: Keeping) -> None:
    verdict, _ = station.judge(FAILS)
    shutil.move(station.folder / "serves", station.folder / "kept_elsewhere")
    write_grey(station.folder / "serves", counter=2, threshold=0.7)
    with pytest.raises(ReplayError, match=r"which judged then, is not on this station any more; give it"):
        once_more(station, verdict.result_id)
    found = once_more(station, verdict.result_id, bundle=station.folder / "kept_elsewhere")
    assert found.reproduced
    bundle = next(one for one in found.digests if one.what == "bundle")
    assert bundle.used == bundle.then == verdict.model.sha256 != bundle.in_force
    other = once_more(station, verdict.result_id, bundle=station.folder / "serves")
    assert not other.reproduced
    assert not next(one for one in other.digests if one.what == "bundle").is_same


def test_a_bundle_in_the_depot_under_its_digest_is_found_whatever_its_counter(station: Keeping) -> None:
    verdict, _ = station.judge(FAILS)
    shutil.move(station.folder / "serves", station.folder / verdict.model.sha256)
    write_grey(station.folder / "serves", counter=5)
    station.changes = {"trust": settings.Trust(lowest_counter=5)}
    assert once_more(station, verdict.result_id).reproduced


def test_a_bundle_that_nobody_trusts_is_not_run(station: Keeping, tmp_path: Path) -> None:
    verdict, _ = station.judge(FAILS)
    station.changes = {"trust": settings.Trust(file=tmp_path / "nobody.json")}
    with pytest.raises(NotTrusted):
        once_more(station, verdict.result_id)


def kept_by_mes(here: Keeping, /, **changes: object) -> tuple[Path, str]:
    verdict, _ = here.judge(FAILS)
    content = {**json.loads(payloads.encode(verdict)), **changes}
    file = here.folder / "kept[bold].json"
    file.write_text(json.dumps(content), encoding="utf-8")
    return file, verdict.result_id


def test_a_file_that_the_mes_kept_is_as_good_as_the_id_and_newer_fields_are_passed_over(
    station: Keeping,
) -> None:
    file, id_ = kept_by_mes(station, of_a_later_version=7)
    found = once_more(station, file)
    assert (found.result_id, found.reproduced) == (id_, True)


def test_a_file_that_says_otherwise_than_the_archive_is_told_and_never_reproduced(station: Keeping) -> None:
    score = {"raw": 0.1, "threshold": 0.5, "normalized": 20.0}
    file, _ = kept_by_mes(station, score=score, verdict="pass", defects=[])
    found = once_more(station, file)
    assert not found.reproduced and not row(found, "score").is_same
    assert any("the file says another score than the archive's record" in one for one in found.notes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schema": "plumbline.verdict/2"}, "is of schema plumbline.verdict/2, and this version knows"),
        ({"schema": "plumbline.event/1"}, "is no verdict"),
        ({"station": "[red]other"}, r"is of station \[red\]other, and these settings are of"),
        ({"verdict": "skipped", "reason": "overload"}, "was skipped"),
        ({"frame": {"sha256": "ab" * 32}}, "names other pixels than the archive's record"),
        ({"model": 7}, r"is no whole verdict \(at model\)"),
        ({"result_id": "../../etc/passwd"}, "is neither a result_id nor a file"),
    ],
)
def test_a_file_that_cannot_be_decided_once_more_says_why(
    station: Keeping, changes: dict[str, object], words: str
) -> None:
    file, _ = kept_by_mes(station, **changes)
    with pytest.raises(ReplayError, match=words):
        once_more(station, file)


def test_a_file_that_another_system_put_a_mark_before_is_read(station: Keeping) -> None:
    file, _ = kept_by_mes(station)
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert once_more(station, file).reproduced
    file.write_bytes(file.read_text("utf-8-sig").encode("utf-16"))
    with pytest.raises(ReplayError, match=r"is no verdict \(is UTF-16, not UTF-8\)"):
        once_more(station, file)


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"[]", b"[" * 10_000, b'{"schema": NaN}', b"7" * 2_000_000]
)
def test_a_file_that_is_no_verdict_is_refused_in_one_line(station: Keeping, content: bytes) -> None:
    file = station.folder / "kept.json"
    file.write_bytes(content)
    with pytest.raises(ReplayError, match="is no verdict"):
        once_more(station, file)


def test_a_picture_that_made_room_was_changed_or_torn_is_named(station: Keeping) -> None:
    verdict, path = station.judge(FAILS)
    whole = path.read_bytes()
    path.write_bytes(whole[:-200])
    with pytest.raises(EntryError, match="nothing of it can be relied on"):
        once_more(station, verdict.result_id)
    changed = bytearray(whole)
    changed[len(whole) // 2] ^= 1
    path.write_bytes(changed)
    with pytest.raises(EntryError, match="nothing of it can be relied on"):
        once_more(station, verdict.result_id)
    path.unlink()
    with pytest.raises(ReplayError, match=r"keeps no picture of it.*has made room"):
        once_more(station, verdict.result_id)


def test_without_an_archive_it_says_which_setting(station: Keeping) -> None:
    station.changes = {"archive": station.settings.archive.model_copy(update={"folder": None})}
    with pytest.raises(ReplayError, match=r"archive\.folder is not set"):
        once_more(station, "01900000-0000-7000-8000-000000000001")


def test_a_trigger_without_its_part_is_undecided_once_more(station: Keeping) -> None:
    file, _ = kept_by_mes(station, verdict="undecided", reason="part_missing")
    assert row(once_more(station, file), "verdict").is_same


def test_an_engine_of_then_that_is_not_here_is_replaced_and_said(station: Keeping) -> None:
    file, _ = kept_by_mes(station)
    content = json.loads(file.read_text())
    content["model"]["engine"] = "tensorrt-f16"
    file.write_text(json.dumps(content))
    found = once_more(station, file)
    assert any(one.startswith("engine tensorrt-f16, which judged then:") for one in found.notes)


def test_engines_are_known_by_their_names_in_verdicts() -> None:
    like = settings.Engine(threads=3)

    def told(name: str) -> tuple[str, str, str, int] | None:
        found = engine_named(name, like)
        return None if found is None else (found.kind, found.precision, found.device, found.threads)

    assert told("openvino-bf16") == ("openvino", "bf16", "auto", 3)
    assert told("openvino") == ("openvino", "auto", "auto", 3)
    assert told("torch_tensorrt-f32") == ("torch_tensorrt", "f32", "auto", 3)
    assert told("eager-cuda-tf32") == ("eager", "f32", "cuda", 3)
    assert told("eager-f32") == ("eager", "f32", "cpu", 3)
    assert told("none") is told("openvino-[x]") is told("") is None


def test_the_process_of_its_own_says_the_same_and_its_problem_in_one_line(station: Keeping) -> None:
    verdict, _ = station.judge(FAILS)
    order = order_of(station.settings, result_id=verdict.result_id)
    assert replay_apart(order) == replay(order, CLOCK)
    with pytest.raises(ReplayError, match="keeps no picture of it"):
        replay_apart(order_of(station.settings, result_id="unknown"))
    with pytest.raises(ReplayError, match="ended with 3: no more"):
        replay_apart(order, command=("sh", "-c", "echo no more >&2; exit 3"))
    with pytest.raises(ReplayError, match=r"not done after 0\.2 s"):
        replay_apart(order, command=("sleep", "60"), timeout_s=0.2)


def test_a_station_without_the_camera_still_judges_by_the_rules_that_were_kept(station: Keeping) -> None:
    verdict, _ = station.judge(FAILS)
    station.changes = {"cameras": (camera.Camera(name="bottom"),)}
    found = once_more(station, verdict.result_id)
    assert found.reproduced and any("what judges now cannot be told" in one for one in found.notes)
    station.changes = {}
    verdict, _ = station.judge(FAILS, keeps_rules=False)
    station.changes = {"cameras": (camera.Camera(name="bottom"),)}
    with pytest.raises(PlumblineError, match="camera top is in the settings no more"):
        once_more(station, verdict.result_id)
