"""Addresses hold secrets: what of one may be shown, and how one is written so that others can read it.

User and password end at the last `@`: passwords have `/ # ? @` in them, which parsers take for the end
of the host. A query may hold a token under any name, and a path may be one (keys of streams, webhooks of
chat systems), so of an address on the network scheme and host are shown.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

HIDDEN = "***"

# A path forgets one of the slashes of an address, rtsp:/user:password@host; JSON escapes both of them.
_SCHEME = re.compile(r"\s*[A-Za-z0-9][A-Za-z0-9+.-]*:[/\\]+")
_SECRET_PLACES = re.compile(
    r"(?<![A-Za-z0-9])[A-Za-z0-9][A-Za-z0-9+.-]*:[/\\]+(?=[^/\\\s])\S+"  # an address
    r"|[A-Za-z][A-Za-z0-9+.-]*%3a(?:%2f)+\S+"  # one as part of another
    r"|[^\s/\\'\"(:@=,;]+:(?![/\\])\S*@[\w\[.*-]\S*",  # user:password@host
    re.IGNORECASE,
)
_BARE_LOGIN = re.compile(r"[^/\\\s]*:.*@", re.DOTALL)
_ASSIGNED = re.compile(r"=[^/]+")
_QUERY_BEFORE = re.compile(r"[?&#;][^@]*=")


def masked(address: str) -> str:
    """An address, a path or a device without what may be secret in it: of an address the host is left."""
    scheme = _SCHEME.match(address)
    if scheme is None:
        if "%3a%2f%2f" in address.lower():
            return HIDDEN
        login, at, place = _BARE_LOGIN.sub(f"{HIDDEN}@", address).rpartition(f"{HIDDEN}@")
        return f"{login}{at}{_host(place)}" if at else address
    head, rest = scheme[0], address[scheme.end() :]
    login, at, place = rest.rpartition("@")
    first = re.split(r"[/\\?#]", login, maxsplit=1)[0]
    is_host = first != login and re.fullmatch(r"[^:@]*(:[0-9]*)?|\[[^\]@]*\](:[0-9]*)?", first)
    if at and (is_host or _QUERY_BEFORE.search(login)):
        return f"{head}{HIDDEN}"  # this @ may stand in a path or query: a secret's end may follow it
    if at:
        return f"{head}{HIDDEN}@{_host(place)}"
    if len(head) - len(head.rstrip("/\\")) == 1 or head.lower().startswith(("file:", "s3:")):
        return f"{head}{_without_query(rest)}"  # a path, or an object's name
    return f"{head}{_host(rest)}"


def _host(place: str) -> str:
    """What follows a login or a scheme, up to the first slash; a path that says nothing stays."""
    host = re.split(r"[/\\?#]", place, maxsplit=1)[0]
    return place if place in (host, f"{host}/") else f"{host}/{HIDDEN}"


def _without_query(place: str) -> str:
    path = re.split("[?#]", place, maxsplit=1)[0]
    return _ASSIGNED.sub(f"={HIDDEN}", path) + ("" if path == place else f"?{HIDDEN}")


def masked_text(text: str) -> str:
    """Free text with every address and every user:password@host in it masked."""
    return _SECRET_PLACES.sub(_masked_match, text)


def _masked_match(found: re.Match[str]) -> str:
    """The punctuation after an address, as errors have it, is not part of it."""
    address = found[0].rstrip(":;,.)'\"")
    return masked(address) + found[0][len(address) :]


def masked_values(value: Any) -> Any:
    """The same value, every text in it masked; numbers stay, and what else is no text becomes one."""
    if isinstance(value, str):
        return masked_text(value)
    if isinstance(value, dict):
        return {key: masked_values(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [masked_values(one) for one in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return masked_text(str(value))  # an exception, a path: what renders it would not ask


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
