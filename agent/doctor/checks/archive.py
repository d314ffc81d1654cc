"""The archive of judged frames."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from agent.archive import look
from agent.archive.faults import ArchiveError
from agent.archive.index import NAME
from agent.doctor.finding import Said, failed, note, ok, skipped
from agent.doctor.site import Site


def kept(site: Site) -> Iterator[Said]:
    wanted = site.settings.archive
    if wanted.folder is None:
        yield skipped("archive.folder is not set: no frames are kept")
        return
    if not (wanted.folder / NAME).exists():
        yield skipped(f"{wanted.folder}: there is none yet; the agent makes it")
        return
    try:
        found = look.summary(wanted.folder)
    except ArchiveError as error:
        yield failed(error, "restart the agent, which makes its index anew")
        return
    yield ok(
        f"{wanted.folder}: {found.entries} frames, {found.size_bytes / 1e9:.2f} of "
        f"{wanted.max_bytes / 1e9:.2f} GB, since {found.oldest or 'now'}"
    )
    if found.torn:
        yield note(
            f"{found.torn} files of it were damaged and lie aside",
            "see the kernel log for errors of the disk; `plumbline archive check` reads all of it",
        )


def room(site: Site) -> Iterator[Said]:
    wanted = site.settings.archive
    if wanted.folder is None:
        yield skipped("archive.folder is not set")
        return
    nearest = next(one for one in (wanted.folder, *wanted.folder.parents) if one.is_dir())
    free = shutil.disk_usage(nearest).free
    words = f"{nearest}: {free / 1e9:.1f} GB free"
    if free < wanted.min_free_bytes:
        yield note(
            f"{words}, archive.min_free_bytes are {wanted.min_free_bytes / 1e9:.1f} GB: no frames are kept",
            "free room on this disk, or set archive.folder to another one",
        )
    else:
        yield ok(words)
