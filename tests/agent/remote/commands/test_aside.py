"""What is slow is done beside, and given as it comes, with moments in between."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from agent.remote.commands.aside import aside
from tests.brokers import eventually


def test_what_it_gives_comes_in_order_and_moments_between() -> None:
    go_on = threading.Event()

    def slow() -> Iterator[int]:
        yield 1
        go_on.wait()
        yield 2

    given = aside(slow)
    assert next(one for one in given if one is not None) == 1
    assert next(given) is None
    go_on.set()
    assert [one for one in given if one is not None] == [2]


def test_what_it_raises_is_raised() -> None:
    def fails() -> Iterator[int]:
        yield 1
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        list(aside(fails))


def test_who_is_left_behind_ends_after_what_is_at_hand() -> None:
    done: list[int] = []

    def counts() -> Iterator[int]:
        for number in range(10**9):
            done.append(number)
            yield number

    given = aside(counts)
    assert next(one for one in given if one is not None) == 0
    given.close()  # type: ignore[attr-defined]
    before = len(done)
    eventually(lambda: not any(one.name == "aside" for one in threading.enumerate()), "it has ended")
    assert len(done) < before + 10**6
