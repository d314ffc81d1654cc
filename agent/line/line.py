"""The main loop. `Line.step` is the product: capture -> prepare -> infer -> judge -> publish."""

from __future__ import annotations

import threading

import structlog

from agent.bundle import InputSpec
from agent.clock import Clock
from agent.engines.engine import Engine
from agent.line.capture import Capture, without_picture
from agent.line.infer import infer
from agent.line.judge import Rules, judge
from agent.line.prepare import PrepareError, prepare
from agent.line.publish import Judged, Publisher
from agent.messages import Frame, FrameFault, Verdict

log = structlog.get_logger()

PATIENCE_S = 0.5


class Line:
    """One camera's frames to records, in order; it never touches the network or waits for it."""

    def __init__(
        self,
        *,
        capture: Capture,
        spec: InputSpec,
        engine: Engine,
        rules: Rules,
        publisher: Publisher,
        clock: Clock,
        restored: bool = True,
    ) -> None:
        """`restored` False leaves restorations on the engine's device: nobody will look at them."""
        self._capture = capture
        self._spec = spec
        self._engine = engine
        self._rules = rules
        self._publisher = publisher
        self._clock = clock
        self._restored = restored

    def step(self) -> Verdict | None:
        """One trigger, one record; None when there was no trigger for a while."""
        frame = self._capture.take(PATIENCE_S)  # capture
        if frame is None:
            return None
        if isinstance(frame, FrameFault):
            return self._publisher.record_skipped(frame)
        taken_ns = self._clock.monotonic_ns()
        try:
            prepared = prepare(frame, self._spec, self._clock)
            inspection = infer(prepared, self._engine, self._clock, restored=self._restored)
        except Exception as error:  # runtimes raise what they like; one bad frame must not end the line
            reason = "camera_error" if isinstance(error, PrepareError) else "engine_error"
            log.warning("frame_not_judged", camera=frame.camera, frame=frame.frame_id, error=str(error))
            return self._publisher.record_undecided(frame, reason, str(error))
        judgement = judge(frame, inspection, self._rules)
        return self._publisher.record(
            Judged(
                frame=frame,
                taken_ns=taken_ns,
                prepared=prepared,
                inspection=inspection,
                judgement=judgement,
                judged_ns=self._clock.monotonic_ns(),
            )
        )

    def run(self, stop: threading.Event) -> None:
        """Step until told to stop, or until a finite camera's last frame is recorded.

        What waits when told to stop is recorded as skipped, until the camera has closed the ring.
        """
        while not stop.is_set():
            if self.step() is None and self._capture.is_finished():
                return
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
