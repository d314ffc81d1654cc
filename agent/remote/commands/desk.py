"""The desk takes commands, has the accepted ones done, and answers each.

A command is done, and durably remembered as done, before its message is acknowledged: after a
crash in between the broker sends it again, and then it is done again or answered with 409, so
that every verb must bear being done twice, and half.

Commands are done one at a time, in their order; only one that takes long is done in steps, and after
each of them the next command is answered that takes none. Those that take long wait for each other.

Where the contract says so, one that takes long is answered with 202 at once and while it is being done.
These may take minutes, and wait for each other alone. When one says that what is left goes on by itself, its
message has had its effect and is acknowledged, and the desk follows it beside others until its last answer.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial

import structlog
from pydantic import JsonValue

from agent.clock import Clock
from agent.contract import inbound as bounds
from agent.contract.arguments import CommandName
from agent.contract.commands import (
    CODES,
    Accepted,
    NotDoneError,
    Progress,
    Rejected,
    Response,
    response_to,
)
from agent.contract.inbound import Inbound
from agent.contract.payloads import encode
from agent.contract.strict import Changing
from agent.contract.topics import Topics
from agent.remote.commands.admission import admit
from agent.remote.commands.answering import brief, done, failed, not_done, under_way
from agent.remote.commands.around import Answers, Inbox, Memory, SignedMemory
from agent.remote.commands.asked import Call, Data
from agent.remote.commands.in_order import InOrder, Taken
from agent.remote.commands.lanes import AtHand, Here, Lane, Say, asked_here
from agent.remote.commands.recording import UNRECORDED, Recorded, commands_station
from agent.remote.commands.signing import Signers
from agent.remote.commands.station import Station
from agent.remote.commands.verbs import VERBS

LOG_EVERY_S = 60.0
LOOK_S = 0.25  # at whether to stop
PAUSE_S = 0.005  # between two steps, for whoever else writes to the outbox
TELL_EVERY_S = 1.0  # how far one has come
SLOW_WAITING = 4  # of those that say how far they are

log = structlog.get_logger(__name__)


class Desk:
    """The thread between the messages of `inbox` and what they ask for."""

    def __init__(
        self,
        inbox: Inbox,
        *,
        topics: Topics,
        station: Station,
        memory: Memory,
        answers: Answers,
        clock: Clock,
        clock_synced: Callable[[], bool | None],
        allowed: Callable[[str], bool],
        signers: Callable[[], Signers] = Signers,
        signed: SignedMemory | None = None,
        recorded: Recorded = UNRECORDED,
    ) -> None:
        """`signers` says who may sign commands, `signed` remembers those; it may be left out with nobody."""
        self._inbox = inbox
        self._topics = topics
        self._station = station
        self._memory = memory
        self._answers = answers
        self._acknowledging = InOrder(answers.acknowledge)
        self._quick, self._slow = Lane(), Lane()  # some of seconds, and those that say how far they are
        self._followed: list[AtHand] = []
        self._clock = clock
        self._clock_synced = clock_synced
        self._allowed = allowed
        self._signers = signers
        self._signed = signed
        self._recorded = recorded
        self._here: queue.SimpleQueue[Here] = queue.SimpleQueue()
        self._commanded_ns: int | None = None
        self._refusals: dict[str, int] = dict.fromkeys(CODES, 0)
        self._quiet_until_ns: dict[str, int] = {}
        self._performed = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="desk", daemon=True)
        self._failure: Exception | None = None

    @property
    def refusals(self) -> Mapping[str, int]:
        """How many commands were not done, by kind; a number for each of CODES."""
        return dict(self._refusals)

    @property
    def performed(self) -> int:
        return self._performed

    @property
    def commanded_ns(self) -> int | None:
        """When a message last commanded the station itself, by the monotonic clock; None: not yet."""
        return self._commanded_ns

    def ask(
        self,
        name: CommandName,
        args: Mapping[str, JsonValue],
        who: str,
        *,
        within_s: float,
        say: Say = lambda message, data: None,
    ) -> Data:
        """The same verbs for somebody at the station, who is known; from any thread but the desk's own.

        What it answers, or says of what is begun and goes on by itself. `say` is told each step of one that
        says how far it is. Raises NotDoneError.
        """
        here = asked_here(name, args, who, say, self._clock)
        self._here.put(here)
        return here.answer(within_s, is_over=lambda: self._stopping.is_set() or self._failure is not None)

    @property
    def failure(self) -> Exception | None:
        """Why no command is taken any more; None while all is well."""
        return self._failure

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop after the step at hand; what is not done is unacknowledged, and the broker sends it again."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self.turn(LOOK_S)
        except Exception as error:  # whatever ends this thread is for its crew to see
            log.error("desk_failed", reason=str(error), exc_info=error)
            self._failure = error

    def turn(self, timeout_s: float = 0.0) -> None:
        """Take the next command, waiting for at most `timeout_s`, and do a step of one that takes long.

        For the desk's own thread, or for a caller in place of it.
        """
        if len(self._acknowledging) < bounds.WAITING:
            with suppress(queue.Empty):
                is_busy = self._quick.at_hand is not None or self._slow.at_hand is not None
                self._take(self._inbox.get(timeout=PAUSE_S if is_busy else timeout_s))
        with suppress(queue.Empty):
            here = self._here.get_nowait()
            self._line_up(here, here.accepted)
        for lane in (self._quick, self._slow):
            if lane.at_hand is None and lane.waiting:
                lane.at_hand = self._begin(lane.waiting.popleft())
            if lane.at_hand is not None and self._is_over(lane.at_hand):
                lane.at_hand = None
        self._followed = [one for one in self._followed if not self._step(one)]

    def _take(self, inbound: Inbound) -> None:
        taken = self._acknowledging.take(inbound)
        asked = self._admit(inbound)
        if isinstance(asked, Rejected):
            self._answer(taken, asked, asked)
        else:
            self._line_up(taken, asked)

    def _line_up(self, taken: Taken | Here, asked: Accepted) -> None:
        if asked.command.arguments.says_progress and len(self._slow.waiting) >= SLOW_WAITING:
            words = f"{SLOW_WAITING} others that take long wait already; send it again later"
            self._answer(taken, asked, not_done(asked, "busy", words, {}))
        elif asked.command.arguments.says_progress:
            self._tell(taken, asked, Progress(message="accepted; another answer follows"))
            self._slow.waiting.append(taken)
        elif VERBS[asked.command.name].takes_long:
            self._quick.waiting.append(taken)
        else:
            self._step(self._started(taken, asked))

    def _begin(self, taken: Taken | Here) -> AtHand | None:
        """What waited for its turn may have expired since, or have run: the broker may send it twice."""
        if isinstance(taken, Here):
            return self._started(taken, taken.accepted)
        asked = self._admit(taken.inbound)
        if isinstance(asked, Rejected):
            self._answer(taken, asked, asked)
            return None
        return self._started(taken, asked)

    def _started(self, taken: Taken | Here, accepted: Accepted) -> AtHand:
        command = accepted.command
        arrived_ns = taken.arrived_ns if isinstance(taken, Here) else taken.inbound.arrived_ns
        call = Call(
            arrived_ns=arrived_ns,
            id=command.id,
            issuer=command.issuer,
            way="page" if isinstance(taken, Here) else "command",
        )
        steps = VERBS[command.name].steps(self._station, command.arguments, call)
        asked = command.arguments
        return AtHand(
            taken=taken,
            accepted=accepted,
            steps=steps,
            by=call.by(asked) if isinstance(asked, Changing) else command.issuer,
            before=self._recorded.before(asked, self._station),
            told_ns=self._clock.monotonic_ns(),
        )

    def _is_over(self, at_hand: AtHand) -> bool:
        """Whether the next one that takes long may begin, after a step of this one."""
        done = self._step(at_hand)
        if at_hand.is_kept and not done:
            self._followed.append(at_hand)
        return done or at_hand.is_kept

    def _step(self, at_hand: AtHand) -> bool:
        """Whether it is done, and answered."""
        answer = self._perform(at_hand)
        if answer is None:
            return False
        self._answer(at_hand.taken, at_hand.accepted, answer, is_acknowledged=at_hand.is_kept)
        return True

    def _tell(self, taken: Taken | Here, accepted: Accepted, progress: Progress) -> None:
        if isinstance(taken, Here):
            if progress.is_kept:  # what follows takes minutes, and stands in the record
                taken.answers.put(under_way(accepted, progress))
            return
        said = encode(under_way(accepted, progress))
        self._answers.respond(accepted.reply_to, said, accepted.correlation_data, is_last=False)

    def _answer(
        self,
        taken: Taken | Here,
        asked: Accepted | Rejected,
        answer: Response | Rejected,
        *,
        is_acknowledged: bool = False,
    ) -> None:
        if isinstance(taken, Here):
            taken.answers.put(answer)
            return
        if isinstance(answer, Rejected):
            self._count(answer, taken.inbound)
        if asked.reply_to is not None:
            self._answers.respond(asked.reply_to, encode(response_to(answer)), asked.correlation_data)
        if not is_acknowledged:
            self._acknowledging.answered(taken)

    def _admit(self, inbound: Inbound) -> Accepted | Rejected:
        rules = partial(
            admit,
            inbound,
            self._topics,
            now=self._clock.utc_now(),
            clock_synced=self._clock_synced(),
            allowed=self._allowed,
            signers=self._signers,
        )
        try:
            return rules(seen=self._seen)
        except Exception as error:  # nobody knows whether it has run: it does not run
            otherwise = rules(seen=lambda _: False)
            return failed(otherwise, error) if isinstance(otherwise, Accepted) else otherwise

    def _seen(self, id_: str) -> bool:
        return self._memory.seen(id_) or (self._signed is not None and self._signed.has(id_))

    def _remember(self, at_hand: AtHand) -> None:
        command = at_hand.accepted.command
        if isinstance(at_hand.taken, Here):  # nobody sends it again
            return
        if command.issuer is not None and self._signed is not None:
            self._signed.add(command.id)
        self._memory.remember(command.id, self._clock.utc_now())

    def _note(self, at_hand: AtHand, progress: Progress) -> None:
        """What one that takes long said of itself."""
        if isinstance(at_hand.taken, Here):
            at_hand.taken.say(progress.message, progress.data)
        now_ns, first = self._clock.monotonic_ns(), progress.is_kept and not at_hand.is_kept
        if first:
            self._remember(at_hand)
        is_due = now_ns - at_hand.told_ns >= TELL_EVERY_S * 1e9
        if first or (is_due and progress != at_hand.told):
            at_hand.told_ns, at_hand.told = now_ns, progress
            self._tell(at_hand.taken, at_hand.accepted, progress)
        if first:
            at_hand.is_kept = True
            self._recorded.ended(at_hand, self._station, "begun")
            if isinstance(at_hand.taken, Taken):
                self._acknowledging.answered(at_hand.taken)

    def _perform(self, at_hand: AtHand) -> Response | Rejected | None:
        """One step; the answer, or None while there is more to be done."""
        accepted, command = at_hand.accepted, at_hand.accepted.command
        try:
            try:
                said = next(at_hand.steps)
                if said is not None:
                    self._note(at_hand, said)
                return None
            except StopIteration as ended:
                data: Data = ended.value
            if not at_hand.is_kept:
                self._remember(at_hand)
        except NotDoneError as error:
            if at_hand.is_kept:
                self._recorded.ended(at_hand, self._station, "failed")
            return not_done(accepted, error.kind, str(error), error.data)
        except Exception as error:
            return failed(accepted, error)
        self._performed += 1
        if isinstance(at_hand.taken, Taken) and commands_station(command.arguments):
            self._commanded_ns = self._clock.monotonic_ns()
        self._recorded.ended(at_hand, self._station, "done")
        told = brief(data) if at_hand.by is None else {**brief(data), "by": at_hand.by}
        log.info("command_performed", command=command.name, id=command.id, **told)
        return done(accepted, data)

    def _count(self, rejected: Rejected, inbound: Inbound) -> None:
        kind, now_ns = rejected.kind, self._clock.monotonic_ns()
        self._refusals[kind] += 1
        if now_ns >= self._quiet_until_ns.get(kind, now_ns):
            self._quiet_until_ns[kind] = now_ns + round(LOG_EVERY_S * 1e9)
            log.warning(
                "command_refused",
                kind=kind,
                code=rejected.code,
                topic=inbound.topic[:256],
                reason=rejected.message,
                so_far=self._refusals[kind],
            )
