"""The proof process from outside: started, heard, ended at any time; nothing that it does ends the agent."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from agent.errors import PlumblineError
from agent.foreign import shown
from agent.line.way import RightOfWay
from agent.remote.proof import low
from agent.remote.proof.document import (
    MAX_LINE_BYTES,
    Done,
    Found,
    NotProven,
    Order,
    Refused,
    Step,
    said,
)

COMMAND = (sys.executable, "-m", "agent.remote.proof")
LOOK_EVERY_S = 0.2
END_S = 5.0
MAX_SAID_BYTES = 8_000_000
LAST_WORDS_BYTES = 2000
MEMORY_SHARE = 0.5  # of the machine's, that the process may hold
UNHEARD = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")  # the service manager's, for the agent alone

_PROJECT = Path(__file__).parents[3]  # `-m` finds this very package there


class Ended(PlumblineError):
    """Whoever wanted the proof wants it no more."""


def prove_apart(
    order: Order,
    *,
    timeout_s: float,
    cancelled: Callable[[], bool],
    tell: Callable[[Step], None] = lambda step: None,
    command: Sequence[str] = COMMAND,
    max_memory_bytes: int | None = None,
    way: RightOfWay | None = None,
) -> Found:
    """What the process found; it has ended when this returns or raises.

    It dies with the thread that calls this, and gives way to the lines of `way`. Raises NotProven with the
    one reason why there is no proof: what the process says, its crash, its time, its memory, or that it says
    what no proof is; Ended soon after `cancelled` says True.
    """
    ours, theirs = os.pipe2(os.O_CLOEXEC)
    try:
        process = _started(order, theirs, command)
    except OSError as error:
        os.close(ours)
        raise NotProven(500, f"its proof cannot be started: {error.strerror}") from error
    finally:
        os.close(theirs)
    try:
        limit = _memory_limit() if max_memory_bytes is None else max_memory_bytes
        with (RightOfWay() if way is None else way).gives_way(process.pid):
            found = _Ear(process, ours, tell).listen(timeout_s, cancelled, limit)
    finally:
        _end(process)
        os.close(ours)
    if not _fits(found, order):
        raise NotProven(500, "its proof says what cannot be: it is of another bundle, or does not add up")
    return found


class _Ear:
    """What the process says, until its end."""

    def __init__(self, process: subprocess.Popen[bytes], pipe: int, tell: Callable[[Step], None]) -> None:
        self._process = process
        self._pipe = pipe
        self._tell = tell
        self._unread = b""
        self._heard_bytes = 0
        self._last_words = b""
        self._at = "at its start"

    def listen(self, timeout_s: float, cancelled: Callable[[], bool], max_memory_bytes: int) -> Found:
        ends = time.monotonic() + timeout_s
        assert self._process.stderr is not None
        with selectors.DefaultSelector() as waits:
            waits.register(self._pipe, selectors.EVENT_READ, self._hear)
            waits.register(self._process.stderr.fileno(), selectors.EVENT_READ, self._overhear)
            while True:
                for key, _ in waits.select(LOOK_EVERY_S):
                    data = os.read(key.fd, 65_536)
                    if not data and key.fd == self._pipe:
                        raise self._death(waits)
                    if not data:
                        waits.unregister(key.fd)
                    elif (found := key.data(data)) is not None:
                        return found  # type: ignore[no-any-return]
                if cancelled():
                    raise Ended("its proof was ended: it is wanted no more")
                if time.monotonic() > ends:
                    raise NotProven(
                        408,
                        f"its proof was not done after {timeout_s:g} s ({self._at}) and was ended; raise "
                        "remote.proof.timeout_s, or lower remote.proof.frames",
                    )
                if (size := _memory_bytes(self._process.pid)) > max_memory_bytes:
                    raise NotProven(
                        500,
                        f"its proof took {size >> 20} MiB of memory ({self._at}), {max_memory_bytes >> 20} "
                        "may be, and was ended; the line needs the rest",
                    )

    def _hear(self, data: bytes) -> Found | None:
        self._heard_bytes += len(data)
        *lines, self._unread = (self._unread + data).split(b"\n")
        if max(map(len, (*lines, self._unread))) > MAX_LINE_BYTES or self._heard_bytes > MAX_SAID_BYTES:
            raise NotProven(500, f"its proof said more than a proof can ({self._at}) and was ended")
        for line in lines:
            try:
                what = said(line)
            except ValueError:
                raise NotProven(500, f"its proof said what no proof is ({self._at}) and was ended") from None
            match what:
                case Step():
                    self._at = f"{what.step} {what.done} of {what.of}" if what.of else what.step
                    self._tell(what)
                case Refused():
                    raise NotProven(what.code, shown(what.message), what.found)
                case Done():
                    return what.found
        return None

    def _overhear(self, data: bytes) -> None:
        self._last_words = (self._last_words + data)[-LAST_WORDS_BYTES:]

    def _death(self, waits: selectors.BaseSelector) -> NotProven:
        """It says nothing more; why."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(END_S)
        code = self._process.returncode
        if code is None:
            return NotProven(500, f"its proof fell silent ({self._at}) and was ended")
        for key in waits.get_map().values():
            if key.fd != self._pipe:
                os.set_blocking(key.fd, False)
                with suppress(BlockingIOError):
                    self._overhear(os.read(key.fd, 65_536))
        if code == -signal.SIGKILL:
            return NotProven(
                500, f"its proof was killed ({self._at}), mostly for want of memory; try it again"
            )
        words = self._last_words.decode(errors="replace").strip().splitlines()
        told = f": {shown(words[-1])[:300]}" if words else ""
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        return NotProven(500, f"its proof ended {how} ({self._at}){told}")


def _started(order: Order, handle: int, command: Sequence[str]) -> subprocess.Popen[bytes]:
    cores = str(low.cores(len(os.sched_getaffinity(0))))
    environment = {name: value for name, value in os.environ.items() if name not in UNHEARD}
    stdin = os.memfd_create("order", os.MFD_CLOEXEC)  # a pipe would hold us up where it is not read
    try:
        with os.fdopen(os.dup(stdin), "wb") as file:
            file.write(order.model_dump_json(by_alias=True).encode())
        os.lseek(stdin, 0, os.SEEK_SET)
        return subprocess.Popen(  # noqa: S603 - this very package
            [*command, str(os.getpid()), str(handle)],
            pass_fds=[handle],
            stdin=stdin,
            stdout=subprocess.DEVNULL,  # runtimes print what they like
            stderr=subprocess.PIPE,
            cwd=_PROJECT,
            # In our session: Linux gives each its share of a processor (autogroup), whatever the priorities.
            env={**environment, "OMP_NUM_THREADS": cores},
        )
    finally:
        os.close(stdin)


def _end(process: subprocess.Popen[bytes]) -> None:
    """With all that it started."""
    if process.returncode is None:  # else its number may be another's by now
        with suppress(ProcessLookupError):
            if os.getpgid(process.pid) == process.pid:
                os.killpg(process.pid, signal.SIGKILL)
        process.kill()
    with suppress(subprocess.TimeoutExpired):  # a disk that hangs holds even a killed process
        process.wait(END_S)
    if process.stderr is not None:
        process.stderr.close()


def _memory_bytes(pid: int) -> int:
    """That it holds now; 0 when it is gone."""
    try:
        resident = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError):
        return 0
    return resident * os.sysconf("SC_PAGE_SIZE")


def _memory_limit() -> int:
    return int(MEMORY_SHARE * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


def _fits(found: Found, order: Order) -> bool:
    frames, incumbent = found.frames, found.incumbent
    return (
        found.candidate.sha256 == order.candidate_sha256
        and (incumbent is None or incumbent.sha256 == order.incumbent_sha256)
        and frames.judged == frames.passes + frames.fails + frames.undecided
        and frames.judged <= frames.wanted
        and found.flips.all <= frames.passes + frames.fails
        and (incumbent is not None or frames.judged == 0)
    )
