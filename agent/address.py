"""Addresses hold secrets: what of one may be shown, and how one is written so that others can read it.

User and password end at the last `@`: passwords have `/ # ? @` in them, which parsers take for the end
of the host. A query may hold a token under any name, so it is never shown.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

HIDDEN = "***"

# A path forgets one of the slashes of an address: rtsp:/user:password@host.
_ADDRESS = re.compile(r"(?<![A-Za-z0-9])[A-Za-z][A-Za-z0-9+.-]*:/+(?=[^/\s])\S+")
_SCHEME = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]*:/+")
_BARE_LOGIN = re.compile(r"[^/\s]*:.*@", re.DOTALL)
_ASSIGNED = re.compile(r"=[^/]+")
_QUERY_BEFORE = re.compile(r"[?&#;][^@]*=")


def masked(address: str) -> str:
    """One address, a path or a device without user, password, query and values within the path."""
    scheme = _SCHEME.match(address)
    if scheme is None:
        return _BARE_LOGIN.sub(f"{HIDDEN}@", address)
    head, rest = scheme[0], address[scheme.end() :]
    login, at, place = rest.rpartition("@")
    if at and _QUERY_BEFORE.search(login):
        return f"{head}{HIDDEN}"  # this @ may stand in a query: what follows it may be a password's end
    shown = place if at else rest
    path = re.split("[?#]", shown, maxsplit=1)[0]
    hidden = "" if path == shown else f"?{HIDDEN}"
    return f"{head}{f'{HIDDEN}@' if at else ''}{_ASSIGNED.sub(f'={HIDDEN}', path)}{hidden}"


def masked_text(text: str) -> str:
    """Free text with every address in it masked."""
    return _ADDRESS.sub(_masked_match, text)


def _masked_match(found: re.Match[str]) -> str:
    """The colon after an address, as errors have it, is not part of it."""
    address = found[0].removesuffix(":")
    return masked(address) + found[0][len(address) :]


def masked_values(value: Any) -> Any:
    """The same value, every text in it masked; what is neither text nor made of lists and mappings stays."""
    if isinstance(value, str):
        return masked_text(value)
    if isinstance(value, dict):
        return {key: masked_values(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [masked_values(one) for one in value]
    return value


def connectable(address: str) -> str:
    """The same address with the special characters of user and password as %-escapes.

    Escapes that stand there already stay. An `@` further on has to be written as %40.
    """
    scheme = re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", address)
    login, at, place = address[scheme.end() if scheme else 0 :].rpartition("@")
    if scheme is None or not at:
        return address
    host = re.split("[/?#]", login, maxsplit=1)[0]
    if _QUERY_BEFORE.search(login) and ("@" in host or ":" not in host):
        return address  # the @ is part of a query
    return f"{scheme[0]}{quote(login, safe=':%!$&()*+,;=-._~')}@{place}"
