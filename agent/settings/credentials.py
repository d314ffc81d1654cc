"""Secrets come out of files: any path, or one that systemd hands over with LoadCredential=.

A path that begins with `%d/`, systemd's own specifier, is looked up in $CREDENTIALS_DIRECTORY at the
moment of use, so that settings can be checked on a machine that does not have the secrets.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping
from pathlib import Path

from agent.errors import PlumblineError
from agent.foreign import shown
from agent.settings import bounded

VARIABLE = "CREDENTIALS_DIRECTORY"
MAX_BYTES = 4096
OF_OTHERS = 0o007
READABLE = "it must exist and the agent's user must be able to read it"


class CredentialError(PlumblineError):
    """A secret is not there or cannot be read; the text names key, file and remedy."""


def is_credential(path: Path) -> bool:
    """Whether `path` is one that systemd fills in."""
    return path.parts[:1] == ("%d",)


def locate(path: Path, *, key: str, environment: Mapping[str, str] = os.environ) -> Path:
    """Where the file of settings key `key` really is. Raises CredentialError."""
    if not is_credential(path):
        return path
    folder = environment.get(VARIABLE)
    if not folder:
        raise CredentialError(
            f"{key}: {path}: ${VARIABLE} is not set; run the agent under a systemd unit with "
            f"LoadCredential={path.name}:FILE, or give a plain path"
        )
    return Path(folder).joinpath(*path.parts[1:])


def check_private(place: Path, *, key: str) -> None:
    """Raises CredentialError where more than the owner and the group of the file at `place` can use it."""
    try:
        mode = place.stat().st_mode
    except OSError as error:
        raise CredentialError(f"{key}: {shown(str(place))}: {error.strerror}; {READABLE}") from error
    if mode & OF_OTHERS:
        raise CredentialError(
            f"{key}: {shown(str(place))}: every user of this machine can use it (mode {mode & 0o777:04o}); "
            "chmod 600 it, or 640 where the agent reads it as a member of its group, and change the secret"
        )


def read_secret(path: Path, *, key: str, environment: Mapping[str, str] = os.environ) -> str:
    """The one line in the file of settings key `key`, without a byte-order mark. Raises CredentialError."""
    place = locate(path, key=key, environment=environment)
    start = f"{key}: {shown(str(place))}:"
    try:
        secret = bounded.text_of(bounded.read(place, max_bytes=MAX_BYTES)).rstrip("\r\n")
    except bounded.UnreadableError as error:
        raise CredentialError(f"{start} {error}; {READABLE}, and hold one line of UTF-8") from error
    check_private(place, key=key)
    if not secret.strip():
        raise CredentialError(f"{start} is empty; write the secret into it, in one line")
    if "\n" in secret or "\r" in secret:
        raise CredentialError(f"{start} has several lines; it holds the secret in one line and nothing else")
    if any(unicodedata.category(character) == "Cc" for character in secret):
        raise CredentialError(f"{start} has control characters in it; write the secret anew, as plain text")
    return secret
