"""The main loop. `Line.step` is the product: capture -> prepare -> infer -> judge -> publish."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import structlog

from agent.clock import Clock
from agent.contract.payloads import Hold
from agent.contract.verdict import Verdict
from agent.line.binding import Bound
from agent.line.book import Book, Choice, Known, OneRecipe
from agent.line.capture import Capture
from agent.line.ignore import NothingLeftError
from agent.line.infer import infer
from agent.line.judge import Rules, find_regions, judge
from agent.line.naming import Names, NoNames
from agent.line.prepare import PrepareError, prepare
from agent.line.publish import Publisher
from agent.line.recipe import Recipe
from agent.line.record import Judged, eight_bit_picture
from agent.line.spans import Spans, Window
from agent.line.taught import Taught
from agent.line.way import RightOfWay
from agent.messages import Flags, Frame, FrameFault, Item, Judgement, Prepared
from agent.settings.camera import Camera
from agent.track.unseen import without_picture

log = structlog.get_logger()

PATIENCE_S = 0.5
REASONS: Mapping[type[Exception], str] = {PrepareError: "camera_error", NothingLeftError: "all_ignored"}
HOLD_S = 10.0  # a window with an open defect waits for the next one; a belt that stands may take hours


class Line:
    """One camera's frames to records, in order; it never touches the network or waits for it.

    Where the recipe joins defects over windows of an endless web, these wait for the defects that they name
    (`agent/line/spans.py`).
    """

    def __init__(
        self,
        *,
        camera: str,
        capture: Capture,
        recipe: Recipe,
        publisher: Publisher,
        clock: Clock,
        taught: Taught | None = None,
        restored: bool = True,
        pause_at: Callable[[int], Hold | None] = lambda captured_ns: None,
        way: RightOfWay | None = None,
        names: Names | None = None,
    ) -> None:
        """`restored` False leaves restorations on the engine's device: nobody will look at them.

        `pause_at` says in which pause a trigger was captured, and never waits. `way` is told of each frame.
        `names` gives defects their labels.
        """
        self._names = NoNames() if names is None else names
        self.way = RightOfWay() if way is None else way
        self._camera = camera
        self._capture = capture
        self._book: Book = OneRecipe(recipe)
        self._wanted: Book = self._book
        self._from_ns = 0  # what was captured before is judged by the book before
        self._choice = Choice(recipe=recipe)
        self._spans = _spans(recipe.rules_of(camera))
        self._publisher = publisher
        self._clock = clock
        self._taught = taught
        self._restored = restored
        self._pause_at = pause_at
        self.steps = 0  # done, with and without a trigger: it moves as long as the line does
        self._taken_ns = 0
        self._begun_ns = 0  # when the first trigger of the newest part was taken
        self._begun_line = 0  # where the newest part begins
        self._goes_on = False  # whether that part had not ended with its newest frame
        self._part_id: str | None = None  # of that part, where recipes ask for it
        self._turn_to(recipe)

    @property
    def recipe(self) -> Recipe:
        """The one in force; no frame is judged any more by one that was in force before."""
        return self._choice.recipe

    @property
    def standing(self) -> Recipe:
        """The one to name where no part is at hand; it stays from part to part."""
        return self._book.standing

    @property
    def station_sha256(self) -> str:
        """The station's bundle, by its recipes in force; empty where none judges."""
        return self._book.station_sha256

    def recipes(self) -> tuple[Recipe, ...]:
        """All that may judge a frame from now on: what they need is to stay open."""
        wanted = self._wanted.recipes  # first: it goes from there to here
        return *wanted, *self._book.recipes, self._choice.recipe

    def words(self) -> tuple[str, ...]:
        """What is strange about pictures, one sentence each; empty when all is well."""
        words = None if self._taught is None else self._taught.words()
        return () if words is None else (words,)

    def take_over(self, recipe: Recipe) -> None:
        """As `judge_by`, of one recipe for everything."""
        self.judge_by(OneRecipe(recipe))

    def judge_by(self, book: Book, from_ns: int = 0) -> None:
        """Have it judge every frame that is taken from now on, and was captured at `from_ns` or later; from
        any thread, and the last one wins.

        A part that comes in pieces, or in several triggers that name it, is first judged to its end, for
        HOLD_S at most, and windows that wait for a defect are recorded as they are. Raises RecipeError for a
        recipe without rules for this camera: those in force then stay.
        """
        for recipe in book.recipes:
            recipe.rules_of(self._camera)
        self._from_ns, self._wanted = from_ns, book

    def step(self) -> Verdict | None:
        """One trigger, one record; None when there was no trigger for a while, or its record waits."""
        frame = self._capture.take(PATIENCE_S)  # capture
        choice, bound = self._change(frame)
        recipe, refusal = choice.recipe, choice.refusal
        if frame is None:
            return self._release() if self._has_waited() else None
        if isinstance(frame, FrameFault):
            self._release()
            return self._publisher.record_skipped(frame, recipe, bound)
        self._note(frame)
        if (pause := self._pause_at(frame.captured_ns)) is not None:
            self._release()
            return self._publisher.record_skipped(_unseen(frame, pause), recipe, bound)
        if refusal is not None:
            self._release()
            return self._publisher.record_undecided(frame, recipe, refusal.reason, refusal.detail, bound)
        try:
            with self.way.judging():
                prepared = prepare(frame, recipe.input, self._clock)
                without = self._without(frame, prepared, recipe.rules_of(self._camera))
                inspection = infer(
                    prepared, recipe.engine, self._clock, restored=self._restored, without=without
                )
        except Exception as error:  # runtimes raise what they like; one bad frame must not end the line
            reason = next((one for kind, one in REASONS.items() if isinstance(error, kind)), "engine_error")
            log.warning("frame_not_judged", camera=frame.camera, frame=frame.frame_id, error=str(error))
            self._release()
            return self._publisher.record_undecided(frame, recipe, reason, str(error), bound)
        judged = Judged(
            frame=frame,
            recipe=recipe,
            taken_ns=self._taken_ns,
            prepared=prepared,
            inspection=inspection,
            judgement=judge(frame, inspection, recipe.rules_of(self._camera)),
            judged_ns=self._clock.monotonic_ns(),
            bound=bound,
            part_line=frame.first_line - self._begun_line,
        )
        self._look(judged)
        if self._spans is None:
            return self._publisher.record(self._names.name(judged))
        return self._record(self._spans.push(self._window(judged)))

    def _change(self, item: Item | None) -> tuple[Choice, Bound | None]:
        """By what the item is judged, and what it belongs to; what waits is recorded by the recipe before."""
        bound = self._publisher.bound(item) if item is not None and self._book.asks else None
        known = _known(item, bound)
        if self._is_same_part(item, known):
            if not self._is_over(self._begun_ns):
                return self._choice, bound
        elif item is not None:
            self._begun_ns = self._clock.monotonic_ns()
        wanted = self._wanted
        if item is not None and item.captured_ns < self._from_ns:
            wanted = self._book
        if item is None and wanted is self._book:
            return self._choice, None
        if wanted is not self._book:
            if wanted.asks and not self._book.asks:
                self._release()  # what waits is asked for in the order of triggers, too
            self._begin(wanted)
            if item is not None and bound is None and wanted.asks:
                bound = self._publisher.bound(item)
                known = _known(item, bound)
        self._part_id = known.part_id
        choice = Choice(recipe=wanted.standing) if item is None and wanted.asks else wanted.choose(known)
        if choice.recipe is not self._choice.recipe:
            self._release()
            self._spans = _spans(choice.recipe.rules_of(self._camera))
            self._turn_to(choice.recipe)
        self._choice = choice
        return choice, bound

    def _is_same_part(self, item: Item | None, known: Known) -> bool:
        """Whether it belongs to the newest part, as more of it does where no trigger came."""
        named = self._part_id is not None and (item is None or known.part_id == self._part_id)
        return self._goes_on or named

    def _begin(self, book: Book) -> None:
        """These recipes judge from now on."""
        before, self._book = self._book, book
        if self._taught is not None and {*map(id, before.recipes)} != {*map(id, book.recipes)}:
            self._taught.begin()
        recipe = book.standing
        log.info("recipe_in_force", camera=self._camera, recipe=recipe.digest[:12], bundle=recipe.bundle)

    def _turn_to(self, recipe: Recipe) -> None:
        if self._taught is not None:
            self._taught.turn_to(recipe.name, bundle=recipe.bundle)

    def _note(self, frame: Frame) -> None:
        """When it was taken, and whether the part that it shows, or a piece of it, has ended."""
        self._taken_ns = self._clock.monotonic_ns()
        if not self._goes_on:
            self._begun_line = frame.first_line
        self._goes_on = frame.goes_on

    def _without(self, frame: Frame, prepared: Prepared, rules: Rules) -> tuple[Flags, int] | None:
        """The cells of the frame's map that count for nothing. Raises NothingLeftError when all do."""
        if rules.ignore is None:
            return None
        first_line = frame.first_line - self._begun_line
        return rules.ignore.cells(prepared, rules.stride_px, first_line=first_line)

    def _look(self, judged: Judged) -> None:
        """Whether pictures are what the bundle was taught."""
        if self._taught is not None:
            self._taught.see(judged.inspection.evidence, judged.judgement.threshold)

    def _window(self, judged: Judged) -> Window[Judged]:
        rules = judged.recipe.rules_of(self._camera)
        return Window(
            first_line=judged.frame.first_line,
            lines=len(judged.frame.image),
            judgement=judged.judgement,
            regions=find_regions(judged.frame, judged.inspection, rules),
            content=judged,
        )

    def _record(self, released: Iterable[tuple[Judged, Judgement]]) -> Verdict | None:
        """The last record made of windows that wait no longer."""
        verdict = None
        for judged, judgement in released:
            verdict = self._publisher.record(self._names.name(replace(judged, judgement=judgement)))
        return verdict

    def _release(self) -> Verdict | None:
        return None if self._spans is None else self._record(self._spans.flush())

    def _has_waited(self) -> bool:
        return self._is_over(self._taken_ns)

    def _is_over(self, since_ns: int) -> bool:
        return self._clock.monotonic_ns() - since_ns > HOLD_S * 1e9

    def run(self, stop: threading.Event) -> None:
        """Step until told to stop, or until a finite camera's last frame is recorded.

        What waits when told to stop is recorded as skipped, until the camera has closed the ring.
        """
        while not stop.is_set():
            recorded = self.step()
            self.steps += 1
            if recorded is None and self._capture.is_finished():
                self._release()
                return
        self._release()
        while not self._capture.is_finished():
            waiting = self._capture.take(PATIENCE_S)
            if isinstance(waiting, Frame):
                waiting = without_picture(
                    waiting,
                    "stopped",
                    "the agent was stopped before this frame's turn; inspect the part again",
                )
            if waiting is not None:
                self._publisher.record_skipped(waiting, self.recipe)


def _known(item: Item | None, bound: Bound | None) -> Known:
    """Nothing, where no recipe asks."""
    if item is None or bound is None:
        return Known()
    return Known(part_id=bound.part_id or item.part_id, product=bound.product)


def _unseen(frame: Frame, pause: Hold) -> FrameFault:
    """With its whole picture, for whoever sets up a camera meanwhile."""
    fault = without_picture(frame, "paused", f"paused {pause.words()}")
    return fault if fault.thumbnail is None else replace(fault, thumbnail=eight_bit_picture(frame))


def _spans(rules: Rules) -> Spans[Judged] | None:
    if rules.max_windows == 1:
        return None
    return Spans(max_windows=rules.max_windows, min_area_px=rules.min_area_px)


def make_line(
    wanted: Camera,
    capture: Capture,
    recipe: Recipe,
    publisher: Publisher,
    clock: Clock,
    *,
    restored: bool,
    pause_at: Callable[[int], Hold | None],
    way: RightOfWay | None = None,
    names: Names | None = None,
) -> Line:
    """Of one camera. The rest as `Line` has it."""
    return Line(
        camera=wanted.name,
        capture=capture,
        recipe=recipe,
        publisher=publisher,
        clock=clock,
        taught=Taught(f"Camera {wanted.name}", bundle=recipe.bundle),
        restored=restored,
        pause_at=pause_at,
        way=way,
        names=names,
    )
