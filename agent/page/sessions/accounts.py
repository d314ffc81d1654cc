"""Who may sign in at the page, and which screens show it without: one file beside the outbox.

A file that cannot be read lets nobody in, and never counts as one without accounts.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import os
import secrets
import threading
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from agent import durable
from agent.errors import PlumblineError
from agent.foreign import shown
from agent.page.sessions import passwords
from agent.page.sessions.roles import Role
from agent.settings import bounded
from agent.settings.settings import Settings

MAX_BYTES = 256_000
MAX_ACCOUNTS = 200
NAME = r"^[a-z0-9][a-z0-9._-]{0,63}$"
Name = Annotated[str, Field(pattern=NAME)]


class AccountsError(PlumblineError):
    """Accounts cannot be read or changed; names the file and the remedy."""


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Account(_Kept):
    role: Role
    password: str = Field(pattern=r"^scrypt:[0-9a-f]{32}:[0-9a-f]{64}$", repr=False)


class Kiosk(_Kept):
    """A screen that shows the page without anybody who signs in, from these addresses alone."""

    token_sha256: str = Field(pattern=r"^[0-9a-f]{64}$", repr=False)
    addresses: str  # 10.1.2.0/24

    @field_validator("addresses")
    @classmethod
    def _is_a_network(cls, text: str) -> str:
        return str(ipaddress.ip_network(text))

    def holds(self, address: str) -> bool:
        try:
            return plain(address) in ipaddress.ip_network(self.addresses)
        except ValueError:
            return False


class Accounts(_Kept):
    schema_: Literal["plumbline.accounts/1"] = Field("plumbline.accounts/1", alias="schema")
    accounts: dict[Name, Account] = Field(default_factory=dict, max_length=MAX_ACCOUNTS)
    kiosks: dict[Name, Kiosk] = Field(default_factory=dict, max_length=MAX_ACCOUNTS)

    model_config = ConfigDict(populate_by_name=True)

    @property
    def is_empty(self) -> bool:
        return not self.accounts and not self.kiosks

    def kiosk(self, token: str, address: str) -> str | None:
        """The name of the one with this token, seen from an address of its own."""
        digest = _digest(token)
        found = [
            name
            for name, one in self.kiosks.items()
            if secrets.compare_digest(one.token_sha256, digest) and one.holds(address)
        ]
        return found[0] if found else None


def plain(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An IPv4 address that came over an IPv6 socket is that IPv4 address. Raises ValueError."""
    found = ipaddress.ip_address(address.partition("%")[0])
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return found if mapped is None else mapped


def path_of(wanted: Settings) -> Path:
    return wanted.outbox.path.with_name(f"{wanted.outbox.path.name}-accounts.json")


class AccountsFile:
    """Read anew when it was changed; safe from any thread."""

    def __init__(self, path: Path | None) -> None:
        """None: nobody has an account, and nobody can get one."""
        self.path = path
        self._lock = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._accounts = Accounts()

    def now(self) -> Accounts:
        """Raises AccountsError."""
        if self.path is None:
            return self._accounts
        with self._lock:
            try:
                status = self.path.stat()
            except FileNotFoundError:
                self._seen, self._accounts = None, Accounts()
                return self._accounts
            except OSError as error:
                raise self._unreadable(error.strerror or "no access") from error
            seen = (status.st_mtime_ns, status.st_ino, status.st_size)
            if seen != self._seen:
                self._accounts, self._seen = self._read(self.path), seen
            return self._accounts

    def _read(self, path: Path) -> Accounts:
        try:
            return Accounts.model_validate_json(bounded.read(path, max_bytes=MAX_BYTES))
        except bounded.UnreadableError as error:
            raise self._unreadable(str(error)) from error
        except ValidationError as error:
            where = ".".join(map(str, error.errors(include_input=False)[0]["loc"]))
            raise self._unreadable(f"is damaged at {where[:100] or 'its beginning'}") from error

    def _unreadable(self, why: str) -> AccountsError:
        return AccountsError(
            f"{shown(str(self.path))}: {shown(why)}, and nobody is let in; give the station's user the right"
            " to read it, or move it away and make accounts anew with plumbline page user add"
        )

    def put(self, name: str, role: Role, password: str) -> None:
        """A new account, or another password and role of one. Raises AccountsError."""
        if not passwords.SHORTEST <= len(password) <= passwords.LONGEST:
            raise AccountsError(
                f"the password has {len(password)} characters; give"
                f" {passwords.SHORTEST} to {passwords.LONGEST}"
            )
        now = self.now()
        one = Account(role=role, password=passwords.kept(password))
        self._write(Accounts(accounts={**now.accounts, name: one}, kiosks=now.kiosks))

    def put_kiosk(self, name: str, addresses: str) -> str:
        """Its token, which is kept nowhere. Raises AccountsError."""
        token, now = secrets.token_urlsafe(32), self.now()
        try:
            one = Kiosk(token_sha256=_digest(token), addresses=addresses)
        except ValidationError as error:
            raise AccountsError(
                f"{shown(addresses)}: no range of addresses; write it as 10.1.2.0/24, or one as 10.1.2.7"
            ) from error
        self._write(Accounts(accounts=now.accounts, kiosks={**now.kiosks, name: one}))
        return token

    def remove(self, name: str, which: Literal["accounts", "kiosks"]) -> None:
        """One that there is. Raises AccountsError."""
        now = self.now()
        left = {other: one for other, one in getattr(now, which).items() if other != name}
        self._write(now.model_copy(update={which: left}))

    def _write(self, accounts: Accounts) -> None:
        assert self.path is not None
        try:
            checked = Accounts.model_validate(accounts.model_dump(by_alias=True))
        except ValidationError as error:
            raise AccountsError(
                f"a name is of a-z, 0-9, dot, _ and -, 64 characters at most; {MAX_ACCOUNTS} accounts at most"
            ) from error
        content = json.dumps(checked.model_dump(by_alias=True), indent=1).encode()
        unfinished = durable.unfinished_of(self.path)
        try:
            unfinished.unlink(missing_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(unfinished, flags, 0o600)
            try:
                if os.geteuid() == 0:  # the station is to read it
                    owner = self.path.parent.stat()
                    os.fchown(descriptor, owner.st_uid, owner.st_gid)
                durable.write_all(descriptor, content)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            unfinished.replace(self.path)
            durable.sync_folder(self.path.parent)
        except OSError as error:
            raise AccountsError(
                f"{shown(str(self.path))}: not written: {error.strerror};"
                " run it as the station's user or root"
            ) from error


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()
