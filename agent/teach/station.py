"""Own parts taught at a running station: one flow at a time, for whoever stands at the page.

What is asked for is done by `steps.py` as far as no person is needed, also after the agent was killed;
nothing comes into force before somebody says so.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import structlog
from pydantic import JsonValue

from agent.contract.commands import NotDoneError, RefusalKind
from agent.errors import PlumblineError
from agent.foreign import shown
from agent.messages import Pixels
from agent.page.sources import TaughtBy, TaughtFrom
from agent.remote.changes import ChangeFile, Outcome
from agent.settings.settings import Settings
from agent.teach import look
from agent.teach.current import CURRENT, Current, Last
from agent.teach.flow import Flow, LookedAtError
from agent.teach.own import OwnBundles
from agent.teach.state import CancelledError, State, Step, Told
from agent.teach.steps import Steps
from agent.teach.threshold import ThresholdError, check_target

FOLDER = "teach"  # beside the outbox
LOOK_S = 0.25
NICENESS = 19  # of the thread: the line comes first
MINUTES_OF_TRAINING = 30.0
TAKEN_OUT = (
    "the agent ended while the trained bundle came into force, and judge.threshold, which was {:.5g}, is "
    "taken out: activate again, or set it again if the bundle before is to stay"
)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Doing:
    """What goes on, or how it ended; `change` grows with each change of what lies on the disk."""

    product: str = ""
    who: str = ""
    runs: bool = False
    step: Step = "collect"
    done: int = 0
    of: int = 0
    words: str = ""
    problem: str = ""
    change: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    product: str
    who: str
    onto: str | None = None  # activate, while these settings are in force


class Teaching:
    """`run` belongs to a thread of its own; the rest is safe from any, and raises NotDoneError."""

    def __init__(
        self,
        folder: Path,
        *,
        steps: Steps,
        own: OwnBundles,
        settings: Callable[[], Settings],
        changes: ChangeFile | None,
    ) -> None:
        """`folder` has one for each product."""
        self._folder = folder
        self._current = Current(folder / CURRENT)
        self._steps = steps
        self._own = own
        self._settings = settings
        self._changes = changes
        self._adopting: str | None = None  # the transaction
        self._turn = threading.Condition()
        self._asked: _Asked | None = None
        self._cancelled = False
        self._doing = Doing()

    def told(self) -> dict[str, JsonValue]:
        """How far it is; asks no disk."""
        return asdict(self._doing)

    def begin(
        self,
        product: str,
        source: TaughtFrom,
        camera: str,
        parts: int,
        target: float,
        who: str,
        *,
        preset: TaughtBy = "",
        minutes: float = MINUTES_OF_TRAINING,
    ) -> None:
        """Have a product taught, or go on with it; then on to what a person has to do.

        With a `preset` a bundle of its own is trained.
        """
        wanted = State(
            product=product,
            source=source,
            camera=camera,
            wanted=parts,
            target=target,
            preset=preset,
            minutes=minutes,
        )
        with self._turn:
            self._require_rest()
            if preset and (why := self._own.why_not()) is not None:
                raise NotDoneError("impossible", why)
            try:
                check_target(target)
            except ThresholdError as error:
                raise NotDoneError("bad_arguments", str(error)) from None
            with _refused():
                state = Flow(self._folder / product).open(wanted)
            self._ask(_Asked(product=product, who=who), state.step)
        told = {"product": product, "source": source, "camera": camera, "parts": parts, "target": target}
        self._note(who, "teach_begin", {**told, "preset": preset, "minutes": minutes} if preset else told)

    def go_on(self, who: str) -> None:
        """As far as no person is needed."""
        with self._turn:
            self._require_rest()
            state = self._state()
            self._ask(_Asked(product=state.product, who=who), state.step)

    def activate(self, onto: str, who: str) -> None:
        """Have it in force, while the settings with digest `onto` are; of a threshold the desk records it."""
        with self._turn:
            self._require_rest()
            state = self._state()
            if state.step != "activate":
                raise NotDoneError("impossible", f"next is {state.step}; go on as far as the threshold first")
            self._ask(_Asked(product=state.product, who=who, onto=onto), state.step)
        if state.trained:
            told = {"product": state.product, "sha256": state.trained["sha256"]}
            self._note(who, "teach_activate", told, outcome="begun")

    def cancel(self, who: str) -> None:
        """Stop what goes on; it can be gone on with."""
        with self._turn:
            if not self._doing.runs:
                raise NotDoneError("impossible", "nothing goes on that could be cancelled")
            if self._adopting is not None:
                self._own.cancel(self._adopting)  # its end is waited for
            else:
                self._cancelled = True
        self._note(who, "teach_cancel", {"product": self._doing.product})

    def sort(
        self, take_out: Sequence[str], keep: Sequence[str], who: str, *, put_back: Sequence[str] = ()
    ) -> None:
        """What somebody decided of parts that were to be looked at."""
        with self._turn:
            self._require_rest()
            product = self._state().product
            with _refused():
                Flow(self._folder / product).sort(take_out=take_out, keep=keep, put_back=put_back)
            self._doing = replace(self._doing, change=self._doing.change + 1)
        told = {"take_out": take_out, "keep": keep, "put_back": put_back}
        self._note(who, "teach_sort", {"product": product, **{how: list(some) for how, some in told.items()}})

    def data(self) -> dict[str, JsonValue]:
        """All that is shown of the flow: `state`, None where nothing was begun, and how many parts it has."""
        return {"why_untrained": self._own.why_not(), **look.flow_at(self._folder, self._current)}

    def picture(self, product: str, name: str) -> Pixels | None:
        """Of a part, whether it counts or was taken out; None where there is none."""
        return look.picture_of(self._folder, product, name)

    def run(self, stop: threading.Event) -> None:
        """Do what is asked for, until told to stop."""
        with suppress(OSError, AttributeError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        self._find_again()
        while not stop.is_set():
            with self._turn:
                self._turn.wait_for(lambda: self._asked is not None, LOOK_S)
                asked, self._asked = self._asked, None
            if asked is not None:
                self._work(asked, stop)

    def _find_again(self) -> None:
        """What was going on when the agent ended goes on; what would change the station does not."""
        with self._turn, suppress(PlumblineError):
            current = self._current.read()
            if current is None or self._doing.runs:
                return
            asked = _Asked(product=current.product, who=current.who)
            state = Flow(self._folder / asked.product).state()
            if state is None:
                return
            if current.runs and state.step not in ("activate", "done"):
                with suppress(NotDoneError):  # it rests then, as if cancelled
                    self._ask(asked, state.step)
                    return
            problem = ""
            if state.before is not None and self._settings().judge.threshold is None:
                problem = TAKEN_OUT.format(state.before)
            self._doing = Doing(product=asked.product, who=asked.who, step=state.step, problem=problem)

    def _work(self, asked: _Asked, stop: threading.Event) -> None:
        flow, problem = Flow(self._folder / asked.product), ""
        going = self._steps.done(flow, who=asked.who, onto=asked.onto, begun=self._begun)
        try:
            for told in self._until_cancelled(going):
                if told is not None:
                    self._tell(told)
                if stop.is_set():
                    break
        except PlumblineError as error:
            problem = "" if isinstance(error, LookedAtError | CancelledError) else str(error)
        except Exception as error:  # nothing of this may end the agent
            log.error("teaching_failed", product=asked.product, reason=str(error), exc_info=error)
            problem = f"{type(error).__name__}: {error}"
        finally:
            going.close()
        if stop.is_set():  # the next start goes on
            return
        with self._turn:
            step = self._doing.step
            with suppress(PlumblineError):
                step = self._state().step
            with suppress(NotDoneError):  # it says so itself once somebody wants something
                self._keep(asked, runs=False)
            change = self._doing.change + 1
            self._doing = replace(
                self._doing, runs=False, step=step, problem=problem, words="", change=change
            )
            self._cancelled, self._adopting = False, None

    def _until_cancelled(self, going: Generator[Told | None, None, None]) -> Iterator[Told | None]:
        """And then what it takes back."""
        with suppress(StopIteration):
            while not self._cancelled:
                yield next(going)
            yield going.throw(CancelledError("cancelled"))
            yield from going

    def _begun(self, transaction: str) -> None:
        with self._turn:
            self._adopting = transaction
            if self._cancelled:  # before it had a name
                self._own.cancel(transaction)

    def _tell(self, told: Told) -> None:
        with self._turn:
            is_next = told.step != self._doing.step
            self._doing = replace(
                self._doing,
                step=told.step,
                done=told.done,
                of=told.of,
                words=told.words,
                change=self._doing.change + is_next,
            )

    def _require_rest(self) -> None:
        """Under the lock."""
        if self._doing.runs:
            raise NotDoneError(
                "occupied",
                f"{shown(self._doing.who)} teaches {self._doing.product} now; wait, or cancel it first",
            )

    def _ask(self, asked: _Asked, step: Step) -> None:
        """Under the lock. Raises NotDoneError; then nothing goes on."""
        self._keep(asked, runs=True)
        change = self._doing.change + 1
        self._doing = Doing(product=asked.product, who=asked.who, runs=True, step=step, change=change)
        self._cancelled, self._asked = False, asked
        self._turn.notify_all()

    def _keep(self, asked: _Asked, *, runs: bool) -> None:
        with _refused("no_room"):
            self._current.keep(Last(product=asked.product, who=asked.who, runs=runs))

    def _state(self) -> State:
        with _refused():
            current = self._current.read()
            state = None if current is None else Flow(self._folder / current.product).state()
        if state is None:
            raise NotDoneError("impossible", "nothing was begun here; begin with the name of the product")
        return state

    def _note(self, who: str, what: str, wanted: Mapping[str, Any], outcome: Outcome = "done") -> None:
        if self._changes is not None:
            self._changes.note(who=who, way="page", what=what, outcome=outcome, wanted=wanted)


@contextmanager
def _refused(kind: RefusalKind = "impossible") -> Iterator[None]:
    """What the flow says, as an answer to whoever asked. Raises NotDoneError."""
    try:
        yield
    except PlumblineError as error:
        raise NotDoneError(kind, str(error)) from error
