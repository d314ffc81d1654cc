"""The wheelhouse of a package: the locked wheels, kept in build/wheels, and our own."""

from __future__ import annotations

import hashlib
import re
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path

from targets import Target
from tools import ROOT, run, tools

WHEELS = ROOT / "build" / "wheels"
OWN = ROOT / "build" / "deb" / "own"
BLOCK = 4096
BARE_ENVIRONMENT = 24 << 20  # bytes of an environment with pip in it, before anything is installed
REQUIREMENT = re.compile(r"^(\S+==\S+) ((?:\\\n\s+--hash=sha256:[0-9a-f]{64} ?)+)", re.MULTILINE)


def locked(lock: Path) -> dict[str, set[str]]:
    """The hashes that a lock file allows for each `name==version`."""
    found = REQUIREMENT.findall(lock.read_text())
    return {release: set(re.findall(r"sha256:([0-9a-f]{64})", hashes)) for release, hashes in found}


def fetched(target: Target) -> list[Path]:
    """The locked wheels of a target, downloaded where they do not lie in build/wheels yet, by name."""
    folder = WHEELS / f"py{target.python}-{target.arch}"
    if not _is_complete(folder, target.lock):
        shutil.rmtree(folder, ignore_errors=True)
        # fmt: off
        run(tools(), "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", *target.pip_flags(),
            "--dest", folder, "-r", target.lock)
        # fmt: on
    return sorted(folder.glob("*.whl"))


def own(epoch_s: int) -> Path:
    """Our own wheel; equal trees and equal times give equal bytes."""
    shutil.rmtree(OWN, ignore_errors=True)
    run(tools(), "-m", "hatchling", "build", "-t", "wheel", "-d", OWN, SOURCE_DATE_EPOCH=str(epoch_s))
    (wheel,) = OWN.glob("*.whl")
    return wheel


def requirements(wheels: Sequence[Path]) -> str:
    """What pip installs on the device: each wheel of the package and no other file of that name."""
    lines = []
    for wheel in sorted(wheels):
        name, version = wheel.name.split("-")[:2]
        lines.append(f"{name.replace('_', '-')}=={version} --hash=sha256:{sha256(wheel)}")
    return "\n".join(lines) + "\n"


def room_bytes(wheels: Sequence[Path]) -> int:
    """What an environment of these wheels takes on disk, its compiled modules included; rather too much."""
    total = BARE_ENVIRONMENT
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            for entry in archive.infolist():
                copies = 2 if entry.filename.endswith(".py") else 1
                total += copies * (entry.file_size + BLOCK)
    return total


def glibc(wheels: Sequence[Path]) -> str:
    """The oldest glibc that all of them run on. A wheel that names several is content with the oldest."""
    asked = [re.findall(r"manylinux_2_(\d+)_", wheel.name) for wheel in wheels]
    return f"2.{max([17, *(min(int(minor) for minor in minors) for minors in asked if minors)])}"


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _is_complete(folder: Path, lock: Path) -> bool:
    there = {sha256(wheel) for wheel in folder.glob("*.whl")}
    wanted = locked(lock)
    return len(there) == len(wanted) and all(len(hashes & there) == 1 for hashes in wanted.values())
