"""Secrets come out of files: any path, or one that systemd hands over with LoadCredential=.

A path that begins with `%d/`, systemd's own specifier, is looked up in $CREDENTIALS_DIRECTORY at the
moment of use, so that settings can be checked on a machine that does not have the secrets.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from agent.errors import PlumblineError

VARIABLE = "CREDENTIALS_DIRECTORY"


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


def read_secret(path: Path, *, key: str, environment: Mapping[str, str] = os.environ) -> str:
    """The one line in the file of settings key `key`. Raises CredentialError."""
    place = locate(path, key=key, environment=environment)
    try:
        return place.read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        remedy = "it must exist and the agent's user must be able to read it"
        raise CredentialError(f"{key}: {place}: {error.strerror}; {remedy}") from error
    except UnicodeDecodeError as error:
        raise CredentialError(f"{key}: {place}: it is not text in UTF-8; write it anew") from error
