"""The root of a Debian with systemd that the boxes are copies of, made once by debootstrap.

`python -m tests.system.root` makes it where it is missing; it lies in build/system, named by what is in it.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

BUILD = Path(__file__).parents[2] / "build/system"
SUITE = "bookworm"
MIRROR = "http://deb.debian.org/debian"
PACKAGES = (
    "systemd",
    "systemd-sysv",
    "dbus",
    "udev",
    "python3",
    "python3-venv",
    "mosquitto",
    "procps",
    "iproute2",
    "ca-certificates",
    "curl",
    "man-db",
)


def root_path() -> Path:
    """Where the root lies once it is made."""
    digest = hashlib.sha256("\n".join((SUITE, MIRROR, *PACKAGES)).encode()).hexdigest()[:12]
    return BUILD / f"root-{SUITE}-{digest}"


def make_root() -> Path:
    """The root, made now where it is missing: over a minute. Raises CalledProcessError."""
    root = root_path()
    if root.exists():
        return root
    begun = root.with_name(f"{root.name}.begun")
    shutil.rmtree(begun, ignore_errors=True)
    begun.parent.mkdir(parents=True, exist_ok=True)
    include = f"--include={','.join(PACKAGES)}"
    with (BUILD / "debootstrap.log").open("wb") as log:
        subprocess.run(
            ["debootstrap", "--variant=minbase", include, SUITE, begun, MIRROR],
            stdout=log,
            stderr=log,
            check=True,
        )
    return begun.rename(root)


if __name__ == "__main__":
    print(make_root())
