"""Before any bundle is loaded a start makes the links follow the record, whatever the disk takes."""

from __future__ import annotations

import fcntl
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from agent.clock import Clock, ManualClock
from agent.errors import PlumblineError
from agent.remote.rollout.begin import Begun, begin, gone_back
from agent.remote.rollout.depot import Depot
from agent.remote.rollout.rollout_file import RECORD, RolloutFile
from agent.remote.rollout.transaction import Do, Instruction, Record, State
from tests.agent.remote.depots import content, record_of, served
from tests.agent.remote.rollouts import digest


def begun(folder: Path, clock: Clock | None = None) -> Begun:
    made = begin(Depot(folder=folder), clock or ManualClock(), [].append)
    made.held.close()
    return made


def on_trial(folder: Path, source: Path, state: State = "probation", **more: object) -> Record:
    """A record of a rollout of `source`, which lies in the depot."""
    depot = Depot(folder=folder)
    current, previous = depot.named("current"), depot.named("previous")
    if state not in ("downloading", "verifying"):
        import shutil

        shutil.copytree(source, depot.path_of(digest(source)))
    plain = Record(
        state=state,
        instruction=Instruction(
            transaction="t",
            issuer="plant",
            epoch=1,
            counter=5,
            envelope_sha256="e",
            target_id="small",
            target_sha256=digest(source),
        ),
        attempts=1,
        boot_id="a",
        previous=current if state in ("probation", "rolling_back") else None,
        former=previous if state in ("probation", "rolling_back") else None,
    )
    record = replace(plain, **more)  # type: ignore[arg-type]
    RolloutFile(path=folder / RECORD).write(record)
    return record


def test_a_folder_in_which_nobody_installed_is_left_alone(tmp_path: Path) -> None:
    made = begun(tmp_path / "bundles")
    assert not made.is_used and made.path is None
    assert not (tmp_path / "bundles").exists()


@pytest.mark.parametrize("how", ["leads nowhere", "is gone", "is damaged"])
def test_where_current_is_not_whole_the_one_before_serves_and_that_is_said(
    folder: Path, there: dict[int, Path], how: str
) -> None:
    current = folder / "current"
    if how == "leads nowhere":
        current.unlink()
        current.symlink_to("nix")
    elif how == "is gone":
        shutil.rmtree(folder / digest(there[2]))
    else:
        (folder / digest(there[2]) / "model.onnx").write_bytes(b"damaged")
    said: list[str] = []
    made = begin(Depot(folder=folder), ManualClock(), said.append)
    assert made.serves == digest(there[1]) == Depot(folder=folder).named("current")
    assert made.lost == said[-1] and f"the one before, {digest(there[1])[:12]}, serves" in said[-1]


def test_a_current_that_leads_to_a_bundle_elsewhere_is_left_alone(
    folder: Path, there: dict[int, Path]
) -> None:
    (folder / "current").unlink()
    (folder / "current").symlink_to(there[3])
    begun(folder)
    assert (folder / "current").readlink() == there[3]


def test_an_idle_station_opens_current_and_lets_go(folder: Path, there: dict[int, Path]) -> None:
    before = content(folder)
    made = begin(Depot(folder=folder), ManualClock(), [].append)
    assert made.serves == digest(there[2]) and not made.is_held
    with Depot(folder=folder).held():
        assert content(folder) == before


def test_a_trial_is_counted_switched_and_opened(folder: Path, there: dict[int, Path]) -> None:
    on_trial(folder, there[3])
    made = begun(folder)
    assert (made.serves, made.is_on_probation) == (digest(there[3]), True)
    assert served(folder) == (3, 2)
    assert record_of(folder).power_cuts == 1 and made.owed == (Do(what="observe"),)


def test_a_process_that_ended_in_order_has_not_died(folder: Path, there: dict[int, Path]) -> None:
    on_trial(folder, there[3], is_stopped=True)
    assert begun(folder).is_on_probation
    record = record_of(folder)
    assert (record.attempts, record.power_cuts, record.is_stopped) == (1, 0, False)


def test_a_trial_that_keeps_dying_is_left(folder: Path, there: dict[int, Path]) -> None:
    clock = ManualClock()
    on_trial(folder, there[3], boot_id=clock.boot())
    assert [begun(folder, clock).serves for _ in range(3)] == [
        digest(there[3]),
        digest(there[3]),
        digest(there[2]),
    ]
    assert served(folder) == (2, 1) and record_of(folder).state == "rolling_back"


def test_a_trial_that_cannot_even_be_opened_is_left_at_once(folder: Path, there: dict[int, Path]) -> None:
    on_trial(folder, there[3])
    made = begun(folder)
    back = gone_back(made, PlumblineError("no engine"), ManualClock())
    assert back.serves == digest(there[2]) and served(folder) == (2, 1)
    assert "it could not be opened: no engine" in record_of(folder).errors[-1].message
    assert back.owed == (Do(what="observe"),)


@pytest.mark.parametrize("state", ["downloading", "verifying", "proving", "staged"])
def test_before_its_trial_a_bundle_waits_and_the_one_before_serves(
    state: State, folder: Path, there: dict[int, Path]
) -> None:
    on_trial(folder, there[3], state, attempts=0)
    assert begun(folder).serves == digest(there[2])
    assert served(folder) == (2, 1)


def test_a_current_that_is_damaged_gives_way_to_previous(folder: Path, there: dict[int, Path]) -> None:
    (folder / "current" / "model.onnx").write_bytes(b"bit rot")
    assert begun(folder).serves == digest(there[1])
    assert served(folder) == (1, 1)


def test_where_no_bundle_is_whole_none_serves(folder: Path, there: dict[int, Path]) -> None:
    for link in ("current", "previous"):
        (folder / link / "model.onnx").write_bytes(b"bit rot")
    made = begun(folder)
    assert made.is_used and made.path is None and made.owed == (Do(what="fail_safe"),)
    assert not (folder / "current").exists()


def test_a_record_that_cannot_be_read_is_a_fresh_one_and_what_serves_stays(
    folder: Path, there: dict[int, Path]
) -> None:
    (folder / RECORD).write_text("{")
    (folder / ".candidate").mkdir()
    made = begun(folder)
    assert made.serves == digest(there[2]) and made.lost is not None
    assert "cannot be read; what serves stays" in made.lost
    assert not (folder / ".candidate").exists() and record_of(folder) == Record()


def test_a_trial_whose_tries_cannot_be_counted_does_not_serve(
    folder: Path, there: dict[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    on_trial(folder, there[3])
    begun(folder)
    assert served(folder) == (3, 2)
    before = content(folder)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("agent.remote.rollout.rollout_file.replace_file", full)
        made = begun(folder)
    assert made.serves == digest(there[2])  # though current names the other one
    assert content(folder) == before and made.trouble is not None
    assert [type(one).__name__ for one in made.events] == ["Breached"]


def test_while_somebody_installs_by_hand_a_station_starts_with_what_is_whole(
    folder: Path, there: dict[int, Path]
) -> None:
    with (folder / ".lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = begun(folder)
    assert made.serves == digest(there[2]) and not made.is_held


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a folder away")
def test_a_folder_of_another_user_is_read_alone(folder: Path, there: dict[int, Path]) -> None:
    on_trial(folder, there[3], "rolling_back")
    os.chown(folder, 65_534, 65_534)
    made = begin(Depot(folder=folder, is_of_station=True), ManualClock(), [].append)
    assert made.serves == digest(there[2]) and "belongs to nobody and this is root" in (made.trouble or "")
    assert f"sudo chown -R root {folder}; or run the service as nobody" in (made.trouble or "")
