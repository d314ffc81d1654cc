"""What the status page shows: the bounded, thread-safe memory of what just happened.

It listens to records, and the watch and the cameras write; the page reads snapshots. A writer never draws,
copies or encodes a picture: the board keeps references to the arrays it is given, so their
owner must not write into them afterwards. JPEGs are made when a page asks, in the page's thread.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from agent.cameras.life import CameraState, Counts
from agent.clock import Clock
from agent.contract.verdict import Verdict
from agent.line.heatmap import heatmap
from agent.line.publish import Recorded
from agent.messages import Floats, Pixels, VerdictName
from agent.status.picture import Picture, shrink
from agent.status.snapshot import (
    CameraView,
    Latency,
    LinkState,
    LinkView,
    OutboxDepth,
    OutboxReader,
    Reject,
    Serving,
    Snapshot,
    StripFrame,
)
from agent.status.stillness import Stillness
from agent.status.work import CameraWork

REJECTS = 24
REJECT_BYTES = 64 << 20  # of arrays held for all rejects; the newest one always stays
STRIP_FRAMES = 50
STRIP_BYTES = 24 << 20  # of arrays held for one camera's strip; the newest picture always stays
GAPS = 8
LATENCIES = 512
REJECT_EDGE_PX = 1600
MAX_UNJUDGED_SHARE = 0.05
STRIP_EDGE_PX = 480


@dataclass(slots=True, kw_only=True)
class _Camera:
    since_ns: int
    state: CameraState = "closed"
    detail: str = ""
    counts: Counts | None = None
    work: CameraWork = field(default_factory=CameraWork)
    strip: deque[StripFrame] = field(default_factory=lambda: deque(maxlen=STRIP_FRAMES))
    stillness: Stillness = field(default_factory=Stillness)
    pictured_ns: int | None = None
    gaps_ns: deque[int] = field(default_factory=lambda: deque(maxlen=GAPS))

    def pictured(self, verdict: Verdict, now_ns: int) -> None:
        """A picture came; a file that is shown again is the same by right."""
        if self.pictured_ns is not None:
            self.gaps_ns.append(now_ns - self.pictured_ns)
        self.pictured_ns = now_ns
        if not verdict.is_simulated:
            self.stillness.saw(verdict.frame.sha256, now_ns)


class Board:
    """Small typed writes from any thread; `snapshot` for readers."""

    def __init__(
        self,
        *,
        station: str,
        version: str,
        clock: Clock,
        max_unjudged_share: float = MAX_UNJUDGED_SHARE,
        serving: Callable[[], Serving | None] = lambda: None,
    ) -> None:
        """`max_unjudged_share` of a camera's records in a minute may be without a decision.

        `serving` is asked at every snapshot, because models, engines and precisions come and go.
        """
        self._station = station
        self._max_unjudged_share = max_unjudged_share
        self._version = version
        self._clock = clock
        self._lock = threading.Lock()
        self._started = clock.utc_now()
        self._started_ns = clock.monotonic_ns()
        self._serving = serving
        self._counts: dict[VerdictName, int] = {"pass": 0, "fail": 0, "undecided": 0, "skipped": 0}
        self._infer_ms: deque[float] = deque(maxlen=LATENCIES)
        self._recorded_ms: deque[float] = deque(maxlen=LATENCIES)
        self._cameras: dict[str, _Camera] = {}
        self._link: LinkState = "connecting"
        self._link_detail = ""
        self._link_since_ns = self._started_ns
        self._outbox = OutboxDepth(rows=0, size_bytes=0, oldest_s=0.0)
        self._troubles: dict[str, tuple[str, ...]] = {}
        self._rejects: deque[Reject] = deque(maxlen=REJECTS)

    def recorded(self, told: Recorded) -> None:
        """A record is durable: it is counted and shown, and kept with its pictures where it is no pass."""
        verdict, inspection = told.verdict, told.inspection
        self.judged(verdict, told.picture)
        if verdict.verdict == "pass" or inspection is None or told.picture is None:
            return
        self.rejected(
            verdict,
            image=told.picture,
            restored=inspection.restored,
            evidence=inspection.evidence,
            threshold=told.recipe.rules_of(verdict.camera).threshold_in(inspection.precision),
        )

    def judged(self, verdict: Verdict, image: Pixels | None) -> None:
        """A record was written; `image` is the frame or its thumbnail, None for a trigger without pixels."""
        frame = _strip_frame(verdict, image)
        timing = verdict.timing_ms
        with self._lock:
            self._counts[verdict.verdict] += 1
            if verdict.verdict != "skipped":
                self._recorded_ms.append(timing.capture_to_recorded)
            if timing.infer is not None:
                self._infer_ms.append(timing.infer)
            camera = self._camera(verdict.camera)
            now_ns = self._clock.monotonic_ns()
            camera.work.recorded(verdict, now_ns)
            if image is not None:
                camera.pictured(verdict, now_ns)
            camera.strip.append(frame)
            _let_go(camera.strip)

    def rejected(
        self,
        verdict: Verdict,
        *,
        image: Pixels,
        restored: Pixels | None,
        evidence: Floats | None,
        threshold: float,
    ) -> None:
        """Keep the pictures of a record that is not a pass; `judged` counts it.

        `evidence` is the raw anomaly map of the whole frame at any resolution, on the scale of `threshold`.
        """
        height, width = image.shape[:2]
        reject = Reject(
            verdict=verdict,
            width=width,
            height=height,
            input=_plain(image, REJECT_EDGE_PX),
            restored=None if restored is None else _plain(restored, REJECT_EDGE_PX),
            heat=None if evidence is None else _heat(image, evidence, threshold),
            size_bytes=sum(part.nbytes for part in (image, restored, evidence) if part is not None),
            evidence=evidence,
        )
        with self._lock:
            self._rejects.append(reject)
            while len(self._rejects) > 1 and sum(one.size_bytes for one in self._rejects) > REJECT_BYTES:
                self._rejects.popleft()

    def camera_state(self, name: str, state: CameraState, detail: str = "") -> None:
        """What a camera does now; `detail` says to people why."""
        with self._lock:
            camera = self._camera(name)
            if camera.state != state:
                camera.since_ns = self._clock.monotonic_ns()
            camera.state, camera.detail = state, detail

    def silent(self) -> frozenset[str]:
        """The cameras that are to give frames, and do not."""
        rests = ("streaming", "finished", "disabled")
        with self._lock:
            return frozenset(name for name, camera in self._cameras.items() if camera.state not in rests)

    def is_streaming(self, name: str) -> bool:
        """Whether a camera gives frames."""
        with self._lock:
            return name in self._cameras and self._cameras[name].state == "streaming"

    def size_of(self, name: str) -> tuple[int, int] | None:
        """Width and height that hold every frame of late that was decided; None where there was none."""
        with self._lock:
            strip = self._cameras[name].strip if name in self._cameras else ()
            decided = [one for one in strip if one.verdict.verdict in ("pass", "fail") and one.width]
        if not decided:
            return None
        return max(one.width for one in decided), max(one.height for one in decided)

    def camera_counts(self, name: str, counts: Counts) -> None:
        """What has happened to a camera since the start."""
        with self._lock:
            camera = self._camera(name)
            camera.counts = counts
            camera.work.received(counts.frames, self._clock.monotonic_ns())

    def link_state(self, state: LinkState, detail: str = "") -> None:
        """How the connection to the broker stands."""
        with self._lock:
            if self._link != state:
                self._link_since_ns = self._clock.monotonic_ns()
            self._link, self._link_detail = state, detail

    def outbox_depth(
        self, *, rows: int, size_bytes: int, oldest_s: float, readers: tuple[OutboxReader, ...] = ()
    ) -> None:
        """What waits for the broker, and for each reader; `oldest_s` is the age of the first row."""
        depth = OutboxDepth(rows=rows, size_bytes=size_bytes, oldest_s=oldest_s, readers=readers)
        with self._lock:
            self._outbox = depth

    def trouble(self, source: str, words: tuple[str, ...]) -> None:
        """What stands against one part of the station, one sentence each; empty when all is well."""
        with self._lock:
            self._troubles[source] = words

    def snapshot(self) -> Snapshot:
        """Everything at one moment; pictures in it are not encoded by this."""
        serving = self._serving()
        with self._lock:
            now_ns = self._clock.monotonic_ns()
            infer_ms, recorded_ms = list(self._infer_ms), list(self._recorded_ms)
            cameras = tuple(
                CameraView(
                    name=name,
                    state=camera.state,
                    detail=camera.detail,
                    for_s=(now_ns - camera.since_ns) / 1e9,
                    counts=camera.counts,
                    strip=tuple(reversed(camera.strip)),
                    work=camera.work.look(
                        max_unjudged_share=self._max_unjudged_share,
                        ended=camera.state == "finished",
                        now_ns=now_ns,
                    ),
                    interval_s=max(camera.gaps_ns) / 1e9 if camera.gaps_ns else None,
                    frozen_s=camera.stillness.frozen_s() if camera.state == "streaming" else None,
                )
                for name, camera in self._cameras.items()
            )
            link = LinkView(
                state=self._link, detail=self._link_detail, for_s=(now_ns - self._link_since_ns) / 1e9
            )
            counts, outbox = dict(self._counts), self._outbox
            troubles = tuple(words for source in self._troubles.values() for words in source)
            rejects = tuple(reversed(self._rejects))
        return Snapshot(
            station=self._station,
            version=self._version,
            now=self._clock.utc_now(),
            started=self._started,
            up_s=(now_ns - self._started_ns) / 1e9,
            serving=serving,
            counts=counts,
            infer=_latency(infer_ms),
            capture_to_recorded=_latency(recorded_ms),
            cameras=cameras,
            link=link,
            outbox=outbox,
            troubles=troubles,
            rejects=rejects,
        )

    def _camera(self, name: str) -> _Camera:
        return self._cameras.setdefault(name, _Camera(since_ns=self._clock.monotonic_ns()))


def _strip_frame(verdict: Verdict, image: Pixels | None) -> StripFrame:
    if image is None:
        return StripFrame(verdict=verdict, width=0, height=0, picture=None, size_bytes=0)
    height, width = image.shape[:2]
    picture = _plain(image, STRIP_EDGE_PX)
    return StripFrame(verdict=verdict, width=width, height=height, picture=picture, size_bytes=image.nbytes)


def _plain(image: Pixels, edge_px: int) -> Picture:
    return Picture(lambda: shrink(image, edge_px))


def _heat(image: Pixels, evidence: Floats, threshold: float) -> Picture:
    # Shrunk before drawing, so that the contour keeps its width.
    return Picture(lambda: heatmap(shrink(image, REJECT_EDGE_PX), evidence, threshold))


def _let_go(strip: deque[StripFrame]) -> None:
    """Of the oldest pictures; what was decided of them stays."""
    over = sum(one.size_bytes for one in strip) - STRIP_BYTES
    for place, one in enumerate(strip):
        if over <= 0 or place == len(strip) - 1:
            return
        if one.picture is not None:
            strip[place] = replace(one, picture=None, size_bytes=0, is_let_go=True)
            over -= one.size_bytes


def _latency(values_ms: list[float]) -> Latency:
    """Nearest-rank percentiles."""
    ordered = sorted(values_ms)
    count = len(ordered)
    if count == 0:
        return Latency(count=0, p50_ms=None, p99_ms=None)
    return Latency(count=count, p50_ms=ordered[(count - 1) // 2], p99_ms=ordered[-(-count * 99 // 100) - 1])
