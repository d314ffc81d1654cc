"""Which addresses a bundle may be fetched from, and where an answer may lead to."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from agent.address import masked
from agent.foreign import shown
from agent.remote.transport.source import Unfit

SAFE = "/%:@!$&'()*+,;=~-._"
_PORTS = {"https": 443, "http": 80}


def address_of(url: str, *, allows_plain: bool) -> SplitResult:
    """`url` when it may be asked. Raises Unfit.

    Without TLS every station in between sees what is fetched and may send anything in its place. The digest
    tells, but only at the end: such addresses are for this machine, or for whom the settings let it.
    """
    place = shown(masked(url))
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise Unfit(f"{place}: is no address ({shown(str(error))})", 422) from error
    if parts.scheme not in _PORTS or not host or not url.isascii() or not url.isprintable() or " " in url:
        raise Unfit(f"{place}: is no https address", 422)
    if parts.username is not None or parts.password is not None:
        raise Unfit(f"{place}: an address with a login in it; instructions are read by many", 422)
    if parts.scheme == "http" and not (allows_plain or _is_this_machine(host)):
        raise Unfit(f"{place}: not encrypted; use https, or set remote.download.plain_http to true", 403)
    return parts


def file_below(address: SplitResult, name: str) -> str:
    """The url of a file of the bundle that `address` is the folder of."""
    path = f"{quote(address.path.rstrip('/'), safe=SAFE)}/{quote(name)}"
    return address._replace(path=path, fragment="").geturl()


def redirected(url: str, location: str | None, *, allows_plain: bool, hosts: Sequence[str]) -> str:
    """Where an answer leads to. Raises Unfit where that is not allowed."""
    if location is None:
        raise Unfit("leads on, and does not say where", 422)
    try:
        new = urljoin(url, location)
    except ValueError as error:
        raise Unfit(f"leads to what is no address ({shown(str(error))})", 422) from error
    there, here = address_of(new, allows_plain=allows_plain), urlsplit(url)
    if here.scheme == "https" and there.scheme != "https":
        raise Unfit(f"leads from https to {shown(masked(new))}", 403)
    if _end_of(there) != _end_of(here) and there.hostname not in hosts:
        raise Unfit(
            f"leads to another server, {shown(masked(new))}; name its host in remote.download.redirect_hosts",
            403,
        )
    return new


def _end_of(address: SplitResult) -> tuple[str | None, int]:
    return address.hostname, address.port or _PORTS[address.scheme]


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
