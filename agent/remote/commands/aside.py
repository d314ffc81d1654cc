"""Something slow beside the desk: done in a thread of its own, and given step by step."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

LOOK_S = 0.005  # others are to be answered meanwhile

T = TypeVar("T")


class _End(Generic[T]):
    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def aside(make: Callable[[], Iterator[T]]) -> Iterator[T | None]:
    """What `make` gives, as it comes; None whenever nothing came for a moment. Raises what it raises.

    Who stops asking leaves the thread behind, which ends after what is at hand.
    """
    given: queue.SimpleQueue[T | _End[T]] = queue.SimpleQueue()
    left = threading.Event()

    def run() -> None:
        error: BaseException | None = None
        try:
            for one in make():
                if left.is_set():
                    return
                given.put(one)
        except BaseException as raised:
            error = raised
        given.put(_End(error))

    threading.Thread(target=run, name="aside", daemon=True).start()
    try:
        while True:
            try:
                one = given.get(timeout=LOOK_S)
            except queue.Empty:
                yield None
                continue
            if isinstance(one, _End):
                if one.error is not None:
                    raise one.error
                return
            yield one
    finally:
        left.set()
