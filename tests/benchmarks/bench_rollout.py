"""How long a station takes from the last byte of a bundle until it waits for the boundary, proof left out.

    python -m tests.benchmarks.bench_rollout [--megabytes 30] [--rounds 5]

Digests of every file, manifest and trust by a signature, all of it synced and renamed, the record written
before each step; beside it the plain SHA-256 of as many bytes, and their plain write with a sync. How often
the bundle's bytes are hashed, and what is synced, is counted from the document on.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import stat
import statistics
import tempfile
import time
from pathlib import Path

import structlog

from agent.bundle.bundle import BUNDLE_TYPE, MANIFEST, SIGNATURE, with_digests, write_bundle
from agent.bundle.trust import require_signed
from agent.durable import write_file
from tests.agent.engines.small_bundle import small_files, small_manifest
from tests.agent.remote.rollouts import Rig, desired, installed, signed, sources, trust

WINDOW = {"from": "2030-01-01T00:00:00Z", "until": "2031-01-01T00:00:00Z"}  # nothing is switched


COUNTS = ("times hashed", "files synced", "folders synced")


class Counted:
    """Bytes hashed and calls of fsync, in every thread, between `begin` and `end`."""

    def __init__(self) -> None:
        self.hashed = self.files = self.folders = 0
        self._sha256, self._fsync = hashlib.sha256, os.fsync

    def begin(self) -> None:
        setattr(hashlib, "sha256", lambda data=b"": _Hash(self, self._sha256(), data))  # noqa: B010
        setattr(os, "fsync", self._synced)  # noqa: B010

    def end(self) -> None:
        setattr(hashlib, "sha256", self._sha256)  # noqa: B010
        setattr(os, "fsync", self._fsync)  # noqa: B010

    def _synced(self, descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            self.folders += 1
        else:
            self.files += 1
        self._fsync(descriptor)


class _Hash:
    def __init__(self, counted: Counted, real: hashlib._Hash, data: bytes) -> None:
        self._counted, self._real = counted, real
        self.hexdigest, self.digest = real.hexdigest, real.digest
        self.update(data)

    def update(self, data: bytes) -> None:
        self._counted.hashed += len(data)
        self._real.update(data)


def large(path: Path, counter: int, size: int) -> Path:
    """A signed bundle with so many bytes beside its small model."""
    files = {**small_files(), "weights.bin": os.urandom(size)}
    manifest = with_digests(small_manifest(files).model_copy(update={"counter": counter}), files)
    write_bundle(path, manifest, files, None)
    (path / SIGNATURE).write_bytes(signed((path / MANIFEST).read_bytes(), 0, kind=BUNDLE_TYPE))
    return path


def once(folder: Path, size: int) -> dict[str, float]:
    """Seconds of each part."""
    installed(folder / "bundles", sources(folder, 1)[1])
    source = large(folder / "source", 2, size)
    rig = Rig(folder / "bundles")
    object.__setattr__(rig.updater._means, "trusted", lambda one: require_signed(one, trust(), name="trust"))
    document = signed({**desired(source, 5), "window": WINDOW, "expires": "2031-01-01T00:00:00Z"})
    counted = Counted()
    counted.begin()
    began = time.perf_counter()
    rig.offer(document)
    rig.until_state("verifying", "proving", "staged")
    came, came_cpu = time.perf_counter(), time.process_time()
    rig.until_state("staged")
    staged, staged_cpu = time.perf_counter(), time.process_time()
    rig.close()
    counted.end()
    content = (source / "weights.bin").read_bytes()
    hashing = time.perf_counter()
    hashlib.sha256(content).hexdigest()
    writing = time.perf_counter()
    write_file(folder / "plain", [content])
    return {
        "times hashed": counted.hashed / size,
        "files synced": counted.files,
        "folders synced": counted.folders,
        "bytes copied": came - began,
        "verified and staged": staged - came,
        "of that on a core": staged_cpu - came_cpu,
        "sha256 once": writing - hashing,
        "written once": time.perf_counter() - writing,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    structlog.configure(processors=[structlog.processors.KeyValueRenderer()], logger_factory=_Silent)
    found = []
    for _ in range(asked.rounds):
        with tempfile.TemporaryDirectory() as name:
            found.append(once(Path(name), asked.megabytes * 1_000_000))
    for part in found[0]:
        values = [one[part] for one in found]
        unit = "" if part in COUNTS else " s"
        print(f"{part:<20} median {statistics.median(values):6.3f}{unit}, worst {max(values):6.3f}{unit}")


class _Silent:
    def __init__(self, *_: object) -> None: ...

    def msg(self, *_: object, **__: object) -> None: ...

    debug = info = warning = error = msg


if __name__ == "__main__":
    main()
