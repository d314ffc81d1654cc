"""Own parts in five steps: collect, check, teach, threshold, activate. One folder, resumed anywhere.

Each step is done whole or again: its result is on the disk before the state names the next one. A run that is
killed, cancelled or finds the disk full goes on where it was when it is called again.

The device teaches what it can change: which score is a defect on this product. The weights and statistics
of a bundle lie in its signed graph and stay; whether it sees defects on this product at all is tried with
made-up ones, and a bundle that does not is not activated. Where a bundle of its own is wanted, the workshop
trains one within the step *teach* (`trained.py`), and from there on that one is taught.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any, Literal, TypeAlias

import numpy as np

from agent.cameras.images import ImageError, read_image
from agent.foreign import shown
from agent.line.prepare import PrepareError
from agent.messages import Pixels
from agent.remote.commands.what_if import histogram
from agent.teach.check import Checked, Finding, check, see
from agent.teach.collect import Got
from agent.teach.made_up import scratched
from agent.teach.marked import Confirmed, caught, nobody_marked, words
from agent.teach.part_set import About, PartSet, minute_of
from agent.teach.scores import lights_of
from agent.teach.split import held_words, parts_missing
from agent.teach.state import (
    FlowError,
    Measured,
    State,
    Told,
    keep_measured,
    keep_state,
    measured_in,
    not_written,
    state_in,
)
from agent.teach.threshold import Scored, askable, check_target, promise
from agent.teach.weighing import told

LOCK = "lock"
LOCK_WAIT_S = 5.0  # one that was killed, or a process that is only beginning, lets go of it a moment later
LOCK_LOOK_S = 0.05
TRIED = 60  # made-up defects
SEES = 0.5  # of them, at least, for a bundle that may be activated
OF_PASSES = ("passed", "archive")  # sources in which the threshold in force has chosen
PASSED_ALONE = (
    "these are parts that passed, so good parts that the threshold in force rejects count only "
    "where people marked them wrong: where it rejects many, collect while only good parts are on the line"
)


class LookedAtError(FlowError):
    """A person has to decide of some parts first; the state names them."""


Judge: TypeAlias = Callable[[Pixels], float]  # the raw score of a picture; may raise PrepareError
Activate: TypeAlias = Callable[[float], Mapping[str, Any]]  # what the station says; raises PlumblineError
Collect: TypeAlias = Callable[[PartSet, int], Iterator[Got]]
# `State.trained`, `State.before` and who keeps another one; raises PlumblineError
Adopt: TypeAlias = Callable[[Mapping[str, Any], float | None, Callable[[float | None], None]], Iterator[Told]]
Going: TypeAlias = Generator[Told, None, State]


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What the steps act with."""

    collect: Collect
    judge: Judge
    bundle_sha256: str
    activate: Activate
    confirmed: Confirmed = nobody_marked
    adopt: Adopt = lambda trained, before, keep: iter(())  # has the trained bundle serve, before `activate`


class Flow:
    """Of one product in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.parts = PartSet(folder)

    def open(self, wanted: State) -> State:
        """Begin, or go on with what is there. Raises FlowError, PartSetError for a folder of another's."""
        check_target(wanted.target)
        with self.held():
            return self._open(wanted)

    def _open(self, wanted: State) -> State:
        there = self.state()
        if there is None:
            self.parts.open(About(product=wanted.product, source=wanted.source, camera=wanted.camera))
            self.keep(wanted)
            return wanted
        self.parts.open(About(product=there.product, source=there.source, camera=there.camera))
        if (there.product, there.source, there.camera) != (wanted.product, wanted.source, wanted.camera):
            raise FlowError(
                f"{shown(str(self.folder))}: was begun for {shown(there.product)} from "
                f"{shown(there.source)}; give the same, or another --product"
            )
        step = there.step
        if wanted.wanted > there.wanted:
            step = "collect"
        elif wanted.target != there.target and step in ("activate", "done"):
            step = "threshold"
        again = replace(there, wanted=wanted.wanted, target=wanted.target, step=step)
        if (wanted.preset, wanted.minutes) != (there.preset, there.minutes):
            anew = step if step == "collect" else "check"
            again = replace(again, preset=wanted.preset, minutes=wanted.minutes, trained={}, step=anew)
        self.keep(again)
        return again

    def state(self) -> State | None:
        """Where it stands; None where nothing was begun. Raises FlowError."""
        return state_in(self.folder)

    def do(self, means: Means, *, flagged: Literal["ask", "take_out", "keep"] = "ask") -> Going:
        """The next step; whoever closes this between two pictures has cancelled it, and nothing is lost.

        Raises FlowError and what its parts raise; the state is then as it was.
        """
        with self.held():
            state = self.begun()
            match state.step:
                case "collect":
                    made = yield from self._collect(state, means)
                case "check":
                    made = yield from self._check(state, means, flagged)
                case "teach":
                    made = yield from self._teach(state, means)
                case "threshold":
                    made = yield from self._threshold(state)
                case "activate":
                    made = yield from self._activate(state, means)
                case "done":
                    return state
            self.keep(made)
            return made

    def sort(
        self, *, take_out: Sequence[str] = (), keep: Sequence[str] = (), put_back: Sequence[str] = ()
    ) -> State:
        """What somebody decided of pictures that were to be looked at; with the last all others are kept.

        What is put back is kept. Raises FlowError for a picture that was not found to be looked at, or was
        not taken out.
        """
        with self.held():
            state = self.begun()
            findings = state.checked.get("findings", ())
            for name in (*take_out, *keep):
                if state.step != "check" or name not in {one["name"] for one in findings}:
                    raise FlowError(f"{shown(name)}: it is not to be looked at; check the parts again")
            aside = {one.name for one in self.parts.aside()} if put_back else set()
            for name in put_back:
                if state.step != "check" or name not in aside:
                    raise FlowError(f"{shown(name)}: it was not taken out, or its check is over")
            self.parts.take_out(take_out)
            self.parts.put_back(put_back)
            left = [one for one in findings if one["name"] not in take_out]
            kept = tuple(dict.fromkeys((*state.kept, *keep, *put_back)))
            if all(one["name"] in kept for one in left):  # what is usual moves with each that is taken out
                kept = tuple(file.name for file in self.parts.pictures())
            sorted_ = replace(state, checked={**state.checked, "findings": left}, kept=kept)
            self.keep(sorted_)
            return sorted_

    def begun(self) -> State:
        """As `state`. Raises FlowError where nothing was begun, too."""
        state = self.state()
        if state is None:
            raise FlowError(f"{shown(str(self.folder))}: nothing was begun there")
        return state

    @contextmanager
    def held(self) -> Iterator[None]:
        """Page and command line have the same folder: one of them at a time."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = (self.folder / LOCK).open("a")
        except OSError as error:
            raise not_written(self.folder, error) from error
        deadline_s = time.monotonic() + LOCK_WAIT_S
        with lock:
            while not _is_taken(lock):
                if time.monotonic() > deadline_s:
                    raise FlowError(
                        f"{shown(self.folder.name)}: somebody else is teaching it; wait, or cancel that first"
                    )
                time.sleep(LOCK_LOOK_S)
            yield

    def _collect(self, state: State, means: Means) -> Going:
        for got in means.collect(self.parts, state.wanted):
            yield Told(step="collect", done=got.parts, of=got.wanted, words=got.refused or got.waits or "")
        if self.parts.count() == 0:
            raise FlowError(f"{shown(state.source)}: there is no picture of a good part; give some")
        return replace(state, step="check")

    def _check(self, state: State, means: Means, flagged: str) -> Going:
        pictures, damaged, measured, files = [], [], {}, self.parts.pictures()
        known = self._known(means.bundle_sha256)
        for number, file in enumerate(files, 1):
            try:
                image = read_image(file)
                score = known[file.name] if file.name in known else means.judge(image)
                seen = see(file.name, image, score)
                pictures.append(seen)
                measured[file.name] = (score, seen.level)
            except (ImageError, PrepareError) as error:
                damaged.append(Finding(name=file.name, kind="damaged", words=str(error)))
            yield Told(step="check", done=number, of=len(files))
        found = check(pictures, damaged)
        keep_measured(self.folder, Measured(bundle=means.bundle_sha256, parts=measured))
        checked = replace(state, checked=_told_checked(found), bundle=means.bundle_sha256)
        undecided = [name for name in found.flagged if name not in state.kept]
        if undecided and flagged == "ask":
            self.keep(checked)  # to be looked at
            raise LookedAtError(
                f"{len(undecided)} of {len(files)} parts should be looked at; take them out or keep "
                "them, then go on"
            )
        out = {*found.flagged} if flagged == "take_out" else {one.name for one in damaged}
        self.parts.take_out(sorted(out))
        if self.parts.count() == 0:
            raise FlowError("no picture is left that is fit to be taught; collect others")
        return replace(checked, trained={}, step="teach")

    def _known(self, bundle_sha256: str) -> Mapping[str, float]:
        """Scores of pictures that this bundle was asked for before: a person's decision asks nobody anew."""
        try:
            measured = measured_in(self.folder)
        except FlowError:
            return {}
        if measured.bundle != bundle_sha256:
            return {}
        return {name: score for name, (score, _) in measured.parts.items()}

    def _teach(self, state: State, means: Means) -> Going:
        self._need_same_bundle(state, means)
        if state.trained:
            yield from self._measure_held(state, means)
        files = self.parts.pictures()
        chosen = files[:: max(1, len(files) // TRIED)][:TRIED]
        scores = []
        for number, file in enumerate(chosen, 1):
            scores.append(means.judge(scratched(read_image(file), np.random.default_rng(number))))
            yield Told(step="teach", done=number, of=len(chosen))
        held = []
        for one in means.confirmed():
            score = means.judge(one.image)
            held.append({"result_id": one.mark.result_id, "label": one.mark.label, "score": score})
            yield Told(step="teach", done=len(chosen), of=len(chosen))
        taught = {"tried": len(scores), "scores": scores, "held": held}
        return replace(state, taught=taught, step="threshold")

    def _measure_held(self, state: State, means: Means) -> Iterator[Told]:
        """By the trained bundle those parts alone that nothing in it was fitted to."""
        levels = {name: level for name, (_, level) in measured_in(self.folder).parts.items()}
        files = [file for file in self.parts.pictures() if file.name in {*state.trained["held"]} & {*levels}]
        measured = {}
        for number, file in enumerate(files, 1):
            measured[file.name] = (means.judge(read_image(file)), levels[file.name])
            yield Told(step="teach", done=number, of=len(files), words="parts that were held back are judged")
        keep_measured(self.folder, Measured(bundle=means.bundle_sha256, parts=measured))

    def _threshold(self, state: State) -> Going:
        measured = measured_in(self.folder).parts
        files = [file for file in self.parts.pictures() if file.name in measured]
        lights = lights_of([measured[file.name][1] for file in files])
        good = [
            Scored(score=measured[file.name][0], camera=state.camera, light=light, minute=minute_of(file))
            for file, light in zip(files, lights, strict=True)
        ]
        found = promise(good, state.target)
        scores = state.taught["scores"]
        sees = float(np.mean([score >= found.threshold for score in scores]))
        yield Told(step="threshold", done=1, of=1)
        held = caught(state.taught.get("held", ()), found.threshold)
        said: dict[str, Any] = dict(told(found))
        promised = {
            **said,
            "words": [
                *said["words"],
                *([PASSED_ALONE] if state.source in OF_PASSES else []),
                *(held_words(found, self.parts.count()) if state.trained else []),
                *words(held),
            ],
            "parts_missing": parts_missing(found, self.parts.count()),
            "sees": sees,
            "histogram": histogram([one.score for one in good]),
            "held": held,
        }
        return replace(state, promised=promised, step="activate")

    def _activate(self, state: State, means: Means) -> Going:
        if not state.trained:
            self._need_same_bundle(state, means)
        promised = state.promised
        if promised["sees"] < SEES:
            remedy = "give edge, more minutes or more parts" if state.trained else "train one for it"
            raise FlowError(
                f"this bundle sees {promised['sees']:.0%} of made-up defects on {shown(state.product)}, so "
                f"it is not activated; {remedy}"
            )
        if promised["provisional"]:
            missing = promised.get("parts_missing", promised["missing"])
            raise FlowError(
                f"a false-reject rate of {state.target:.3%} cannot be promised from {promised['frames']} "
                f"parts, only {askable(promised['rate']):.2%}: collect {missing} more, or ask for "
                "that"
            )
        if state.trained:
            yield from means.adopt(
                state.trained, state.before, lambda before: self.keep(replace(state, before=before))
            )
        yield Told(step="activate", done=0, of=1)
        activated = means.activate(promised["threshold"])
        return replace(state, activated=activated, before=None, step="done")

    def _need_same_bundle(self, state: State, means: Means) -> None:
        if state.bundle != means.bundle_sha256:
            self.keep(replace(state, trained={}, step="check"))
            raise FlowError(
                "another bundle is in force than the one that was taught; check again with this one"
            )

    def keep(self, state: State) -> None:
        """Durable on return, while the folder is held. Raises FlowError; what was kept stays."""
        keep_state(self.folder, state)


def _told_checked(found: Checked) -> dict[str, Any]:
    return {
        "pictures": found.pictures,
        "findings": [asdict(one) for one in found.findings],
        "words": list(found.words),
    }


def _is_taken(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
