"""Settings are looked at in a process of their own: a share that hangs, or a broker, holds up nobody.

What they name is opened there, and a new broker is tried. The process is ended when it takes too long,
and what it was at is told.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import TypeAlias

from agent.foreign import shown
from agent.remote.settings.desired import Flaw
from agent.remote.settings.preflight import tried
from agent.settings.problems import dotted
from agent.settings.settings import Settings
from agent.settings.shape import Keys

LOOK_S = 120.0
START_S = 60.0  # on a busy machine
END_S = 5.0  # a disk that hangs holds even a killed process
DIE_WITH_PARENT = 1  # prctl(2), PR_SET_PDEATHSIG

Look: TypeAlias = Callable[[Settings, Callable[[Keys], bool]], Iterable[tuple[Keys, str]]]


class HungError(Exception):
    """It took too long and was ended; says what it was at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """`look`, a function of a module, finds what settings name and is not good here, at keys that it is told
    to look at; `client_id` tries the broker in place of the one before, None does not.
    """

    look: Look
    wanted: Settings
    keys: tuple[Keys, ...]
    client_id: str | None


def looked(order: Order, timeout_s: float = LOOK_S) -> list[Flaw]:
    """What speaks against them. Raises HungError."""
    context = multiprocessing.get_context("spawn")  # a fork would copy locks that other threads hold
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(theirs, order), name="plumbline-settings", daemon=True)
    process.start()
    theirs.close()
    try:
        return _heard(ours, timeout_s)
    finally:
        process.kill()
        process.join(END_S)
        ours.close()


def _heard(messages: Connection, timeout_s: float) -> list[Flaw]:
    ends, at, found = time.monotonic() + START_S, "its start", list[Flaw]()
    while messages.poll(max(0.0, ends - time.monotonic())):
        try:
            said = messages.recv()
        except EOFError:
            return [*found, Flaw(message=f"the process that looked at them died at {at}; try it again")]
        match said:
            case Flaw():
                found.append(said)
            case str():
                ends = ends if at != "its start" else time.monotonic() + timeout_s
                at = said
            case None:
                return found
    raise HungError(f"looking at them took longer than {timeout_s:.0f} s at {at}, and was ended")


def _work(messages: Connection, order: Order) -> None:
    ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the agent's to hear

    def is_wanted(at: Keys) -> bool:
        is_one = is_touched(at, order.keys)
        if is_one:
            messages.send(dotted(at))
        return is_one

    is_good = True
    messages.send("its settings")
    try:
        for place, words in order.look(order.wanted, is_wanted):
            is_good = False
            messages.send(Flaw(path=dotted(place), message=words))
        if is_good and order.client_id is not None:
            messages.send("mqtt")
            _, refused = tried(order.wanted.mqtt, order.client_id)
            if refused is not None:
                messages.send(Flaw(path="mqtt", message=f"the new broker does not let us in: {refused}"))
    except Exception as error:  # a driver raises what it likes
        messages.send(Flaw(message=f"{type(error).__name__}: {shown(str(error))}"))
    messages.send(None)


def is_touched(at: Keys, keys: Sequence[Keys]) -> bool:
    """Whether a change at one of `keys` is one of what stands there."""
    return any(at[: len(one)] == one or one[: len(at)] == at for one in keys)
