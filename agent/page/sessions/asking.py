"""Of one request: where it comes from, and who asks. Decides; keeps nothing."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers

from agent.foreign import stored
from agent.page.sessions.accounts import Accounts, plain
from agent.page.sessions.roles import ROLES, Person, Role
from agent.page.sessions.sessions import Sessions
from agent.settings.settings import PageProxy

FORWARDED = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip")
_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,64}")


@dataclass(frozen=True, slots=True)
class Cookies:
    """By name. Browsers send those of a host to all ports and paths of it: each station has its own names."""

    session: str
    kiosk: str


def cookies_of(station: str) -> Cookies:
    mark = hashlib.sha256(station.encode()).hexdigest()[:12]
    return Cookies(f"plumbline-{mark}", f"plumbline-kiosk-{mark}")


class SmuggledError(Exception):
    """A header stands twice that says who asks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """`address` is whose it is, which a listed proxy says of others."""

    address: str
    by_proxy: bool  # a listed one
    is_forwarded: bool  # or so it says; or it is asked by a name that this machine has elsewhere
    is_local: bool
    is_secure: bool
    user: str | None
    role: Role
    session: str | None
    kiosk: str | None


def asking(
    headers: Headers, peer: str, *, proxy: PageProxy, secure: bool, own_name: bool, cookies: Cookies
) -> Asking:
    """Raises SmuggledError. `own_name`: the host that is asked for is this machine's own name."""
    by_proxy = _is_in(peer, proxy.addresses)
    user = _one(headers, proxy.user_header) if by_proxy else None
    role = (_one(headers, proxy.role_header) or "").strip().lower() if by_proxy else ""
    forwarded_for = headers.getlist("x-forwarded-for")
    address = peer
    if by_proxy and forwarded_for:
        last = forwarded_for[-1].rpartition(",")[2].strip()  # what stands before it anybody may have written
        address = last if _is_address(last) else peer
    given = _cookies(headers)
    bearer = re.fullmatch(r"Bearer ([A-Za-z0-9_-]{1,200})", headers.get("authorization", ""))
    return Asking(
        address=address,
        by_proxy=by_proxy,
        is_forwarded=not own_name or any(name in headers for name in FORWARDED),
        is_local=_is_address(peer) and plain(peer).is_loopback,
        is_secure=secure or (by_proxy and headers.get("x-forwarded-proto", "").lower() == "https"),
        user=stored(user.strip()) if user is not None and _NAME.fullmatch(user.strip()) else None,
        role=next((one for one in ROLES if one == role), "viewer"),
        session=given.get(cookies.session),
        kiosk=bearer[1] if bearer else given.get(cookies.kiosk),
    )


def who(
    one: Asking, accounts: Accounts, sessions: Sessions, *, on_loopback: bool, anonymous: bool
) -> Person | None:
    """None: nobody whom we know. Without accounts, a page on loopback is this machine's people's."""
    if one.by_proxy and one.user is not None:
        return Person(name=one.user, role=one.role, way="proxy")
    if one.session is not None and (session := sessions.of(one.session)) is not None:
        account = accounts.accounts.get(session.name)
        if account is not None and account.password == session.proof:
            return Person(name=session.name, role=account.role, way="account")
    if one.kiosk is not None and (kiosk := accounts.kiosk(one.kiosk, one.address)) is not None:
        return Person(name=kiosk, role="viewer", way="kiosk")
    if on_loopback and not accounts.accounts and one.is_local:
        is_here = not one.is_forwarded and not one.by_proxy
        return Person(
            name="this machine" if is_here else "somebody behind a proxy",
            role="engineer" if is_here else "viewer",
            way="this_machine" if is_here else "anonymous",
        )
    return Person(name="somebody", role="viewer", way="anonymous") if anonymous else None


def _one(headers: Headers, name: str) -> str | None:
    """The only value; a proxy that passes on what a client wrote beside its own is none to be believed."""
    wanted = name.lower()
    found = [value for key, value in headers.items() if key.replace("_", "-") == wanted.replace("_", "-")]
    if len(found) > 1:
        raise SmuggledError(name)
    return headers.get(wanted)


def _cookies(headers: Headers) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in headers.getlist("cookie"):
        try:
            found |= {name: one.value for name, one in SimpleCookie(line).items()}
        except CookieError:
            continue
    return {name: value for name, value in found.items() if len(value) <= 200}


def _is_in(address: str, networks: Sequence[str]) -> bool:
    try:
        found = plain(address)
        return any(found in ipaddress.ip_network(one) for one in networks)
    except ValueError:
        return False


def _is_address(text: str) -> bool:
    try:
        plain(text)
    except ValueError:
        return False
    return True
