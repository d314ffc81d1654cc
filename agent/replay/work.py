"""What the replay process does, from its order to the one line that it says."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from agent import logs
from agent.clock import SystemClock
from agent.errors import PlumblineError
from agent.foreign import stored
from agent.replay.again import Order, replay
from agent.replay.document import Answer
from agent.replay.why import explain
from agent.settings.settings import Logs, Settings


def main() -> None:
    """Answer the order on standard input."""
    ours = os.dup(1)
    os.dup2(2, 1)  # runtimes print what they like
    logs.configure(Logs(level="error", format="json"))
    try:
        order = Order.model_validate_json(sys.stdin.buffer.read(), strict=True)
        answer = _answered(order)
    except PlumblineError as error:
        answer = Answer(problem=stored(str(error))[:2000])
    except Exception as error:  # the last line of defence: the other side has to hear it
        answer = Answer(problem=stored(f"it ended by {type(error).__name__}: {error}")[:2000])
    with os.fdopen(ours, "wb") as out:
        out.write(answer.model_dump_json(by_alias=True).encode())


def _answered(order: Order) -> Answer:
    if order.task == "replay":
        return Answer(replayed=replay(order, SystemClock()))
    wanted = Settings.model_validate_json(json.dumps(order.settings), strict=True)
    bundle = None if order.bundle is None else Path(order.bundle)
    return Answer(explained=explain(wanted, order.result_id or "", bundle, SystemClock()))
