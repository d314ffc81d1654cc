"""What keeps the service from starting: it ends once, says what and why, and what runs beside it goes on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import yaml

from tests.brokers import eventually
from tests.system.station import SETTINGS, STATE, UNIT, Station

KEPT = f"{STATE}/settings"  # what once served


@pytest.fixture
def halted(station: Station) -> Iterator[Station]:
    """Stopped for the test; afterwards it has its settings and serves again."""
    station.stop()
    good = station.box.path(SETTINGS).read_text()
    yield station
    station.box.write(SETTINGS, good)
    station.box.systemctl("reset-failed", UNIT)
    station.start()


@pytest.fixture
def bare(halted: Station) -> Iterator[Station]:
    """As after its installation: no settings have served yet."""
    halted.box.run("mv", KEPT, "/root/kept")
    yield halted
    halted.box.run("rm", "-rf", KEPT)
    halted.box.run("mv", "/root/kept", KEPT)


def refused(station: Station, unit: str = UNIT) -> list[str]:
    """What a start said that ended with exit code 2 and is not tried again: that would be `activating`."""
    before = station.box.cursor()
    station.box.systemctl("start", unit, check=False)
    shown = {name: station.box.show(unit, name) for name in ("ActiveState", "ExecMainStatus", "NRestarts")}
    assert shown == {"ActiveState": "failed", "ExecMainStatus": "2", "NRestarts": "0"}
    lines = station.box.journal(unit, after=before)
    return [str(line["MESSAGE"]) for line in lines if line.get("_COMM") != "systemd"]


WRONG = [
    ({"judge": {"min_area_px": -1}}, "judge.min_area_px"),
    ({"bundle": "/nowhere"}, "/nowhere"),
    ({"outbox": {"path": "/etc/outbox.sqlite3"}}, "/etc"),
]


def test_no_settings(bare: Station) -> None:
    bare.box.path(SETTINGS).unlink()
    [said] = refused(bare)
    assert SETTINGS in said


def test_settings_that_the_service_may_not_read(bare: Station) -> None:
    bare.box.path(SETTINGS).chmod(0o600)
    [said] = refused(bare)
    assert f"{SETTINGS}: cannot be read" in said
    assert "chmod 640" in said


@pytest.mark.parametrize(("keys", "said"), WRONG)
def test_wrong_settings(bare: Station, keys: dict[str, object], said: str) -> None:
    bare.box.write(SETTINGS, yaml.safe_dump({**bare.wanted, **keys}))
    assert said in " ".join(refused(bare))


@pytest.mark.parametrize(("keys", "said"), [(None, SETTINGS), *WRONG])
def test_settings_that_once_served_serve_again_where_the_file_is_wrong(
    halted: Station, keys: dict[str, object] | None, said: str
) -> None:
    if keys is None:
        halted.box.path(SETTINGS).unlink()
    else:
        halted.box.write(SETTINGS, yaml.safe_dump({**halted.wanted, **keys}))
    halted.start()
    halted.ledger.grows()
    eventually(lambda: said in halted.words(), "STATUS says what is wrong")
    halted.stop()


def test_a_state_folder_of_another_user_is_taken_back(halted: Station) -> None:
    halted.box.run("chown", "-R", "root:root", STATE)
    halted.start()
    halted.ledger.grows()


def test_an_outbox_of_another_user(halted: Station) -> None:
    """As a `plumbline run` by root leaves it; systemd mends the folder alone."""
    halted.box.run("sh", "-c", f"chown root:root {STATE}/*.sqlite3* && chmod 600 {STATE}/*.sqlite3*")
    said = refused(halted)
    halted.box.run("sh", "-c", f"chown plumbline:plumbline {STATE}/*.sqlite3*")
    assert "outbox.sqlite3" in " ".join(said)


def test_two_stations_serve_side_by_side(station: Station) -> None:
    second = {
        **station.wanted,
        "identity": {**station.wanted["identity"], "station": "box2"},
        "page": {"port": 8081},
    }
    station.box.write("/etc/plumbline/two.yaml", yaml.safe_dump(second))
    station.box.systemctl("start", "plumbline@two")
    assert station.box.path(f"{STATE}/two").is_dir()
    station.ledger.grows()
    station.box.systemctl("stop", "plumbline@two")


def test_two_services_on_one_outbox(station: Station) -> None:
    """The unit's own sandbox is opened for it, which would keep them apart too."""
    pid = station.pid()
    second = {
        **station.wanted,
        "identity": {**station.wanted["identity"], "station": "box3"},
        "page": {"port": 8082},
        "outbox": {"path": f"{STATE}/outbox.sqlite3"},
    }
    station.box.write("/etc/plumbline/three.yaml", yaml.safe_dump(second))
    file = "/etc/systemd/system/plumbline@three.service.d/open.conf"
    station.box.write(file, f"[Service]\nReadWritePaths={STATE}\n")
    station.box.systemctl("daemon-reload")
    station.box.systemctl("start", "plumbline@three", check=False)
    assert (
        station.box.show("plumbline@three", "ExecMainStatus") == "1"
    )  # the other may be ending: tried again
    said = station.box.messages("plumbline@three")
    assert any(f"{STATE}/outbox.sqlite3: another agent has it" in line for line in said)
    assert station.pid() == pid
    station.box.systemctl("stop", "plumbline@three")
