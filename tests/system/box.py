"""A machine under systemd to install on, start, freeze, cut the power of and throw away.

It is a container of systemd-nspawn with a network of its own, loopback alone, and a root folder that outlives
its boots. Every command enters the namespaces of its first process, so nothing in it has to answer for us.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.brokers import eventually

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BOOT_S = 60.0
STANDING = ("running", "degraded")  # what `systemctl is-system-running` says once the boot is over
HIERARCHIES = [Path("/sys/fs/cgroup", name) for name in ("systemd", "unified")]


def why_not() -> str:
    """What keeps this machine from running a box; empty where nothing does."""
    if os.geteuid() != 0:
        return "a box needs root"
    for program in ("systemd-nspawn", "nsenter", "debootstrap"):
        if shutil.which(program) is None:
            return f"no {program}: make system-test-tools"
    return ""


@dataclass(slots=True)
class Box:
    """One machine; `root` is its disk, `name` its hostname and its control group."""

    root: Path
    name: str = "plumbline-box"
    _nspawn: subprocess.Popen[bytes] | None = None
    _first: int = 0
    _console: Path = field(init=False)

    def __post_init__(self) -> None:
        self._console = self.root.with_name(f"{self.root.name}.console")

    def boot(self) -> float:
        """Until every unit that starts at boot has started; the seconds it took."""
        started = time.monotonic()
        groups = [path for path in HIERARCHIES if path.is_dir()] or [Path("/sys/fs/cgroup")]
        for group in groups:
            (group / self.name).mkdir(exist_ok=True)
        enter = "".join(f"echo $$ > {group / self.name}/cgroup.procs; " for group in groups)
        with self._console.open("ab") as console:
            self._nspawn = subprocess.Popen(
                ["sh", "-ec", f'{enter}exec systemd-nspawn "$@"', "sh", *self._options()],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
            )
        eventually(self._stands, "the box boots", BOOT_S)
        return time.monotonic() - started

    def _options(self) -> list[str]:
        quiet = ["--quiet", "--register=no", "--keep-unit", "--private-network", "--console=pipe"]
        return [*quiet, f"--machine={self.name}", "--boot", f"--directory={self.root}"]

    def _stands(self) -> bool:
        assert self._nspawn is not None
        assert self._nspawn.poll() is None, f"the box does not boot: {self.console()}"
        children = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children").read_text().split()
        if not children:
            return False
        self._first = int(children[-1])
        said = self.run("systemctl", "is-system-running", "--wait", check=False, timeout_s=BOOT_S)
        return said.stdout.strip() in STANDING

    def run(
        self, *words: str | Path, check: bool = True, timeout_s: float = 120.0, put: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """A command inside, as root; its streams as text. `check`: a failure is an AssertionError."""
        done = subprocess.run(
            [*self.entering(), "env", "-i", PATH, "LANG=C.UTF-8", "HOME=/root", *map(str, words)],
            input=put,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
        if check:
            assert done.returncode == 0, f"{words}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def entering(self, *namespaces: str) -> list[str]:
        """The words before a command that has it run in these namespaces of the box, such as `-n`; or all."""
        return ["nsenter", "-t", str(self._first), *(namespaces or ("-a", "--wd=/"))]

    def systemctl(self, *words: str, check: bool = True, timeout_s: float = 120.0) -> str:
        return self.run("systemctl", *words, check=check, timeout_s=timeout_s).stdout.strip()

    def show(self, unit: str, name: str) -> str:
        """One property of a unit, as systemd keeps it."""
        return self.systemctl("show", "--value", f"--property={name}", unit)

    def journal(self, unit: str, *, after: str = "") -> list[dict[str, Any]]:
        """The fields of every line about a unit, of its own and of systemd's, behind the cursor `after`."""
        behind = (f"--after-cursor={after}",) if after else ()
        lines = self.run("journalctl", "--output=json", "--all", f"--unit={unit}", *behind).stdout
        return [json.loads(line) for line in lines.splitlines()]

    def messages(self, unit: str, *, after: str = "") -> list[str]:
        return [str(line.get("MESSAGE")) for line in self.journal(unit, after=after)]

    def cursor(self) -> str:
        """Where the journal stands now."""
        line = self.run("journalctl", "--output=json", "--lines=1").stdout
        return str(json.loads(line)["__CURSOR"])

    def install(self, package: Path, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Copy a package in and install it; what it needs is there already."""
        shutil.copyfile(package, self.path(f"/srv/{package.name}"))
        return self.run("dpkg", "--install", f"/srv/{package.name}", check=check, timeout_s=300)

    def path(self, inside: str) -> Path:
        """A file of the box, as it is reached from outside. Links inside that are absolute lead astray."""
        return self.root / inside.lstrip("/")

    def write(self, inside: str, text: str, mode: int = 0o644) -> None:
        path = self.path(inside)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)

    def outside(self, inside: int) -> int:
        """The number outside of the process that has this number inside."""
        for status in Path("/proc").glob("[0-9]*/status"):
            with suppress(OSError):
                numbers = next(line for line in status.read_text().splitlines() if line.startswith("NSpid:"))
                if numbers.split()[2:] == [str(inside)] and self._is_mine(status.parent):
                    return int(status.parent.name)
        raise AssertionError(f"no process {inside} in the box")

    def _is_mine(self, process: Path) -> bool:
        return (process / "ns/pid").readlink() == Path(f"/proc/{self._first}/ns/pid").readlink()

    def reboot(self) -> float:
        """Down in order and up again, the disk as it was; the seconds of both."""
        started = time.monotonic()
        self._down("reboot")
        self.boot()
        return time.monotonic() - started

    def poweroff(self) -> float:
        """Down in order; the seconds it took."""
        started = time.monotonic()
        self._down("poweroff")
        return time.monotonic() - started

    def _down(self, how: str) -> None:
        self.run("systemctl", how, check=False)  # its connection may end before the answer
        assert self._nspawn is not None
        self._nspawn.wait(BOOT_S)
        self._nspawn = None

    def cut_power(self) -> None:
        """Every process is gone at once. What was written stays, also where no fsync had asked for it."""
        if self._nspawn is None:
            return
        for pid in (self._first, self._nspawn.pid):
            if pid:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self._nspawn.wait(BOOT_S)
        self._nspawn, self._first = None, 0

    def console(self) -> str:
        """What every boot so far printed."""
        return self._console.read_text(errors="replace")


def copy_root(root: Path, to: Path) -> Path:
    """A disk of one's own, from one that is made or was used before."""
    copy: Sequence[str | Path] = ("cp", "--archive", "--reflink=auto", root, to)
    subprocess.run(copy, check=True)
    return to
