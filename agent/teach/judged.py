"""How a picture is judged while it is taught: as the line would, by the bundle and engine in force."""

from __future__ import annotations

from agent.bundle.bundle import Bundle
from agent.clock import Clock
from agent.engines.engine import Engine
from agent.line.infer import infer
from agent.line.prepare import prepare
from agent.messages import Frame, Pixels
from agent.teach.flow import Judge


def judge_by(bundle: Bundle, engine: Engine, clock: Clock) -> Judge:
    """The raw score of a picture by an open bundle and its engine; it may raise PrepareError."""

    def score(image: Pixels) -> float:
        frame = Frame(camera="", frame_id=0, image=image, captured_ns=0, captured_at=clock.utc_now())
        seen = infer(prepare(frame, bundle.manifest.input, clock), engine, clock, restored=False)
        return float(seen.scores.max())

    return score
