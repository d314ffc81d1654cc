"""`make deb`: the Debian package of this tree for one Python and one architecture, or for all of them.

Two builds of one commit give equal bytes. Wheels are downloaded once into build/wheels; everything else is
made here, packages of the other architecture too.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from control import control, installed_kb, md5sums, package_version, script, version
from targets import ARCHES, PYTHONS, Target, arch_here, python_here
from tools import ROOT, run, tools
from tree import settle, stage
from wheels import fetched, glibc, own, requirements, room_bytes

DIST = ROOT / "dist"
SCRIPTS = ("preinst", "postinst", "prerm", "postrm")
RESERVE_KB = 200 << 10  # what stays free beside a new environment, for a service that goes on meanwhile


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--python", choices=PYTHONS, default=python_here())
    options.add_argument("--arch", choices=ARCHES, default=arch_here())
    options.add_argument("--all", action="store_true", help="every Python and architecture")
    chosen = options.parse_args()
    targets = [Target(python=chosen.python, arch=chosen.arch)]
    if chosen.all:
        targets = [Target(python=python, arch=arch) for python in PYTHONS for arch in ARCHES]
    epoch_s = commit_time_s()
    ours = own(epoch_s)
    with tempfile.TemporaryDirectory() as folder:
        manual = Path(folder)
        run(tools(), Path(__file__).with_name("manual.py"), ROOT, manual, str(epoch_s))
        for target in targets:
            deb = package(target, [ours, *fetched(target)], manual=manual, epoch_s=epoch_s, dist=DIST)
            print(f"{deb.relative_to(ROOT)}: {deb.stat().st_size / 1e6:.1f} MB")
    sums(DIST)


def package(target: Target, wheels: Sequence[Path], *, manual: Path, epoch_s: int, dist: Path) -> Path:
    """Make the package of these wheels in `dist`; `manual` holds the man page and completion files."""
    wanted = requirements(wheels)
    deb = dist / f"plumbline_{package_version(target)}_{target.arch}.deb"
    dist.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        stage(tree, target, wheels=wheels, requirements=wanted, manual=manual, epoch_s=epoch_s)
        unpacked_kb = installed_kb(tree)
        marks = {
            "ENVIRONMENT": f"{version()}-{hashlib.sha256(wanted.encode()).hexdigest()[:8]}",
            "PYTHON": target.dotted,
            "ARCH": target.arch,
            "ROOM_KB": str(room_bytes(wheels) >> 10),
            "UNPACKED_KB": str(unpacked_kb),
            "RESERVE_KB": str(RESERVE_KB),
        }
        told = tree / "DEBIAN"
        sums = md5sums(tree)
        told.mkdir()
        (told / "control").write_text(control(target, glibc=glibc(wheels), installed_kb=unpacked_kb))
        (told / "md5sums").write_text(sums)
        for name in SCRIPTS:
            (told / name).write_text(script(name, marks))
        settle(tree, epoch_s)
        # Wheels are compressed already: level 19 takes two minutes for the last 0.7 %. One thread, as the
        # number of threads changes the bytes.
        run("dpkg-deb", "--root-owner-group", "-Zzstd", "-z1", "--build", tree, deb,
            SOURCE_DATE_EPOCH=str(epoch_s), DPKG_DEB_THREADS_MAX="1")  # fmt: skip
    return deb


def sums(dist: Path) -> None:
    """SHA256SUMS of all packages there, by which install.sh knows a download that was damaged."""
    lines = [
        f"{hashlib.sha256(deb.read_bytes()).hexdigest()}  {deb.name}\n" for deb in sorted(dist.glob("*.deb"))
    ]
    (dist / "SHA256SUMS").write_text("".join(lines))


def commit_time_s() -> int:
    """$SOURCE_DATE_EPOCH, or the time of the last commit."""
    told = os.environ.get("SOURCE_DATE_EPOCH")
    return int(told or run("git", "log", "-1", "--format=%ct"))


if __name__ == "__main__":
    main()
