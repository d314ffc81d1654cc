"""What dpkg is told of a package: control, checksums, changelog, copyright, the maintainer's scripts."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime, timezone
from email.utils import format_datetime
from pathlib import Path

from targets import Target
from tools import ROOT

SCRIPTS = Path(__file__).resolve().parent / "scripts"
MAINTAINER = "Plumbline maintainers <maintainers@plumbline.invalid>"
BLOCK = 4096

COPYRIGHT = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
Copyright: the Plumbline maintainers
License: Apache-2.0
 On Debian systems the text lies in /usr/share/common-licenses/Apache-2.0.

Files: usr/share/plumbline/wheels/*
Copyright: the authors of each, named in its METADATA
License: each-its-own
 Every wheel but Plumbline's own is as its authors published it, its licence in its dist-info folder.

Files: usr/share/plumbline/wheels/plumbline-*
Copyright: the Plumbline maintainers; the cells: the authors of elpv-dataset
License: Apache-2.0 and CC-BY-NC-SA-4.0
 The second for models/bundles/elpv in it, which was trained on elpv-dataset and holds tiles of it:
 https://creativecommons.org/licenses/by-nc-sa/4.0/
"""


def version() -> str:
    """Plumbline's own version, of pyproject.toml."""
    found = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def package_version(target: Target) -> str:
    """`0.1.0+py311`: a newer Python's package is the newer one."""
    return f"{version()}+py{target.python}"


def control(target: Target, *, glibc: str, installed_kb: int) -> str:
    """The file of that name. The Python is wanted before unpacking: dpkg then refuses another."""
    return f"""\
Package: plumbline
Version: {package_version(target)}
Architecture: {target.arch}
Maintainer: {MAINTAINER}
Installed-Size: {installed_kb}
Pre-Depends: python3 (>= {target.dotted}), python3 (<< {target.next_dotted})
Depends: python3-venv, libc6 (>= {glibc}), systemd, procps
Recommends: udev
Suggests: mosquitto
Section: science
Priority: optional
Description: inspection agent for production lines
 Cameras in, verdicts with pictures of the defects out over MQTT. A small
 one-step network draws what a good part would look like; what differs is
 the defect. Every trigger gets exactly one durable record.
"""


def changelog(target: Target, epoch_s: int) -> str:
    """Debian's form; what changed stands in CHANGELOG.md, for people."""
    date = format_datetime(datetime.fromtimestamp(epoch_s, tz=timezone.utc))
    return f"""\
plumbline ({package_version(target)}) stable; urgency=medium

  * What is new stands in /usr/share/doc/plumbline/CHANGELOG.md.gz.

 -- {MAINTAINER}  {date}
"""


def script(name: str, marks: Mapping[str, str]) -> str:
    """A maintainer's script with the common part before it and its @MARKS@ filled in."""
    text = (SCRIPTS / "common.sh").read_text() + "\n" + (SCRIPTS / name).read_text()
    for mark, value in marks.items():
        text = text.replace(f"@{mark}@", value)
    return text


def md5sums(tree: Path) -> str:
    """Every file's checksum, for `dpkg --verify`."""
    return "".join(
        f"{hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()}  {file.relative_to(tree)}\n"
        for file in files_of(tree)
    )


def installed_kb(tree: Path) -> int:
    """What the package's files take, in blocks."""
    return sum(-(-file.stat().st_size // BLOCK) * BLOCK for file in files_of(tree)) // 1024


def files_of(tree: Path) -> list[Path]:
    """Plain files of a tree in the order of their names."""
    return sorted(file for file in tree.rglob("*") if file.is_file() and not file.is_symlink())
