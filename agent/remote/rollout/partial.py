"""A file of the candidate that is not all there yet: what the disk has counts, and more is put behind it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.durable import write_all
from agent.remote.rollout.depot import Depot, explained

PIECE_BYTES = 1024 * 1024


class Partial:
    """Its digest is taken along with every byte. All calls raise DepotError."""

    def __init__(self, descriptor: int, path: Path) -> None:
        self.size = 0
        self._descriptor = descriptor
        self._path = path
        self._digest = hashlib.sha256()

    def sha256(self) -> str:
        """Of what is there."""
        return self._digest.hexdigest()

    def read_again(self) -> None:
        """Count what the disk has."""
        try:
            while piece := os.pread(self._descriptor, PIECE_BYTES, self.size):
                self._digest.update(piece)
                self.size += len(piece)
            os.lseek(self._descriptor, self.size, os.SEEK_SET)
        except OSError as error:
            raise explained(self._path, error) from error

    def clear(self) -> None:
        """Begin anew."""
        try:
            os.ftruncate(self._descriptor, 0)
            os.lseek(self._descriptor, 0, os.SEEK_SET)
        except OSError as error:
            raise explained(self._path, error) from error
        self.size, self._digest = 0, hashlib.sha256()

    def add(self, piece: bytes) -> None:
        try:
            write_all(self._descriptor, piece)
        except OSError as error:
            raise explained(self._path, error) from error
        self._digest.update(piece)
        self.size += len(piece)

    def sync(self) -> None:
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            raise explained(self._path, error) from error


@contextmanager
def gone_on(depot: Depot, name: str) -> Iterator[Partial]:
    """A file of the candidate, made if need be; what is there already is read. Raises DepotError."""
    path = depot.candidate_file(name)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise explained(path, error) from error
    try:
        partial = Partial(descriptor, path)
        partial.read_again()
        yield partial
    finally:
        os.close(descriptor)
