"""A bundle with a file of any size, and somebody who fetches it into a depot."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agent.bundle.bundle import Bundle, with_digests, write_bundle
from agent.clock import Clock, SystemClock
from agent.contract import desired
from agent.contract.desired import Target
from agent.remote.rollout.depot import Depot
from agent.remote.transport.chunks import ChunkLink
from agent.remote.transport.fetch import Fetcher, Order, Progress, Ways
from agent.settings.remote import Download
from tests.agent.engines.small_bundle import small_files, small_manifest

MORE = "weights/more.bin"


def write_goods(path: Path, size: int, *, counter: int = 1, signature: bytes | None = b"{}") -> Target:
    """A bundle that has `size` random bytes more than it needs."""
    files = {**small_files(), MORE: random.Random(size).randbytes(size)}
    manifest = with_digests(small_manifest(files).model_copy(update={"counter": counter}), files)
    write_bundle(path, manifest, files, signature)
    return target_of(path)


def target_of(path: Path) -> Target:
    content = (path / "manifest.yaml").read_bytes()
    return Target(
        id="small", sha256=hashlib.sha256(content).hexdigest(), size_bytes=sum(sizes(path).values())
    )


def sizes(path: Path) -> dict[str, int]:
    return {one.relative_to(path).as_posix(): one.stat().st_size for one in path.rglob("*") if one.is_file()}


@dataclass(kw_only=True)
class Wanting:
    """Fetches into a depot of its own, and remembers what it was told."""

    folder: Path
    https: Download = field(default_factory=Download)
    link: ChunkLink | None = None
    clock: Clock = field(default_factory=SystemClock)
    trusted: Callable[[Bundle], None] = lambda bundle: None
    kept_free: int = 0
    told: list[Progress] = field(default_factory=list)
    heed: Callable[[Progress], None] = lambda progress: None
    is_cancelled: Callable[[], bool] = lambda: False

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)

    @property
    def depot(self) -> Depot:
        return Depot(folder=self.folder)

    def fetch(
        self,
        target: Target,
        *sources: desired.Source,
        time_left_s: float = 3600.0,
        base: Path | None = None,
    ) -> Bundle:
        """The candidate, whole."""
        fetcher = Fetcher(
            depot=self.depot,
            ways=Ways(https=self.https, chunks=self.link),
            trusted=self.trusted,
            kept_free=self.kept_free,
            clock=self.clock,
            rng=random.Random(1),
        )
        order = Order(target=target, sources=tuple(sources), base=base)
        fetcher(order, progress=self._hear, cancelled=lambda: self.is_cancelled(), time_left_s=time_left_s)
        return self.depot.open_candidate(target.sha256)

    def troubles(self) -> list[str]:
        return [one.trouble for one in self.told if one.trouble is not None]

    def _hear(self, progress: Progress) -> None:
        self.told.append(progress)
        self.heed(progress)


def folder_source(path: Path) -> desired.FolderSource:
    return desired.FolderSource(kind="folder", path=str(path))


def web_source(url: str) -> desired.HttpsSource:
    return desired.HttpsSource(kind="https", url=url)


def broker_source() -> desired.MqttSource:
    return desired.MqttSource(kind="mqtt")


def same(found: Path, source: Path, but: Sequence[str] = ()) -> bool:
    """Whether two bundles have the same files, byte for byte."""
    names = [name for name in sizes(source) if name not in but]
    return sorted(sizes(found)) == sorted(names) and all(
        (found / name).read_bytes() == (source / name).read_bytes() for name in names
    )


def stop_at(seconds_of: Clock, seconds: float) -> Callable[[], bool]:
    """Cancelled once a clock has moved so far."""
    end_ns = seconds_of.monotonic_ns() + round(seconds * 1e9)
    return lambda: seconds_of.monotonic_ns() > end_ns
