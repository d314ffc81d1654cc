"""The package under a real dpkg: what goes wrong leaves the version before at work, and no record is lost."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
import yaml

from tests.brokers import eventually
from tests.system.box import Box
from tests.system.figures import Figures
from tests.system.packages import altered, version_of
from tests.system.station import SETTINGS, STATE, UNIT, Station

OPT = "/opt/plumbline"
WHEELS = "usr/share/plumbline/wheels"


def in_use(box: Box) -> str:
    """The folder that /opt/plumbline/current leads to."""
    return box.run("readlink", f"{OPT}/current").stdout.strip()


def environments(box: Box) -> set[str]:
    return {path.name for path in box.path(OPT).iterdir() if path.is_dir() and not path.is_symlink()}


def state_of_package(box: Box) -> str:
    """As dpkg keeps it: `ii ` is installed."""
    return box.run("dpkg-query", "--show", "--showformat=${db:Status-Abbrev}", "plumbline").stdout


def test_after_installation_all_waits_for_settings(bare: Box) -> None:
    assert bare.systemctl("is-enabled", UNIT) == "enabled"
    assert bare.run("dpkg", "--verify", "plumbline").stdout == ""
    assert bare.run("plumbline", "--version").stdout.strip().endswith(in_use(bare).partition("-")[0])
    assert bare.run("man", "--where", "plumbline").stdout.strip()
    kept = ["/etc/plumbline", "/etc/plumbline/secrets", STATE, "/var/cache/plumbline", "/var/log/plumbline"]
    modes = bare.run("stat", "--format=%U:%G %a", *kept).stdout.splitlines()
    assert modes == ["root:root 755", "root:root 700", *["plumbline:plumbline 750"] * 3]


def test_up_and_back_every_station_is_restarted_and_one_version_before_is_kept(
    fresh: Station, package: Path, next_package: Path, figures: Figures
) -> None:
    second = {
        **fresh.wanted,
        "identity": {**fresh.wanted["identity"], "station": "box2"},
        "page": {"port": 8081},
    }
    fresh.box.write("/etc/plumbline/two.yaml", yaml.safe_dump(second))
    fresh.box.systemctl("enable", "--now", "plumbline@two")
    first, second_pid = in_use(fresh.box), fresh.box.show("plumbline@two", "MainPID")
    started = time.monotonic()
    fresh.box.install(next_package)
    figures.note("upgrade", time.monotonic() - started)
    assert fresh.version() == version_of(next_package)
    assert environments(fresh.box) == {first, in_use(fresh.box)}
    assert fresh.box.systemctl("is-active", "plumbline@two") == "active"
    assert fresh.box.show("plumbline@two", "MainPID") != second_pid
    fresh.ledger.grows()
    fresh.ledger.check()

    next_one = in_use(fresh.box)
    fresh.box.path(f"{OPT}/0.0.1-older").mkdir()
    started = time.monotonic()
    fresh.box.install(package)  # the way out of a bad upgrade: its environment is still there
    figures.note("and back", time.monotonic() - started)
    assert environments(fresh.box) == {first, next_one}
    assert (in_use(fresh.box), fresh.version()) == (first, version_of(package))
    fresh.ledger.grows()
    fresh.ledger.check()


def goes_on(station: Station, pid: str, version: Path) -> None:
    """The process of before serves, of the version before, and nothing is missing."""
    assert station.pid() == pid
    assert station.version() == version_of(version)
    station.ledger.grows()
    station.ledger.check()


def damage_bundle(station: Station) -> str:
    """The settings name a bundle that is damaged from here on; the running service has it in memory."""
    bundle = "/srv/bundle"
    station.box.run("cp", "-r", "/usr/share/plumbline/bundles/elpv", bundle)
    station.set(bundle=bundle)
    station.box.systemctl("restart", UNIT)
    station.ledger.grows()
    station.box.run("truncate", "--size=1000", f"{bundle}/model.onnx")
    return bundle


def test_a_failing_doctor_stops_an_upgrade(fresh: Station, package: Path, next_package: Path) -> None:
    bundle = damage_bundle(fresh)
    pid, before = fresh.pid(), in_use(fresh.box)
    said = fresh.box.install(next_package, check=False)
    assert said.returncode != 0
    assert "says its doctor above" in said.stderr
    assert bundle in said.stderr
    assert in_use(fresh.box) == before
    goes_on(fresh, pid, package)
    fresh.box.run("cp", "/usr/share/plumbline/bundles/elpv/model.onnx", bundle)
    fresh.box.run("dpkg", "--configure", "plumbline")
    assert fresh.version() == version_of(next_package)
    fresh.ledger.grows()
    fresh.ledger.check()


@pytest.mark.parametrize("moment", ["unpacking", "environment begun", "environment complete"])
def test_a_power_cut_in_an_upgrade(fresh: Station, package: Path, next_package: Path, moment: str) -> None:
    box, before = fresh.box, in_use(fresh.box)
    begun = {
        "unpacking": lambda: any(box.path("/usr/share/plumbline").rglob("*.dpkg-new")),
        "environment begun": lambda: any(new(box, before, "lib/python3.11/site-packages/numpy")),
        "environment complete": lambda: any(new(box, before, ".complete")),
    }[moment]
    upgrade = install_beside(box, next_package)
    eventually(begun, moment)
    fresh.ledger.stop()
    box.cut_power()
    upgrade.wait(30)
    box.boot()
    fresh.ledger.start(box)
    assert in_use(box) == before
    assert fresh.version() == version_of(package)
    fresh.ledger.grows()
    if state_of_package(box) in ("iU ", "iF "):
        box.run("dpkg", "--configure", "-a", timeout_s=300)
    else:  # half unpacked: dpkg wants it from the beginning
        box.run("dpkg", "--install", f"/srv/{next_package.name}", timeout_s=300)
    assert state_of_package(box) == "ii "
    assert fresh.version() == version_of(next_package)
    fresh.ledger.grows()
    fresh.ledger.check()


def new(box: Box, before: str, inside: str) -> list[Path]:
    return [path for path in box.path(OPT).glob(f"*/{inside}") if {before, "current"}.isdisjoint(path.parts)]


def install_beside(box: Box, package: Path) -> subprocess.Popen[bytes]:
    """Begun, and not waited for."""
    box.path(f"/srv/{package.name}").write_bytes(package.read_bytes())
    words = ["dpkg", "--install", f"/srv/{package.name}"]
    return subprocess.Popen([*box.entering(), *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.fixture
def small_disk(fresh: Station) -> Station:
    """What is in /opt lies on a disk of its own, of 1500 MB."""
    box = fresh.box
    fresh.stop()
    box.run("mount", "--bind", "/opt", "/mnt")
    box.run("mount", "--make-private", "/mnt")
    box.run("mount", "-t", "tmpfs", "-o", "size=1500M,mode=755", "opt", "/opt")
    box.run("cp", "-a", "/mnt/.", "/opt/")
    fresh.start()
    fresh.ledger.grows()
    return fresh


def fill(box: Box, leave_mb: int) -> None:
    free_kb = int(box.run("sh", "-c", "df -Pk /opt | awk 'NR == 2 { print $4 }'").stdout)
    box.run("fallocate", "--length", f"{free_kb - leave_mb * 1024}K", "/opt/filler")


def test_a_disk_that_is_full_before_an_upgrade(
    small_disk: Station, package: Path, next_package: Path
) -> None:
    fill(small_disk.box, 100)
    pid = small_disk.pid()
    said = small_disk.box.install(next_package, check=False)
    assert said.returncode != 0
    assert "MB are needed; nothing was changed" in said.stderr
    assert state_of_package(small_disk.box) == "ii "
    goes_on(small_disk, pid, package)


def test_a_disk_that_fills_up_in_an_upgrade(small_disk: Station, package: Path, next_package: Path) -> None:
    box, pid, before = small_disk.box, small_disk.pid(), in_use(small_disk.box)
    box.path(f"/srv/{next_package.name}").write_bytes(next_package.read_bytes())
    box.run("dpkg", "--unpack", f"/srv/{next_package.name}", timeout_s=300)
    fill(box, 100)
    said = box.run("dpkg", "--configure", "plumbline", check=False, timeout_s=300)
    assert said.returncode != 0
    assert f"{before} stays in use" in said.stderr
    assert (in_use(box), box.run("ls", OPT).stdout.split()) == (before, [before, "current"])
    goes_on(small_disk, pid, package)
    box.run("rm", "/opt/filler")
    box.run("dpkg", "--configure", "plumbline", timeout_s=300)
    assert small_disk.version() == version_of(next_package)
    small_disk.ledger.grows()
    small_disk.ledger.check()


def test_packages_that_do_not_fit(fresh: Station, package: Path, next_package: Path, tmp_path: Path) -> None:
    """Those of another machine or Python change nothing; a wheel of another is found when it is used."""
    pid, before = fresh.pid(), in_use(fresh.box)
    for alter, words, state in (
        (name_another_machine, "architecture", "ii "),
        (name_another_python, "python3", "ii "),
        (swap_wheel, f"{before} stays in use", "iF "),
    ):
        said = fresh.box.install(altered(next_package, tmp_path, alter), check=False)
        assert said.returncode != 0
        assert words in said.stderr
        assert (in_use(fresh.box), state_of_package(fresh.box)) == (before, state)
        goes_on(fresh, pid, package)
    fresh.box.install(package)
    assert state_of_package(fresh.box) == "ii "


def name_another_machine(tree: Path) -> None:
    control = tree / "DEBIAN/control"
    control.write_text(control.read_text().replace("Architecture: amd64", "Architecture: arm64"))


def name_another_python(tree: Path) -> None:
    control = tree / "DEBIAN/control"
    text = control.read_text().replace("python3 (>= 3.11), python3 (<< 3.12)", "python3 (>= 3.12)")
    control.write_text(text)


def swap_wheel(tree: Path) -> None:
    [wheel] = (tree / WHEELS).glob("numpy-*.whl")
    wheel.rename(wheel.with_name(wheel.name.replace("x86_64", "aarch64")))


def test_removed_installed_again_and_purged(fresh: Station, package: Path, figures: Figures) -> None:
    box = fresh.box
    box.systemctl("stop", "mosquitto")
    time.sleep(3)  # records that nobody takes
    said = box.run("dpkg", "--remove", "plumbline")
    assert "records were never delivered" in said.stderr
    undelivered = int(said.stderr.partition("plumbline.service: ")[2].split()[0])
    assert undelivered > 0
    assert not box.path(OPT).exists()
    assert not box.path("/usr/bin/plumbline").is_symlink()
    assert box.path(SETTINGS).exists()
    assert box.path(f"{STATE}/outbox.sqlite3").exists()
    assert box.systemctl("is-active", UNIT, check=False) == "inactive"

    last = fresh.ledger.last()
    box.systemctl("start", "mosquitto")
    started = time.monotonic()
    box.install(package)
    figures.note("installation to READY, settings there", time.monotonic() - started)
    assert box.systemctl("is-active", UNIT) == "active"
    fresh.ledger.wait_for(last + 6)
    fresh.ledger.check()  # numbers go on, and what had waited has come

    box.run("dpkg", "--purge", "plumbline")
    left = ["/etc/plumbline", STATE, "/var/cache/plumbline", "/var/log/plumbline", OPT]
    assert [path for path in left if box.path(path).exists()] == []
    assert "plumbline" not in box.systemctl("list-unit-files", "--no-legend", "--no-pager")
