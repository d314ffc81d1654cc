"""Who may have a station changed by command: signed envelopes, and which of them have been used.

Commands that change the station must be signed as soon as the trust file has keys with the role command; no
setting can say otherwise. A signed command is for one station, one name, one id and a time, so that it is
worth nothing anywhere else; the ids of the last KEPT signed ones are kept apart from all others, of which
whoever reaches the broker could send so many that an old one is forgotten.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from agent import durable
from agent.errors import PlumblineError
from agent.foreign import shown
from agent.trust.trust_set import load_trust

KEPT = 4096


class SpentError(PlumblineError):
    """The ids of signed commands cannot be kept; names the file and what is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signers:
    """Whose signatures count; without keys commands come unsigned."""

    keys: tuple[Ed25519PublicKey, ...] = ()
    threshold: int = 1


def signers_of(trust_file: Path | None) -> Callable[[], Signers]:
    """Read anew each time, since trust is rotated; that raises TrustError."""

    def read() -> Signers:
        if trust_file is None:
            return Signers()
        trust = load_trust(trust_file)
        return Signers(keys=trust.keys_of("command"), threshold=trust.threshold)

    return read


class Spent:
    """Ids of signed commands that have run, a line each in a file. For one thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ids: OrderedDict[str, None] | None = None  # None: not read yet

    def has(self, id_: str) -> bool:
        """Raises SpentError where nobody can know."""
        return id_ in self._known()

    def add(self, id_: str) -> None:
        """Durable on return. Raises SpentError."""
        known = self._known()
        known[id_] = None
        try:
            if len(known) > 2 * KEPT:
                while len(known) > KEPT:
                    known.popitem(last=False)
                self._write_anew(list(known))
            else:
                self._append(id_)
        except OSError as error:
            del known[id_]
            raise self._error(error) from error

    def _known(self) -> OrderedDict[str, None]:
        if self._ids is None:
            try:
                lines = self._path.read_bytes().split(b"\n")[:-1]  # the last one was cut, or is empty
            except FileNotFoundError:
                lines = []
            except OSError as error:
                raise self._error(error) from error
            try:
                self._ids = OrderedDict.fromkeys(bytes.fromhex(line.decode()).decode() for line in lines)
            except ValueError as error:
                raise SpentError(
                    f"{shown(str(self._path))}: damaged, nobody knows which signed commands have run; move "
                    "it away once those that were sent have expired"
                ) from error
        return self._ids

    def _append(self, id_: str) -> None:
        is_new = not self._path.exists()
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self._path, flags, 0o644)
        try:
            end = os.lseek(descriptor, 0, os.SEEK_END)
            whole = os.pread(descriptor, end, 0).rfind(b"\n") + 1  # behind it a line was cut
            os.ftruncate(descriptor, whole)
            os.lseek(descriptor, whole, os.SEEK_SET)
            durable.write_all(descriptor, f"{id_.encode().hex()}\n".encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if is_new:
            durable.sync_folder(self._path.parent)

    def _write_anew(self, ids: list[str]) -> None:
        durable.replace_file(self._path, (f"{one.encode().hex()}\n".encode() for one in ids))

    def _error(self, error: OSError) -> SpentError:
        return SpentError(
            f"{shown(str(self._path))}: {error.strerror}; signed commands are not run until it can be read "
            "and written"
        )
