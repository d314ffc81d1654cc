"""A depot for tests, bundles for it, and a hand whose proof fails on cue."""

from __future__ import annotations

from pathlib import Path

from agent.bundle.bundle import Bundle, manifest_bytes, write_bundle
from agent.clock import Clock, ManualClock
from agent.engines.engine import EngineError
from agent.remote.rollout.depot import Depot
from agent.remote.rollout.install import Hand, Proof
from agent.remote.rollout.rollout_file import RECORD, RolloutFile
from agent.remote.rollout.transaction import Record
from tests.agent.engines.small_bundle import small_files, small_manifest


def write_numbered(path: Path, counter: int, *, signature: bytes | None = None) -> str:
    """A small bundle with this counter; the digest of its manifest."""
    import hashlib

    files = small_files()
    manifest = small_manifest(files).model_copy(update={"counter": counter})
    write_bundle(path, manifest, files, signature)
    return hashlib.sha256(manifest_bytes(manifest)).hexdigest()


class Prover:
    """Says no to the counters that it is told."""

    def __init__(self, *refused: int) -> None:
        self.refused = refused
        self.proven: list[int] = []

    def __call__(self, bundle: Bundle) -> None:
        counter = bundle.manifest.counter
        if counter in self.refused:
            raise EngineError(f"golden scores of counter {counter} differ")
        self.proven.append(counter)


def make_hand(
    folder: Path,
    prover: Prover | None = None,
    *,
    said: list[str] | None = None,
    clock: Clock | None = None,
    kept_free: int = 0,
) -> Hand:
    """A hand that trusts everything."""
    return Hand(
        Depot(folder=folder),
        Proof(trusted=lambda bundle: None, good=prover or Prover()),
        clock or ManualClock(),
        kept_free=kept_free,
        say=(said if said is not None else []).append,
    )


def record_of(folder: Path) -> Record:
    record, trouble = RolloutFile(path=folder / RECORD).read()
    assert trouble is None
    return record


def served(folder: Path) -> tuple[int | None, int | None]:
    """The counters of `current` and `previous`, which are whole."""
    depot = Depot(folder=folder)
    current, previous = depot.named("current"), depot.named("previous")
    return (
        None if current is None else depot.open(current).manifest.counter,
        None if previous is None else depot.open(previous).manifest.counter,
    )


def content(folder: Path) -> dict[str, bytes | str]:
    """Every file with its bytes and link; not lock, record and what a station has open."""
    return {
        path.relative_to(folder).as_posix(): str(path.readlink()) if path.is_symlink() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if (path.is_symlink() or path.is_file()) and path.name not in (RECORD, ".lock", ".serving")
    }
