"""dpkg itself, in a root of its own: pip installs a tiny wheel for real, no service is there to run.

Each environment is made by Python, and gets the pip that Python put into the first one: to put it there takes
five seconds of computing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.deb.tiny import HERE, tiny_package

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        os.geteuid() != 0 or shutil.which("dpkg") is None, reason="needs dpkg, and root for it"
    ),
]
PYTHON = """#!/bin/sh
case "$*" in
  "-I -m venv "*) {real} -I -m venv --without-pip "$4" && cp -r {pip} "$4/lib/python{version}/" ;;
  *) exec {real} "$@" ;;
esac
"""
SILENT = ("systemd-sysusers", "systemd-tmpfiles", "deb-systemd-helper")


class Machine:
    """A root with dpkg's data base, this Python, and nothing else."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.bin = folder / "bin"

    def make(self, pip: Path) -> None:
        """`pip` is the folder site-packages of an environment as Python makes it."""
        for place in ("var/lib/dpkg/updates", "var/lib/dpkg/info", "usr/bin", "opt", "var/lib/plumbline"):
            (self.root / place).mkdir(parents=True)
        (self.root / "var/lib/dpkg/status").touch()
        python = self.root / f"usr/bin/python{HERE.dotted}"
        python.write_text(PYTHON.format(real=Path(sys.executable).resolve(), pip=pip, version=HERE.dotted))
        python.chmod(0o755)
        self.bin.mkdir()
        for name in SILENT:
            self._program(name, "")
        self._program("setpriv", 'while [ "$1" != env ]; do shift; done; exec "$@"')

    def dpkg(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["dpkg", f"--root={self.root}", "--force-script-chrootless", "--force-depends", *arguments],
            env=os.environ | {"PATH": f"{self.bin}:/usr/sbin:/usr/bin:/sbin:/bin"},
            capture_output=True,
            text=True,
            check=False,
        )

    def state(self) -> str:
        query = [
            "dpkg-query",
            f"--admindir={self.root}/var/lib/dpkg",
            "-f",
            "${db:Status-Status}",
            "-W",
            "plumbline",
        ]
        return subprocess.run(query, capture_output=True, text=True, check=False).stdout

    def current(self) -> str:
        return str((self.root / "opt/plumbline/current").readlink())

    def program(self, *arguments: str) -> int:
        return subprocess.run(
            [self.root / "opt/plumbline/current/bin/plumbline", *arguments], check=False
        ).returncode

    def _program(self, name: str, body: str) -> None:
        (self.bin / name).write_text(f"#!/bin/sh\n{body}\n")
        (self.bin / name).chmod(0o755)


@pytest.fixture(scope="module")
def pip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "environment"
    subprocess.run([Path(sys.executable).resolve(), "-I", "-m", "venv", folder], check=True)
    return folder / f"lib/python{HERE.dotted}/site-packages"


@pytest.fixture
def machine(tmp_path: Path, pip: Path) -> Machine:
    made = Machine(tmp_path)
    made.make(pip)
    return made


def test_install_refused_upgrade_upgrade_remove_reinstall_purge(machine: Machine, tmp_path: Path) -> None:
    first, second = (tiny_package(tmp_path / word, word=word) for word in ("first", "second"))
    done = machine.dpkg("--install", first)
    assert done.returncode == 0, done.stderr
    assert machine.program("outbox") == 0
    bundle = machine.root / "opt/plumbline/current/bundles/elpv/manifest.yaml"
    assert bundle.read_text() == "name: first\n"
    one = machine.current()

    settings = machine.root / "etc/plumbline/agent.yaml"
    settings.parent.mkdir(parents=True)
    settings.write_text("version: 1\n")
    record = machine.root / "var/lib/plumbline/outbox.db"
    record.touch()
    illness = settings.with_name("ill-second")
    illness.touch()
    done = machine.dpkg("--install", second)
    assert done.returncode == 1
    assert "settings: the new version refuses them" in done.stderr
    assert f"{one} stays in use. Then: dpkg --configure plumbline" in done.stderr
    assert (machine.state(), machine.current(), machine.program("outbox")) == ("half-configured", one, 0)
    assert bundle.read_text() == "name: first\n"

    illness.unlink()
    assert machine.dpkg("--configure", "--pending").returncode == 0
    assert machine.state() == "installed"
    assert bundle.read_text() == "name: second\n"
    assert machine.current() != one
    assert (machine.root / "opt/plumbline" / one / ".complete").exists()
    assert machine.dpkg("--verify").stdout == ""

    done = machine.dpkg("--remove", "plumbline")
    assert "plumbline.service: 3 records were never delivered" in done.stderr
    assert machine.state() == "config-files"
    assert not (machine.root / "opt/plumbline").exists()
    assert settings.exists()
    assert record.exists()

    assert machine.dpkg("--install", first).returncode == 0
    assert machine.current() == one

    assert machine.dpkg("--purge", "plumbline").returncode == 0
    assert not (machine.root / "opt/plumbline").exists()
    assert not settings.parent.exists()
    assert not record.parent.exists()


def test_a_package_that_is_not_whole_and_a_wheel_that_was_tampered_with_change_nothing(
    machine: Machine, tmp_path: Path
) -> None:
    first, second = (tiny_package(tmp_path / word, word=word) for word in ("first", "second"))
    assert machine.dpkg("--install", first).returncode == 0
    one = machine.current()
    half = tmp_path / "half.deb"
    half.write_bytes(second.read_bytes()[:-5000])
    assert machine.dpkg("--install", half).returncode == 1
    assert (machine.state(), machine.current(), machine.program("outbox")) == ("installed", one, 0)
    assert machine.dpkg("--unpack", second).returncode == 0
    (wheel,) = (machine.root / "usr/share/plumbline/wheels").iterdir()
    wheel.write_bytes(wheel.read_bytes().replace(b"refuses", b"accepts"))
    done = machine.dpkg("--configure", "plumbline")
    assert done.returncode == 1
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in done.stderr
    assert (machine.current(), machine.program("outbox")) == (one, 0)
