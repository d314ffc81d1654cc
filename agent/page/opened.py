"""How a page is opened, looked at before anybody asks it: who is let in, who can reach it, and over what.

Looks at the accounts' file and keeps nothing.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator

from agent.errors import PlumblineError
from agent.page.sessions.accounts import Accounts, AccountsFile, path_of
from agent.settings.credentials import check_private
from agent.settings.settings import Page, PageProxy, Settings

WIDEST = {4: 24, 6: 64}  # of a range of proxies: prefixes


class PageError(PlumblineError):
    """The page cannot be served; the message names the address and the remedy."""


def check_known(wanted: Settings) -> None:
    """That a page which others can reach knows whom to let in. Raises PlumblineError."""
    page = wanted.page
    if page.enabled and not is_on_loopback(page):
        require_known(AccountsFile(path_of(wanted)), page.host, anonymous=page.anonymous, proxy=page.proxy)


def require_known(accounts: AccountsFile, host: str, *, anonymous: bool, proxy: PageProxy) -> None:
    """Raises PageError, AccountsError."""
    if accounts.now().is_empty and not anonymous and not proxy.addresses:
        raise PageError(
            f"page: others can reach {host}, and nobody has an account; make one with"
            " `plumbline page user add NAME --role engineer`, or set page.anonymous to true"
            " (everybody reads, nobody changes), or page.host to 127.0.0.1"
        )


def is_on_loopback(page: Page) -> bool:
    """Also of a host that nobody knows: that is said where it is bound."""
    try:
        found = socket.getaddrinfo(page.host, page.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror:
        return True
    return ipaddress.ip_address(str(found[0][4][0]).partition("%")[0]).is_loopback


def accounts_of(wanted: Settings) -> Accounts:
    """Of a file that is private. Raises PlumblineError."""
    file = AccountsFile(path_of(wanted))
    found = file.now()
    if file.path is not None and file.path.exists():
        check_private(file.path, key="accounts")
    return found


def doubts(wanted: Settings, accounts: Accounts) -> Iterator[tuple[str, str]]:
    """What works and should be known of a page that is served: words and remedy each."""
    page, roles = wanted.page, {one.role for one in accounts.accounts.values()}
    if not is_on_loopback(page) and accounts.accounts:
        yield (
            f"passwords and sessions go to {page.host} without encryption",
            "put a proxy with TLS before it: page.host 127.0.0.1, its address in page.proxy.addresses",
        )
    if accounts.accounts and "engineer" not in roles and not page.proxy.addresses:
        yield (
            "nobody who has an account is an engineer, so nobody changes settings here",
            "`plumbline page user add NAME --role engineer`",
        )
    for one in page.proxy.addresses:
        network = ipaddress.ip_network(one)
        if network.prefixlen < WIDEST[network.version]:
            words = (
                f"page.proxy.addresses: each of {network.num_addresses:,} addresses of {one} may say to be"
            )
            yield f"{words} an engineer's", "name the proxy's own address alone"
