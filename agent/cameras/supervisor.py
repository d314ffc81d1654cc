"""One camera's thread: it keeps a session going, and fills the ring with what that session grabs.

The rules stand in `life`. A session has a camera object of its own, so what a dead one still does, such as
five seconds of teardown, holds nobody up; whatever it grabs after it was given up is thrown away. Not more
than MAX_HANGING given-up sessions may hang: then a restart of the agent is the only remedy, and is asked for.
"""

from __future__ import annotations

import math
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Protocol, TypeAlias

import structlog

from agent.address import masked_text
from agent.cameras.anew import Anew
from agent.cameras.camera import Camera, CameraError, CameraInUse, CameraMisconfigured, EndOfStream
from agent.cameras.life import CameraState, Counts, Life, OpenFailure, Told
from agent.cameras.session import Session
from agent.clock import Clock
from agent.errors import PlumblineError
from agent.messages import Frame, FrameFault, Item
from agent.track.track import Track
from agent.track.unseen import without_picture

log = structlog.get_logger()

Report: TypeAlias = Callable[[CameraState, str], None]


class Ring(Protocol):
    """Where what a camera grabs waits for the line."""

    def put(self, item: Item, timeout_s: float | None = None) -> bool:
        """Add a trigger; False when there was no room for so long: then nothing was added."""

    def close(self) -> None:
        """No more will come."""


LOOK_S = 0.1
PUT_S = 0.5
LEAVE_S = 3.0  # at a stop; a driver that hangs longer ends with the process
MAX_HANGING = 4


class Supervisor:
    """Of one camera; `run` it in a thread of its own, ask for `counts` from any."""

    def __init__(
        self,
        *,
        name: str,
        make: Callable[[], Camera],
        make_track: Callable[[], Track],
        life: Life,
        ring: Ring,
        clock: Clock,
        report: Report,
        why_disabled: Callable[[], str | None] = lambda: None,
        hear: Callable[[Item], None] = lambda item: None,
    ) -> None:
        """`make` gives a fresh camera for each session; it and `make_track` may raise a PlumblineError.

        `why_disabled` says why people want it closed; `hear` is told of what the camera gives, as it comes.
        Both never wait.
        """
        self._name = name
        self._make = make
        self._make_track = make_track
        self._life = life
        self._ring = ring
        self._clock = clock
        self._report = report
        self._why_disabled = why_disabled
        self._hear = hear
        self.looks = 0  # at the camera's life: it moves whatever the camera does, but for a ring that is full
        self._turn = threading.Condition()  # whoever has it may touch everything below
        self._stop = threading.Event()
        self._track: Track | None = None
        self._session: Session | None = None
        self._given_up: list[Session] = []
        self._anew: deque[Anew] = deque()
        self._leaving: tuple[Session, int] | None = None  # until when it is waited for: two would be in use
        self._failure: BaseException | None = None
        self._first_shape: tuple[int, ...] | None = None
        self._next_id = 0
        self._faults = self._faults_in_a_row = self._late = 0
        self._last_fault = ""
        self._shift_id: int | None = 0  # None: this epoch's first frame will tell
        self._told = Told(state="closed")
        self._driver_before: Counter[str] = Counter()
        self._driver: Counter[str] = Counter()
        self._lines_before = (0, 0)  # dropped and unseen, of tracks that were
        self._counts = self._count()

    def run(self, stop: threading.Event) -> None:
        """Fill the ring until the source ends or `stop` is set; the open window is then closed.

        A camera that fails never ends this; what a driver raises besides PlumblineErrors does.
        """
        self._stop = stop
        try:
            with self._turn:
                while not (stop.is_set() or self._life.is_over or self._failure):
                    self._look()
                    self.looks += 1
                    rest_s = math.inf if self._leaving else self._life.rest_s(self._clock.monotonic_ns())
                    self._turn.wait(min(LOOK_S, rest_s))
        finally:
            self._leave()
        if self._failure is not None:
            raise self._failure

    def open_anew(self, anew: Anew) -> None:
        """At its next look; what is in the ring stays. From any thread, and never waits."""
        self._anew.append(anew)

    def counts(self) -> Counts:
        """The latest there are: a ring that takes nothing more must not hold up who asks."""
        if self._turn.acquire(timeout=LOOK_S):
            try:
                self._counts = self._count()
            finally:
                self._turn.release()
        return self._counts

    def opened(self, session: Session) -> bool:
        with self._turn:
            if session is not self._session:
                return False
            self._life.opened(self._clock.monotonic_ns())
            self._shift_id = None if self._life.epoch else 0
            self._say()
            return True

    def grabbed(self, session: Session, item: Item | None) -> bool:
        with self._turn:
            if session is not self._session:
                self._late += item is not None
                return False
            if item is None:
                self._life.quiet(self._clock.monotonic_ns())
                return True
            self._life.received(self._clock.monotonic_ns())
            self._say()
            stamped = self._stamped(item)
            self._hear(stamped)
            self._pass(stamped)
            self._life.free(self._clock.monotonic_ns())
            return True

    def counted(self, session: Session, stats: Mapping[str, int]) -> None:
        with self._turn:
            if session is self._session:
                self._driver = Counter(stats)

    def ended(self, session: Session, error: BaseException | None) -> None:
        with self._turn:
            if session is not self._session or error is None:
                return
            if isinstance(error, EndOfStream):
                self._life.finished("the source has given all it had")
            elif isinstance(error, PlumblineError):
                self._life.failed(self._clock.monotonic_ns(), _why(error), masked_text(str(error)))
                self._release()
            else:
                self._failure = error
            self._say()
            self._turn.notify_all()

    def _count(self) -> Counts:
        life, track, (dropped, unseen) = self._life, self._track, self._lines_before
        return Counts(
            streaming=life.told.state == "streaming",
            epoch=life.epoch,
            frames=life.frames,
            reconnects=life.reconnects,
            stalls=life.stalls,
            losses=life.losses,
            lines_dropped=dropped + (track.lines_dropped if track else 0),
            lines_unseen=unseen + (track.lines_unseen if track else 0),
            late=self._late,
            open_failures=dict(life.open_failures),
            driver=_sum(self._driver_before, self._driver),
            faults=self._faults,
            faults_in_a_row=self._faults_in_a_row,
            last_fault=self._last_fault,
        )

    def _look(self) -> None:
        while self._anew:
            self._begin_anew(self._anew.popleft())
        why = self._why_disabled()
        if why is not None:
            if self._session is not None:
                self._release()
            self._life.disabled(why)
            self._say()
            return
        if self._is_leaving():
            return
        step = self._life.look(self._clock.monotonic_ns())
        if step == "open":
            self._open()
        elif step == "abandon":
            self._release()
        self._say()

    def _begin_anew(self, anew: Anew) -> None:
        now_ns = self._clock.monotonic_ns()
        if (session := self._session) is not None:
            self._release()
            self._leaving = session, now_ns + round(LEAVE_S * 1e9)
        counts = self._count()
        self._lines_before, self._track = (counts.lines_dropped, counts.lines_unseen), None
        self._make, self._make_track = anew.make or self._make, anew.make_track
        self._first_shape = None
        self._life.anew(anew.patience)
        self._say()
        anew.let_go_ns = self._clock.monotonic_ns()
        anew.let_go.set()

    def _is_leaving(self) -> bool:
        """Whether a session that was let go of for another still has the camera, as many admit one alone."""
        if self._leaving is None:
            return False
        session, until_ns = self._leaving
        if session.is_alive() and self._clock.monotonic_ns() < until_ns:
            return True
        self._leaving = None
        return False

    def _open(self) -> None:
        self._given_up = [session for session in self._given_up if session.is_alive()]
        if len(self._given_up) >= MAX_HANGING:
            self._life.blocked(
                self._clock.monotonic_ns(),
                f"{MAX_HANGING} earlier connections have not closed yet; restart the agent if that stays so",
            )
            return
        make = partial(self._made, self._make, self._make_track)
        self._session = Session(name=self._name, make=make, listener=self, clock=self._clock)
        self._session.start()

    def _made(self, make: Callable[[], Camera], make_track: Callable[[], Track]) -> Camera:
        """In the session's thread: files of the correction may be slow, too."""
        track = self._track or make_track()
        with self._turn:
            if make_track is self._make_track:  # else other settings came meanwhile
                self._track = track
        return make()

    def _release(self) -> None:
        """Let the session go, and close the window that it left open."""
        assert self._session is not None
        self._session.told_to_end.set()
        self._given_up.append(self._session)
        self._session = None
        self._driver_before = Counter(_sum(self._driver_before, self._driver))
        self._driver = Counter()
        self._put_all(self._track.flush() if self._track else [])

    def _leave(self) -> None:
        """The session may be within a grab: it ends after it, and what it grabs is thrown away."""
        with self._turn:
            session = self._session
            if session is not None:
                self._release()
        if session is not None:
            session.join(LEAVE_S)
        self._ring.close()

    def _stamped(self, item: Item) -> Item:
        """With the epoch, and numbered on from the epoch before."""
        if self._shift_id is None:
            self._shift_id = self._next_id - item.frame_id
        frame_id = item.frame_id + self._shift_id
        self._next_id = frame_id + 1
        return replace(item, frame_id=frame_id, epoch=self._life.epoch) if self._life.epoch else item

    def _pass(self, item: Item) -> None:
        assert self._track is not None
        if isinstance(item, Frame):
            sides = slice(1, None) if self._track.joins_blocks else slice(None)
            self._first_shape = self._first_shape or item.image.shape
            if item.image.shape[sides] != self._first_shape[sides]:
                item = _unlike(item, self._first_shape)
        try:
            items = self._track.push(item)
        except PlumblineError as error:  # the frame is unlike what the settings say of the camera
            assert isinstance(item, Frame)
            item = without_picture(item, "camera_error", str(error))
            items = self._track.push(item)
        self._weigh(item)
        self._put_all(items)

    def _weigh(self, item: Item) -> None:
        is_fault = isinstance(item, FrameFault)
        self._faults += is_fault
        self._faults_in_a_row = self._faults_in_a_row + 1 if is_fault else 0
        self._last_fault = item.detail if isinstance(item, FrameFault) else ""
        self._counts = self._count()  # putting may take as long as the line is busy

    def _put_all(self, items: Iterable[Item]) -> None:
        for item in items:
            while not self._ring.put(item, PUT_S) and not self._stop.is_set():
                continue

    def _say(self) -> None:
        """Tell of a change once; repeated failures with the same words are one change."""
        told = self._life.told
        if told == self._told:
            return
        self._told = told
        tell = log.warning if told.state in ("lost", "stalled") else log.info
        tell("camera", camera=self._name, state=told.state, detail=told.detail, epoch=self._life.epoch)
        self._report(told.state, told.detail)


def _sum(before: Mapping[str, int], now: Mapping[str, int]) -> dict[str, int]:
    """With the names that stand at zero, which the sum of two Counters would not have."""
    return {name: before.get(name, 0) + now.get(name, 0) for name in (*before, *now)}


def _why(error: PlumblineError) -> OpenFailure:
    if isinstance(error, CameraInUse):
        return "in_use"
    is_absent = isinstance(error, CameraError) and not isinstance(error, CameraMisconfigured)
    return "absent" if is_absent else "settings"


def _unlike(frame: Frame, first: tuple[int, ...]) -> FrameFault:
    got, wanted = (" x ".join(map(str, shape)) for shape in (frame.image.shape, first))
    return without_picture(
        frame,
        "camera_error",
        f"frame of {got} (lines x width x channels), the first one was {wanted}; restore the camera's"
        " region and pixel format, or restart the agent",
    )
