"""Decisions made once more beside a running line, for the page and for commands alike: one at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeAlias

from agent.contract.commands import NotDoneError
from agent.line.way import RightOfWay
from agent.replay.again import Order, order_of
from agent.replay.apart import replay_apart
from agent.replay.document import Replayed
from agent.replay.told import ReplayError
from agent.settings.settings import Settings

Apart: TypeAlias = Callable[[Order, RightOfWay], Replayed]


def _apart(order: Order, way: RightOfWay) -> Replayed:
    return replay_apart(order, way=way)


class Beside:
    """By the settings in force, giving way to the lines of `way`. Safe from any thread."""

    def __init__(self, settings: Callable[[], Settings], way: RightOfWay, apart: Apart = _apart) -> None:
        self._settings = settings
        self._way = way
        self._apart = apart
        self._busy = threading.Lock()

    def __call__(self, result_id: str) -> dict[str, Any]:
        """`plumbline.replay/1` of an archived record; takes seconds. Raises NotDoneError."""
        if not self._busy.acquire(blocking=False):
            raise NotDoneError("occupied", "another decision is being made once more; ask again after that")
        try:
            found = self._apart(order_of(self._settings(), result_id=result_id), self._way)
        except ReplayError as error:
            raise NotDoneError("impossible", str(error)) from error
        finally:
            self._busy.release()
        return found.model_dump(mode="json", by_alias=True)
