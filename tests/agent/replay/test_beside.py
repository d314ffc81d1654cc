"""Decisions are made once more beside a running line one at a time, and what cannot be is said in words."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from agent.contract.commands import NotDoneError
from agent.explain.document import Explanation
from agent.line.way import RightOfWay
from agent.replay.again import Order
from agent.replay.beside import Beside
from agent.replay.document import Replayed
from agent.replay.told import ReplayError
from agent.settings.settings import Settings
from tests.agent.explain.samples import explanation

FOUND = Replayed(
    result_id="r",
    camera="top",
    created="2026-01-01T00:00:00Z",
    engine_then="onnxruntime-f32",
    engine_now="onnxruntime-f32",
    digests=(),
    rows=(),
    reproduced=True,
)


def settings(tmp_path: Path) -> Settings:
    camera = {"name": "top", "source": {"kind": "folder", "path": str(tmp_path)}}
    return Settings.model_validate({"cameras": [camera]})


def test_the_document_of_a_decision_that_was_made_once_more(tmp_path: Path) -> None:
    orders: list[Order] = []

    def apart(order: Order, way: RightOfWay) -> Replayed:
        orders.append(order)
        return FOUND

    found = Beside(lambda: settings(tmp_path), RightOfWay(), apart).replay("r")
    assert (found["schema"], found["reproduced"]) == ("plumbline.replay/1", True)
    assert [(one.result_id, one.task) for one in orders] == [("r", "replay")]


def test_the_document_of_one_that_was_explained(tmp_path: Path) -> None:
    def apart(order: Order, way: RightOfWay) -> Explanation:
        assert order.task == "explain"
        return explanation(order.result_id or "")

    found = Beside(lambda: settings(tmp_path), RightOfWay(), apart).explain("r")
    assert (found["schema"], found["result_id"]) == ("plumbline.explained/1", "r")


def test_a_second_one_waits_for_the_first_and_what_failed_holds_nobody_up(tmp_path: Path) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def apart(order: Order, way: RightOfWay) -> Replayed:
        begun.set()
        may_end.wait()
        raise ReplayError("its bundle is not here any more; install it again")

    beside = Beside(lambda: settings(tmp_path), RightOfWay(), apart)
    said: list[str] = []

    def first() -> None:
        with pytest.raises(NotDoneError) as refused:
            beside.replay("r")
        said.append(str(refused.value))

    thread = threading.Thread(target=first)
    thread.start()
    begun.wait()
    with pytest.raises(NotDoneError, match="ask again after that") as refused:
        beside.explain("s")
    assert refused.value.kind == "occupied"
    may_end.set()
    thread.join()
    assert said == ["its bundle is not here any more; install it again"]
    with pytest.raises(NotDoneError, match="install it again") as failed:
        beside.replay("s")
    assert failed.value.kind == "impossible"
