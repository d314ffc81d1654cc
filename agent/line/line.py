"""The main loop. `Line.step` is the product: capture -> prepare -> infer -> judge -> publish."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import replace

import structlog

from agent.bundle.bundle import InputSpec
from agent.clock import Clock
from agent.contract.verdict import Verdict
from agent.engines.engine import Engine
from agent.line.capture import Capture, without_picture
from agent.line.drift import Drift
from agent.line.infer import infer
from agent.line.judge import Rules, find_regions, judge
from agent.line.prepare import PrepareError, prepare
from agent.line.publish import Judged, Publisher
from agent.line.spans import Spans, Window
from agent.line.taught import Taught
from agent.messages import Frame, FrameFault, Judgement

log = structlog.get_logger()

PATIENCE_S = 0.5
HOLD_S = 10.0  # a window with an open defect waits for the next one; a belt that stands may take hours


class Line:
    """One camera's frames to records, in order; it never touches the network or waits for it.

    With `spans` windows of an endless web wait for the defects that they name (`agent/line/spans.py`).
    """

    def __init__(
        self,
        *,
        capture: Capture,
        spec: InputSpec,
        engine: Engine,
        rules: Rules,
        publisher: Publisher,
        clock: Clock,
        spans: Spans[Judged] | None = None,
        drift: Drift | None = None,
        taught: Taught | None = None,
        restored: bool = True,
    ) -> None:
        """`restored` False leaves restorations on the engine's device: nobody will look at them."""
        self._capture = capture
        self._spec = spec
        self._engine = engine
        self._rules = rules
        self._publisher = publisher
        self._clock = clock
        self._spans = spans
        self._drift = drift
        self._taught = taught
        self._taken_ns = 0
        self._restored = restored

    def step(self) -> Verdict | None:
        """One trigger, one record; None when there was no trigger for a while, or its record waits."""
        frame = self._capture.take(PATIENCE_S)  # capture
        if frame is None:
            return self._release() if self._has_waited() else None
        if isinstance(frame, FrameFault):
            self._release()
            return self._publisher.record_skipped(frame)
        self._taken_ns = self._clock.monotonic_ns()
        try:
            prepared = prepare(frame, self._spec, self._clock)
            inspection = infer(prepared, self._engine, self._clock, restored=self._restored)
        except Exception as error:  # runtimes raise what they like; one bad frame must not end the line
            reason = "camera_error" if isinstance(error, PrepareError) else "engine_error"
            log.warning("frame_not_judged", camera=frame.camera, frame=frame.frame_id, error=str(error))
            self._release()
            return self._publisher.record_undecided(frame, reason, str(error))
        judged = Judged(
            frame=frame,
            taken_ns=self._taken_ns,
            prepared=prepared,
            inspection=inspection,
            judgement=judge(frame, inspection, self._rules),
            judged_ns=self._clock.monotonic_ns(),
        )
        if self._taught is not None:
            self._taught.see(inspection.evidence, judged.judgement.threshold)
        if self._drift is not None and judged.judgement.verdict == "pass":
            self._drift.see(frame.image)
        if self._spans is None:
            return self._publisher.record(judged)
        return self._record(self._spans.push(self._window(judged)))

    def _window(self, judged: Judged) -> Window[Judged]:
        return Window(
            first_line=judged.frame.first_line,
            lines=len(judged.frame.image),
            judgement=judged.judgement,
            regions=find_regions(judged.frame, judged.inspection, self._rules),
            content=judged,
        )

    def _record(self, released: Iterable[tuple[Judged, Judgement]]) -> Verdict | None:
        """The last record made of windows that wait no longer."""
        verdict = None
        for judged, judgement in released:
            verdict = self._publisher.record(replace(judged, judgement=judgement))
        return verdict

    def _release(self) -> Verdict | None:
        return None if self._spans is None else self._record(self._spans.flush())

    def _has_waited(self) -> bool:
        return self._clock.monotonic_ns() - self._taken_ns > HOLD_S * 1e9

    def run(self, stop: threading.Event) -> None:
        """Step until told to stop, or until a finite camera's last frame is recorded.

        What waits when told to stop is recorded as skipped, until the camera has closed the ring.
        """
        while not stop.is_set():
            if self.step() is None and self._capture.is_finished():
                self._release()
                return
        self._release()
        while not self._capture.is_finished():
            waiting = self._capture.take(PATIENCE_S)
            if isinstance(waiting, Frame):
                waiting = without_picture(
                    waiting,
                    "stopped",
                    "the agent was stopped before this frame's turn; inspect the part again",
                )
            if waiting is not None:
                self._publisher.record_skipped(waiting)
