"""What a package lays down, laid down in a folder first."""

from __future__ import annotations

import gzip
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from control import COPYRIGHT, changelog, files_of
from targets import Target
from tools import ROOT

SYSTEM = Path(__file__).resolve().parent / "system"
UNITS = ROOT / "deploy" / "systemd"
SHARE = Path("usr/share/plumbline")
DOC = Path("usr/share/doc/plumbline")

PLACES: dict[Path, Path] = {
    SYSTEM / "plumbline.sysusers": Path("usr/lib/sysusers.d/plumbline.conf"),
    SYSTEM / "plumbline.tmpfiles": Path("usr/lib/tmpfiles.d/plumbline.conf"),
    SYSTEM / "60-plumbline.rules": Path("usr/lib/udev/rules.d/60-plumbline.rules"),
    ROOT / "config/agent.yaml": DOC / "agent.yaml",
    ROOT / "OPERATING.md": DOC / "OPERATING.md",
    ROOT / "INTEGRATING.md": DOC / "INTEGRATING.md",
    UNITS / "drop-ins": DOC / "drop-ins",
}
# The sample bundle is that of the environment in use: unpacked here, an upgrade that is cut short would leave
# files of dpkg's own in it, and a bundle with a file too many is refused.
LINKS: dict[Path, Path] = {
    Path("usr/bin/plumbline"): Path("/opt/plumbline/current/bin/plumbline"),
    SHARE / "bundles": Path("/opt/plumbline/current/bundles"),
}
SQUEEZED = (
    "usr/share/man",
    DOC / "CHANGELOG.md",
    DOC / "changelog.Debian",
    DOC / "OPERATING.md",
    DOC / "INTEGRATING.md",
)


def stage(
    tree: Path, target: Target, *, wheels: Sequence[Path], requirements: str, manual: Path, epoch_s: int
) -> None:
    """Fill `tree` with all that dpkg is to unpack; `manual` holds man page and completion files."""
    for source, place in PLACES.items():
        _copy(source, tree / place)
    for unit in sorted(UNITS.glob("*.service")):
        _copy(unit, tree / "usr/lib/systemd/system" / unit.name)
    for wheel in wheels:
        _copy(wheel, tree / SHARE / "wheels" / wheel.name)
    shutil.copytree(manual, tree, dirs_exist_ok=True)
    (tree / SHARE / "requirements.txt").write_text(requirements)
    _copy(ROOT / "CHANGELOG.md", tree / DOC / "CHANGELOG.md")
    (tree / DOC / "changelog.Debian").write_text(changelog(target, epoch_s))
    (tree / DOC / "copyright").write_text(COPYRIGHT)
    _squeeze(tree)
    for link, place in LINKS.items():
        (tree / link).parent.mkdir(parents=True, exist_ok=True)
        (tree / link).symlink_to(place)


def settle(tree: Path, epoch_s: int) -> None:
    """Modes and times that depend on nobody's umask or clock."""
    for path in [tree, *tree.rglob("*")]:
        if not path.is_symlink():
            is_program = path.is_dir() or (path.parent.name == "DEBIAN" and path.read_bytes()[:2] == b"#!")
            path.chmod(0o755 if is_program else 0o644)
        os.utime(path, (epoch_s, epoch_s), follow_symlinks=False)


def _copy(source: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, place)
    else:
        shutil.copyfile(source, place)


def _squeeze(tree: Path) -> None:
    """Texts that Debian keeps as .gz, without the time in them."""
    for file in files_of(tree):
        relative = file.relative_to(tree)
        if any(relative.is_relative_to(place) for place in SQUEEZED):
            file.with_name(file.name + ".gz").write_bytes(gzip.compress(file.read_bytes(), mtime=0))
            file.unlink()
