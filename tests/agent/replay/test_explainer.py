"""One explanation at a time, for whoever asks again until it is there."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from agent.contract.commands import NotDoneError
from agent.errors import PlumblineError
from agent.explain.document import Explanation
from agent.replay.explainer import KEPT, Explainer
from tests.agent.explain.samples import explanation


class Slow:
    """Explains when it may, and counts."""

    def __init__(self) -> None:
        self.may = threading.Event()
        self.asked: list[str] = []
        self.fault: Exception | None = None

    def __call__(self, result_id: str) -> Explanation:
        self.asked.append(result_id)
        self.may.wait(30)
        if self.fault is not None:
            raise self.fault
        return explanation(result_id)


def done(ask: Callable[[], dict[str, object]]) -> dict[str, object]:
    while (told := ask())["state"] == "working":
        pass
    return told


def test_who_asks_is_told_that_it_works_and_gets_it_when_it_is_done() -> None:
    slow = Slow()
    explainer = Explainer(slow, patience_s=0.01)
    assert explainer.ask("one") == {"state": "working"}
    assert explainer.ask("one") == {"state": "working"}
    slow.may.set()
    told = done(lambda: explainer.ask("one"))
    assert told["explained"] == explanation("one").model_dump(mode="json", by_alias=True)
    assert explainer.ask("one") == told and slow.asked == ["one"]


def test_another_one_is_refused_meanwhile_and_taken_afterwards() -> None:
    slow = Slow()
    explainer = Explainer(slow, patience_s=0.01)
    explainer.ask("one")
    with pytest.raises(NotDoneError, match="another result is being explained"):
        explainer.ask("two")
    slow.may.set()
    done(lambda: explainer.ask("one"))
    assert done(lambda: explainer.ask("two"))["state"] == "done"


@pytest.mark.parametrize(
    ("fault", "words"),
    [(PlumblineError("no such bundle"), "no such bundle"), (OSError("gone"), "it ended by OSError: gone")],
)
def test_what_stands_against_it_is_said_once_and_then_it_is_tried_anew(fault: Exception, words: str) -> None:
    slow = Slow()
    slow.may.set()
    slow.fault = fault
    explainer = Explainer(slow)
    with pytest.raises(PlumblineError, match=words):
        done(lambda: explainer.ask("one"))
    slow.fault = None
    assert done(lambda: explainer.ask("one"))["state"] == "done"
    assert slow.asked == ["one", "one"]


def test_only_the_last_ones_are_kept() -> None:
    slow = Slow()
    slow.may.set()
    explainer = Explainer(slow)
    for number in range(KEPT + 1):
        done(lambda number=number: explainer.ask(str(number)))  # type: ignore[misc]
    done(lambda: explainer.ask("0"))
    done(lambda: explainer.ask(str(KEPT)))
    assert slow.asked == [*map(str, range(KEPT + 1)), "0"]
