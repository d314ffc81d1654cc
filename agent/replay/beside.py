"""Decisions made once more, or explained, beside a running line: for page and commands, one at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

from agent.contract.commands import NotDoneError
from agent.explain.document import Explanation
from agent.line.way import RightOfWay
from agent.replay.again import Order, order_of
from agent.replay.apart import explain_apart, replay_apart
from agent.replay.document import Replayed
from agent.replay.told import ReplayError
from agent.settings.settings import Settings

Task: TypeAlias = Literal["replay", "explain"]
Apart: TypeAlias = Callable[[Order, RightOfWay], Replayed | Explanation]


def _apart(order: Order, way: RightOfWay) -> Replayed | Explanation:
    return explain_apart(order, way=way) if order.task == "explain" else replay_apart(order, way=way)


class Beside:
    """By the settings in force, giving way to the lines of `way`. Safe from any thread."""

    def __init__(self, settings: Callable[[], Settings], way: RightOfWay, apart: Apart = _apart) -> None:
        self._settings = settings
        self._way = way
        self._apart = apart
        self._busy = threading.Lock()

    def replay(self, result_id: str) -> dict[str, Any]:
        """`plumbline.replay/1` of an archived record; takes seconds. Raises NotDoneError."""
        return self._do("replay", result_id)

    def explain(self, result_id: str) -> dict[str, Any]:
        """`plumbline.explained/1` of one; as `replay` in everything else."""
        return self._do("explain", result_id)

    def _do(self, task: Task, result_id: str) -> dict[str, Any]:
        if not self._busy.acquire(blocking=False):
            raise NotDoneError("occupied", "another decision is being looked at; ask again after that")
        try:
            found = self._apart(order_of(self._settings(), result_id=result_id, task=task), self._way)
        except ReplayError as error:
            raise NotDoneError("impossible", str(error)) from error
        finally:
            self._busy.release()
        return found.model_dump(mode="json", by_alias=True)
