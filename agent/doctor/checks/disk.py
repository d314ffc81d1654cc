"""The disk under the outbox: room, speed, and the kind of its filesystem."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from agent.doctor.finding import Said, note, ok, skipped, wrong
from agent.doctor.site import Site
from agent.settings.places import STATE

ROOM_BYTES = 500_000_000  # where no settings say how much
FEW_FILES = 0.01  # of those that a disk can have
WRITES, WRITE_BYTES = 5, 65_536
SLOW_S, STANDING_S = 0.1, 1.0
NETWORK = frozenset(
    ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "afs", "lustre", "glusterfs", "fuse.glusterfs")
) | frozenset(("fuse.sshfs", "fuse.rclone", "fuse.s3fs", "davfs", "fuse.davfs2", "ncpfs"))
WITHOUT_LOCKS = frozenset(("vfat", "exfat", "msdos", "ntfs", "ntfs3", "fuseblk"))
GONE_WITH_POWER = frozenset(("tmpfs", "ramfs"))
OWN_DISK = "set outbox.path to a file on a disk of this machine, with ext4 or xfs"


def room(site: Site) -> Iterator[Said]:
    folder = _folder(site)
    needed = ROOM_BYTES if site.known is None else site.known.outbox.min_free_bytes
    free = shutil.disk_usage(folder).free
    words = f"{folder}: {free / 1e9:.1f} GB free"
    remedy = "free room on this disk; `du -xh --max-depth=2 / | sort -h | tail` shows what takes it"
    if free < needed:
        yield wrong(f"{words}, outbox.min_free_bytes are {needed / 1e9:.1f} GB", remedy)
    elif free < 2 * needed:
        yield note(f"{words}; at {needed / 1e9:.1f} GB the outbox begins to hold the line or to drop", remedy)
    else:
        yield ok(words)
    files = os.statvfs(folder)
    if files.f_files and files.f_favail < FEW_FILES * files.f_files:
        yield note(
            f"{folder}: only {files.f_favail} more files fit on this disk", "delete what is small and old"
        )


def speed(site: Site) -> Iterator[Said]:
    """How long it takes until written bytes are on the disk, which every verdict waits for."""
    folder, clock = site.settings.outbox.path.parent, site.machine.clock
    if not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
        yield skipped(f"{folder} cannot be written by this user; run it as root or as the agent's user")
        return
    taken = []
    with tempfile.TemporaryFile(prefix=".plumbline-doctor-", dir=folder) as file:
        for _ in range(WRITES):
            started = clock.monotonic_ns()
            file.write(os.urandom(WRITE_BYTES))
            file.flush()
            os.fsync(file.fileno())
            taken.append((clock.monotonic_ns() - started) / 1e9)
    middle = sorted(taken)[WRITES // 2]
    words = (
        f"{folder}: 64 kB are on the disk within {middle * 1e3:.0f} ms, {max(taken) * 1e3:.0f} at the most"
    )
    remedy = "use an SSD; see what else writes (`iotop`) and the disk's health (`smartctl -a`)"
    if middle >= STANDING_S:
        yield wrong(words, remedy)
    else:
        yield ok(words) if max(taken) < SLOW_S else note(words, remedy)


def filesystem(site: Site) -> Iterator[Said]:
    folder = _folder(site)
    found = _mount(site.machine.text("proc/self/mounts") or "", folder)
    if found is None:
        yield skipped("the kernel does not tell")
        return
    source, kind, options = found
    words = f"{folder} is on {source}, {kind}"
    if "ro" in options:
        yield wrong(
            f"{words}, mounted read-only", "see the kernel log for errors of the disk, then mount it rw"
        )
    elif kind in NETWORK:
        yield wrong(f"{words}: a file of another machine, where records get lost and damaged", OWN_DISK)
    elif kind in GONE_WITH_POWER:
        yield wrong(f"{words}: records are gone when the power is", OWN_DISK)
    elif kind in WITHOUT_LOCKS:
        yield wrong(f"{words}: it has no journal and no owners of files", OWN_DISK)
    elif kind == "overlay":
        yield note(f"{words}: what is in it ends with the container", "mount a volume there")
    elif {"nobarrier", "barrier=0"} & options:
        yield note(f"{words}, without barriers: a power cut may damage it", "mount it without nobarrier")
    else:
        yield ok(words)


def _folder(site: Site) -> Path:
    """The outbox's, or the nearest above it that is there."""
    wanted = STATE if site.known is None else site.known.outbox.path.parent
    return next(one for one in (wanted, *wanted.parents) if one.is_dir())


def _mount(mounts: str, folder: Path) -> tuple[str, str, set[str]] | None:
    """Source, kind and options of what is mounted over a folder."""
    place, best, found = folder.resolve(), -1, None
    for line in mounts.splitlines():
        source, over, kind, options, *_ = (_unescaped(one) for one in line.split(" ") + [""] * 4)
        if over and place.is_relative_to(over) and len(over) >= best:
            best, found = len(over), (source, kind, set(options.split(",")))
    return found


def _unescaped(word: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda one: chr(int(one[1], 8)), word)
