"""Told of every record; once a second it learns, compares and tells. No verdict ever rests on it.

A frame is measured in the thread that tells of records; all else, with every file, is done in `watch`.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from agent.clock import Clock, rfc3339
from agent.contract.events import EventMaker
from agent.contract.row import Row
from agent.drift import pictures
from agent.drift.compare import Kind, Seen
from agent.drift.files import DriftError, References, folder_of
from agent.drift.light import Light
from agent.drift.series import Series, Taken
from agent.drift.statistics import NAMES, measure
from agent.drift.view import drift_view, scores_follow, words_of
from agent.foreign import stored
from agent.line.publish import Recorded
from agent.line.recipe import Recipe
from agent.settings.camera import Camera
from agent.settings.settings import Settings

TELL_EVERY_S = 10.0  # how things stand, in a file
RETRY_S = 60.0
KNOWN = 64  # recipes of cameras, whose footing is remembered

log = structlog.get_logger(__name__)


@dataclass(slots=True, kw_only=True)
class DriftWatch:
    """Of one station; `good` parts make a reference, with 0 only the light behind flat fields is watched."""

    references: References
    good: int
    lights: Mapping[str, Light]  # of cameras with a flat field
    recipes: Callable[[], Collection[str]]  # names of those that may judge
    events: EventMaker
    append: Callable[[Row], object]
    clock: Clock
    begun: Counter[tuple[str, Kind]] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _series: dict[tuple[str, str], Series] = field(default_factory=dict)
    _fresh: set[tuple[str, str]] = field(default_factory=set)  # of which the file was not looked at
    _unkept: set[tuple[str, str]] = field(default_factory=set)  # of which the file could not be written
    _footings: dict[tuple[str, str], str] = field(default_factory=dict)
    _trouble: str | None = None
    _retry_ns: int = 0
    _told_ns: int = 0

    def recorded(self, told: Recorded) -> None:
        """A record is durable."""
        frame, picture, inspection, score = told.frame, told.picture, told.inspection, told.verdict.score
        passed = told.verdict.verdict == "pass"
        if frame is None or picture is None or inspection is None or score is None:
            return
        if told.verdict.verdict not in ("pass", "fail"):
            return
        light = self.lights.get(frame.camera)
        if light is not None and passed:
            light.see(frame.image, told.recipe.name)
        if self.good == 0:
            return
        taken = Taken(
            result_id=told.verdict.result_id,
            row=measure(picture, inspection, score=score.raw),
            passed=passed,
            picture=picture,
        )
        footing, key = self._footing(told.recipe, frame.camera), (frame.camera, told.recipe.name)
        with self._lock:
            series = self._series.get(key)
            if series is None or series.footing != footing:
                series = Series(camera=key[0], recipe=key[1], footing=footing, good=self.good)
                self._series[key] = series
                self._fresh.add(key)
            series.take(taken)

    def watch_light(self, camera: Camera) -> None:
        """It is opened by other settings: its light is learned anew. From any thread."""
        others = {name: light for name, light in self.lights.items() if name != camera.name}
        self.lights = {**others, **lights_of([camera])}

    def watch(self) -> None:
        """Once a second."""
        names = set(self.recipes())
        for light in self.lights.values():
            light.keep(names)
        with self._lock:
            for key in [key for key in self._series if key[1] not in names]:
                del self._series[key]
            ones = dict(self._series)
        for key, series in ones.items():
            self._attend(key, series)
        now_ns = self.clock.monotonic_ns()
        if now_ns - self._told_ns >= TELL_EVERY_S * 1e9:
            self._told_ns = now_ns
            for view in self.views():
                self.references.tell_now(view["camera"], view["recipe"], view)

    def views(self) -> list[dict[str, Any]]:
        """How things stand, as `drift_view` says it; from any thread."""
        with self._lock:
            return drift_view(self._series.values())

    def active(self) -> Mapping[str, Collection[Kind]]:
        """The changes that go on, by camera; from any thread."""
        found: dict[str, set[Kind]] = {}
        with self._lock:
            for one in self._series.values():
                if one.episode.kind is not None:
                    found.setdefault(one.camera, set()).add(one.episode.kind)
        return found

    def words(self) -> tuple[str, ...]:
        """One sentence each; empty when all is well. From any thread."""
        with self._lock:
            changes = [
                words_of(one.camera, one.episode.kind, one.seen)
                for one in self._series.values()
                if one.episode.kind is not None and one.seen is not None
            ]
        lights = [words for light in self.lights.values() if (words := light.words())]
        return (*lights, *changes, *([] if self._trouble is None else [self._trouble]))

    def _footing(self, recipe: Recipe, camera: str) -> str:
        """Of a recipe, which judges many frames."""
        known = self._footings.get((recipe.digest, camera))
        if known is None:
            if len(self._footings) >= KNOWN:
                self._footings.clear()
            known = self._footings[recipe.digest, camera] = footing_of(recipe, camera)
        return known

    def _attend(self, key: tuple[str, str], series: Series) -> None:
        if key in self._fresh:
            self._fresh.discard(key)
            self._find(series)
        self._notice_forgotten(key, series)
        with self._lock:
            made = series.learn(rfc3339(self.clock.utc_now()))
            looked = series.look()
        if made:
            log.info("drift_learned", camera=series.camera, recipe=series.recipe, good=series.good)
            self._unkept.add(key)
            self._retry_ns = 0
        if key in self._unkept and self.clock.monotonic_ns() >= self._retry_ns:
            self._keep(key, series)
        if looked is None:
            return
        before, after = looked
        if after.kind is not None and before.kind is None and series.seen is not None:
            self._begin(series, after.kind, series.seen)
        elif before.kind is not None and after.kind is None:
            self._end(series, before.kind)

    def _find(self, series: Series) -> None:
        """What was learned before this start, where it is of the same footing."""
        try:
            found = self.references.read(series.camera, series.recipe)
        except DriftError as error:
            log.warning("drift_reference_unusable", reason=str(error))
            return
        if found is not None and found[0].footing == series.footing and found[0].good == series.good:
            with self._lock:
                series.take_reference(*found)

    def _notice_forgotten(self, key: tuple[str, str], series: Series) -> None:
        """Somebody deleted the file: the parts from now on are the good ones."""
        if series.reference is None or key in self._unkept:
            return
        if not self.references.path_of(*key).exists():
            log.info("drift_forgotten", camera=series.camera, recipe=series.recipe)
            with self._lock:
                self._series[key] = Series(
                    camera=series.camera, recipe=series.recipe, footing=series.footing, good=self.good
                )

    def _keep(self, key: tuple[str, str], series: Series) -> None:
        assert series.reference is not None
        try:
            self.references.write(series.reference, series.picture)
        except DriftError as error:
            self._trouble = f"Drift: what was learned of good parts is not kept: {error}"
            self._retry_ns = self.clock.monotonic_ns() + round(RETRY_S * 1e9)
        else:
            self._unkept.discard(key)
            self._trouble = None

    def _begin(self, series: Series, kind: Kind, seen: Seen) -> None:
        self.begun[series.camera, kind] += 1
        is_fail = kind == "more_defects"
        now = series.newest.get(not is_fail) or next(iter(series.newest.values()))
        file = None
        if series.picture is not None:
            both = pictures.beside(pictures.small(now.picture), series.picture)
            file = self.references.keep_change(now.result_id, both)
        assert series.reference is not None
        detail = words_of(series.camera, kind, seen)
        log.warning("drift", kind=kind, detail=detail)
        self._tell(
            "drift",
            "warning",
            detail,
            series,
            kind=kind,
            scores_follow=scores_follow(seen),
            fails=seen.fails,
            frames=seen.frames,
            numbers=[
                {
                    "name": one.name,
                    "now": round(one.now, 4),
                    "then": round(one.then, 4),
                }
                for one in seen.numbers
                if one.is_off(0.5)
            ],
            now_result_id=now.result_id,
            then_result_id=series.reference.typical,
            picture=None if file is None else stored(str(file)),
        )

    def _end(self, series: Series, kind: Kind) -> None:
        detail = f"Camera {series.camera}: frames are again as its first good parts were"
        log.info("drift_over", kind=kind, detail=detail)
        self._tell("drift_over", "info", detail, series, kind=kind)

    def _tell(self, event: str, severity: Any, detail: str, series: Series, **data: Any) -> None:
        self.append(
            self.events.row(
                event, severity, stored(detail), camera=series.camera, recipe_id=series.recipe, **data
            )
        )


def footing_of(recipe: Recipe, camera: str) -> str:
    """The digest of what a reference stands on: bundle and ignored regions; thresholds change no score."""
    ignore = recipe.rules_of(camera).ignore
    content = {
        "names": NAMES,
        "scores": "raw",
        "recipe": recipe.name,
        "bundle": recipe.bundle_sha256,
        "ignore": None if ignore is None else ignore.polygons,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def lights_of(cameras: Iterable[Camera]) -> dict[str, Light]:
    return {one.name: Light(one.name) for one in cameras if one.flat_field.file is not None}


def make_drift(
    wanted: Settings,
    recipes: Callable[[], Collection[str]],
    events: EventMaker,
    append: Callable[[Row], object],
    clock: Clock,
) -> DriftWatch:
    """Of these settings; `recipes` are the names of those that may judge."""
    return DriftWatch(
        references=References(folder=folder_of(wanted)),
        good=wanted.health.drift_good_parts,
        lights=lights_of(wanted.cameras),
        recipes=recipes,
        events=events,
        append=append,
        clock=clock,
    )
