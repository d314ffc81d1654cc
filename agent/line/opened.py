"""Bundles that are open beside each other, each verified, trusted and with engines of its own.

A bundle stays open as long as somebody keeps it (`open` until `drop`), a recipe names it or a line judges by
it; then it is closed. What would take more memory than the settings allow is not opened: nothing that is in
use makes room.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from agent.bundle.bundle import MODEL, Bundle, open_bundle
from agent.bundle.trust import require_trusted
from agent.engines.choice import Machine
from agent.engines.engine import BATCHES, EngineError
from agent.engines.serving import Serving, make_serving
from agent.engines.switch import Switch
from agent.errors import PlumblineError
from agent.foreign import shown
from agent.settings import settings

log = structlog.get_logger()

LOOK_EVERY_S = 0.5
# A bundle took 236 MB with OpenVINO and 260 MB with ONNX Runtime: kernels stored in 10 MB, nets of 256 px.
WEIGHT_COPIES = 4  # of what is stored, by halves: in float32 and in the runtime's own layout, beside the file
BYTES_PER_PIXEL = 768  # of what lies between the layers of a net, for each pixel of the largest batch


class NoRoomError(PlumblineError):
    """One more bundle would take more memory than the settings allow; says what is open."""


class NotOpenError(PlumblineError):
    """A bundle that is to judge is not open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedBundle:
    """A bundle, its engines behind one switch, and who looks after them."""

    bundle: Bundle
    engine: Switch
    serving: Serving
    stop: threading.Event = field(default_factory=threading.Event)  # of its `serving`

    @property
    def sha256(self) -> str:
        return self.bundle.sha256


def estimated_bytes(bundle: Bundle) -> int:
    """About what it takes in memory while it is open: files, weights and the largest batch."""
    files = sum(len(data) for data in bundle.files.values())
    pixels = max(BATCHES) * bundle.manifest.input.tile_px**2
    return files + WEIGHT_COPIES * len(bundle.files[MODEL]) + BYTES_PER_PIXEL * pixels


def check_room(bundle: Bundle, there: Sequence[Bundle], max_bytes: int) -> None:
    """Raises NoRoomError when one more bundle, beside those that are open, takes more than `max_bytes`."""
    taken, wanted = sum(map(estimated_bytes, there)), estimated_bytes(bundle)
    if there and taken + wanted > max_bytes:
        names = ", ".join(f"{one.manifest.name} ({one.sha256[:12]})" for one in there)
        raise NoRoomError(
            f"{shown(str(bundle.path))}: takes about {wanted} bytes of memory, and {taken} of {max_bytes} "
            f"are taken by {names}; raise engine.open_bundles_max_bytes, or have fewer bundles open"
        )


class OpenedBundles:
    """All that are open in one run of the agent; `run` is a member of its crew, the rest for any thread."""

    def __init__(
        self,
        *,
        trust: settings.Trust,
        engine: settings.Engine,
        cache: Path,
        machine: Machine,
        named: Callable[[], Collection[str]],
    ) -> None:
        """`named` gives the digests of bundles that recipes name or lines judge by."""
        self._trust = trust
        self._engine = engine
        self._cache = cache
        self._machine = machine
        self._named = named
        self._opening = threading.Lock()  # one after the other, or two take the room of one
        self._lock = threading.RLock()  # over what follows
        self._open: dict[str, OpenedBundle] = {}
        self._kept: set[str] = set()
        self._threads: dict[str, threading.Thread] = {}
        self._failed: Counter[str] = Counter()  # engines of bundles that are closed by now
        self._failure: BaseException | None = None
        self._runs = self._closed = False

    @property
    def failed(self) -> Mapping[str, int]:
        """How often each engine failed, over all bundles since the start."""
        with self._lock:
            return sum((Counter(one.serving.failed) for one in self._open.values()), +self._failed)

    def open(self, path: Path) -> OpenedBundle:
        """The bundle at `path`, its best engine that is ready serving; kept until `drop`.

        Takes seconds, and touches nothing that is open. Raises BundleError, NotTrusted or EngineError, which
        say what is wrong, and NoRoomError.
        """
        with self._opening:
            bundle = open_bundle(path)
            require_trusted(bundle, self._trust)
            with self._lock:
                self._kept.add(bundle.sha256)
                if (there := self._open.get(bundle.sha256)) is not None:
                    return there
                there_are = [one.bundle for one in self._open.values()]
            try:
                check_room(bundle, there_are, self._engine.open_bundles_max_bytes)
                opened = self._with_engine(bundle)
            except BaseException:
                self.drop(bundle.sha256)
                raise
            with self._lock:
                if not self._closed:
                    self._open[bundle.sha256] = opened
                    if self._runs:
                        self._start(opened)
                    log.info("bundle_opened", bundle=bundle.manifest.name, sha256=bundle.sha256[:12])
                    return opened
            opened.engine.close()
            raise EngineError("the agent stops")

    def keep(self, sha256: str) -> bool:
        """Whether it is open; it then stays so until `drop`, as if it had been opened now."""
        with self._lock:
            if sha256 not in self._open:
                return False
            self._kept.add(sha256)
            return True

    def drop(self, sha256: str) -> None:
        """Nobody keeps it any more: it is closed as soon as no line judges by it and no recipe names it."""
        with self._lock:
            self._kept.discard(sha256)

    @contextmanager
    def held(self) -> Iterator[Mapping[str, OpenedBundle]]:
        """What is open, by digest; none of it is closed in the block."""
        with self._lock:
            yield self._open

    def run(self, stop: threading.Event) -> None:
        """Until told to stop: each bundle's engines are looked after, and what nobody needs is closed."""
        with self._lock:
            self._runs = True
            for one in self._open.values():
                self._start(one)
        try:
            while not stop.wait(LOOK_EVERY_S):
                if self._failure is not None:
                    raise self._failure
                self.close_unused()
        finally:
            with self._lock:
                self._runs = False
                for one in self._open.values():
                    one.stop.set()
                threads = list(self._threads.values())
            for thread in threads:
                thread.join()

    def close_unused(self) -> None:
        """Close what nobody keeps, no recipe names and no line judges by."""
        with self._lock:
            needed = {*self._kept, *self._named()}
            unused = [one for sha256, one in self._open.items() if sha256 not in needed]
            for one in unused:
                del self._open[one.sha256]
        for one in unused:
            self._close(one)
            log.info("bundle_closed", bundle=one.bundle.manifest.name, sha256=one.sha256[:12])

    def close(self) -> None:
        """All of them, for good."""
        with self._lock:
            self._closed = True
            ending = list(self._open.values())
        for one in ending:
            self._close(one)

    def _close(self, one: OpenedBundle) -> None:
        """Its thread first, which would put another engine in place."""
        one.stop.set()
        with self._lock:
            thread = self._threads.pop(one.sha256, None)
        if thread is not None:
            thread.join()
        with self._lock:
            self._failed.update(one.serving.failed)
        one.engine.close()

    def _start(self, one: OpenedBundle) -> None:
        def serve() -> None:
            try:
                one.serving.run(one.stop)
            except BaseException as error:
                self._failure = error  # for the crew, by `run`

        thread = threading.Thread(target=serve, name=f"engine-{one.sha256[:8]}", daemon=True)
        self._threads[one.sha256] = thread
        thread.start()

    def _with_engine(self, bundle: Bundle) -> OpenedBundle:
        engine = Switch()
        serving = make_serving(bundle, self._engine, self._machine, folder=self._cache, switch=engine)
        serving.open_first()
        return OpenedBundle(bundle=bundle, engine=engine, serving=serving)
