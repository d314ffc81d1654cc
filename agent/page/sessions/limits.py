"""How often somebody may try to sign in: by address and by account, in bounded memory.

Pure but for what it remembers: times are arguments, in seconds of one monotonic clock.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_network

from agent.page.sessions.accounts import plain

AT_ONCE = 8
ONE_MORE_S = 15.0
REMEMBERED = 2048


@dataclass(slots=True)
class _Tries:
    left: float
    at_s: float


class Tries:
    """Of many keys; where there are too many, those that tried longest ago are forgotten."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self._of: OrderedDict[str, _Tries] = OrderedDict()

    def __len__(self) -> int:
        return len(self._of)

    def wait_s(self, key: str, now_s: float) -> float:
        """Seconds until it may try; 0: now, and that counts as a try."""
        one = self._of.pop(key, None) or _Tries(AT_ONCE, now_s)
        one.left = min(float(AT_ONCE), one.left + (now_s - one.at_s) / ONE_MORE_S)
        one.at_s = now_s
        self._of[key] = one
        if len(self._of) > self._remembered:
            self._of.popitem(last=False)
        if one.left < 1:
            return (1 - one.left) * ONE_MORE_S
        one.left -= 1
        return 0.0

    def forget(self, key: str) -> None:
        self._of.pop(key, None)


class SignInLimits:
    """For one thread at a time.

    Accounts that there are have a table of their own, which no flood of invented names pushes them out of.
    An address from which somebody has signed in does not wait for strangers who guess at the same account.
    """

    def __init__(self) -> None:
        self._addresses = Tries()
        self._accounts, self._invented, self._at_home = Tries(), Tries(), Tries()
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()

    @property
    def remembered(self) -> int:
        tables = (self._addresses, self._accounts, self._invented, self._at_home, self._known)
        return sum(len(one) for one in tables)

    def wait_s(self, address: str, name: str, accounts: Collection[str], now_s: float) -> float:
        """Seconds until it may be tried; 0: now."""
        where = _where(address)
        if wait := self._addresses.wait_s(where, now_s):
            return wait
        if (where, name) in self._known:
            return self._at_home.wait_s(f"{where} {name}", now_s)
        return (self._accounts if name in accounts else self._invented).wait_s(name, now_s)

    def succeeded(self, address: str, name: str) -> None:
        where = _where(address)
        self._known[where, name] = None
        self._known.move_to_end((where, name))
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        self._addresses.forget(where)


def _where(address: str) -> str:
    """Whoever has one IPv6 address has 2^64 of them."""
    try:
        found = plain(address)
    except ValueError:
        return address
    return str(ip_network(f"{found}/64", strict=False)) if isinstance(found, IPv6Address) else str(found)
