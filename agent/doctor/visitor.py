"""Root goes on as the agent's user: what that one may not do counts, and no file of root's is left behind.

A compiled engine that the agent's user wrote is loaded as that user, too, and never as root.
"""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from agent import errors
from agent.settings.credentials import VARIABLE
from agent.settings.settings import Settings

HANDED_OVER = Path("/run/credentials")  # by systemd, a folder for each service that runs


def become_agent(settings: Settings) -> str | None:
    """For good: whoever owns the outbox's folder, by name.

    None, and nothing has changed, where this is not root, root owns it, or that user cannot read our code.
    """
    wanted = settings.outbox.path.parent
    owner = next(one for one in (wanted, *wanted.parents) if one.is_dir()).stat()
    if os.geteuid() != 0 or owner.st_uid == 0:
        return None
    try:
        user = pwd.getpwuid(owner.st_uid)
        name, gid = user.pw_name, user.pw_gid
        groups = os.getgrouplist(name, gid)
    except KeyError:
        name, gid, groups = str(owner.st_uid), owner.st_gid, []
    before = os.getgroups()
    os.setgroups(groups)
    os.setegid(gid)
    os.seteuid(owner.st_uid)
    is_readable = _is_code_readable()
    os.seteuid(0)
    if not is_readable:
        os.setegid(0)
        os.setgroups(before)
        return None
    os.setresgid(gid, gid, gid)
    os.setresuid(owner.st_uid, owner.st_uid, owner.st_uid)
    return name


def _is_code_readable() -> bool:
    """Python's library and the agent: what is imported later comes from there."""
    try:
        for module in (os, errors):
            with Path(module.__file__ or "").open("rb"):
                pass
    except OSError:
        return False
    return True


def take_credentials(unit: str | None, handed_over: Path = HANDED_OVER) -> None:
    """Use what systemd hands the running service, where this user may."""
    if unit is None or os.environ.get(VARIABLE):
        return
    folder = handed_over / unit
    if os.access(folder, os.R_OK | os.X_OK):
        os.environ[VARIABLE] = str(folder)
