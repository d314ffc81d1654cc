"""Labels on the defects of parts that failed, in a thread of its own: a record waits so long and no longer.

The line hands over what it judged and waits for the labels, at most as long as the recipe allows; what is not
named by then leaves as `late`, strongest defects first. A passing part costs nothing. Sets and features are
opened in the same thread, before anybody asks for them.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeAlias

import numpy as np
import structlog

from agent.bundle.bundle import Bundle
from agent.clock import Clock
from agent.contract.verdict import LabelReason
from agent.errors import PlumblineError
from agent.foreign import shown
from agent.labels.features import Features, open_features
from agent.labels.label_set import LabelsError, LabelSet
from agent.labels.nearest import Named, name
from agent.labels.shelf import Shelf
from agent.labels.vectors import Cut, cut_around, vector_of
from agent.line.recipe import Recipe
from agent.line.record import MAX_DEFECTS, Judged

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 0.2
AGAIN_S = 15.0  # until what could not be opened is tried once more
WAITING = 64  # parts, of all lines; behind so many nothing is named in time

Key: TypeAlias = tuple[str, str]  # digests of bundle and set


class Opened(Protocol):
    """An open bundle, as `agent/line/opened.py` has it."""

    @property
    def bundle(self) -> Bundle: ...


Held: TypeAlias = Callable[[], AbstractContextManager[Mapping[str, Opened]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A set, and the features of its bundle."""

    labels: LabelSet
    features: Features


@dataclass(slots=True, kw_only=True)
class _Job:
    """Of one part; written by the namer's thread until the line has closed it and let go of the part."""

    judged: Judged | None
    named: list[Named] = field(default_factory=list)  # of the first defects
    reason: LabelReason = "late"
    over: threading.Event = field(default_factory=threading.Event)  # nobody waits, or all is named


class Namer:
    """A member of the agent's crew; `name` and `words` are for any thread."""

    def __init__(
        self,
        shelf: Shelf,
        *,
        held: Held,
        recipes: Callable[[], Iterable[Recipe]],
        clock: Clock,
        open_: Callable[[Bundle], Features] = open_features,
    ) -> None:
        """`held` gives the bundles that are open, by digest; `recipes` those that may judge from now on."""
        self._shelf = shelf
        self._held = held
        self._recipes = recipes
        self._clock = clock
        self._open = open_
        self._jobs: queue.Queue[_Job] = queue.Queue(WAITING)
        self._ready: dict[Key, Ready] = {}
        self._refused: dict[Key, str] = {}
        self._again_ns: dict[Key, int] = {}

    def name(self, judged: Judged) -> Judged:
        """As `Names` has it; the line waits."""
        wanted, judgement = judged.recipe.labels, judged.judgement
        if wanted is None or judgement.verdict != "fail" or not judgement.defects:
            return judged
        began_ns = self._clock.monotonic_ns()
        job = _Job(judged=judged)
        with suppress(queue.Full):  # a runtime that hangs costs no further part its time
            self._jobs.put_nowait(job)
            job.over.wait(wanted.within_ms / 1e3)
        job.over.set()
        job.judged = None
        named, reason = tuple(job.named), job.reason
        if reason == "late" and (judged.recipe.bundle_sha256, wanted.sha256) not in self._ready:
            reason = "opening"
        defects = tuple(
            replace(defect, label=named[index].label, label_certainty=named[index].certainty)
            if index < len(named)
            else replace(defect, label_reason=reason)
            for index, defect in enumerate(judgement.defects)
        )
        return replace(
            judged,
            judgement=replace(judgement, defects=defects),
            naming_ns=self._clock.monotonic_ns() - began_ns,
        )

    def run(self, stop: threading.Event) -> None:
        """Until told to stop."""
        while not stop.is_set():
            self._look_after()
            try:
                job = self._jobs.get(timeout=LOOK_EVERY_S)
            except queue.Empty:
                continue
            self._do(job)

    def words(self) -> tuple[str, ...]:
        """Why defects have no labels, one sentence each; empty when all is well."""
        return tuple(f"Defects have no labels: {words}" for words in dict.fromkeys(self._refused.values()))

    def _do(self, job: _Job) -> None:
        """Its defects, strongest first, as long as somebody waits."""
        judged = job.judged
        if judged is None:
            return
        recipe = judged.recipe
        assert recipe.labels is not None
        key = recipe.bundle_sha256, recipe.labels.sha256
        ready = self._ready.get(key)
        if ready is None:
            job.reason = "refused" if key in self._refused else "opening"
        elif not job.over.is_set():
            try:
                for cut in _cuts(judged, ready.features.grid):
                    if job.over.is_set():
                        return
                    vector = vector_of(ready.features.of(cut.tile), cut.weights, ready.features.coarsest)
                    if not np.isfinite(vector).all():
                        raise LabelsError("they are no numbers; export the bundle again")
                    job.named += name(ready.labels, vector[None])
            except Exception as error:  # runtimes raise what they like; no label is worth a line
                log.error("labels_failed", set=recipe.labels.sha256[:12], error=str(error)[:500])
                job.reason = "failed"
                self._refuse(
                    key, f"features cannot be computed ({shown(str(error)[:200])}); tried again soon"
                )
        job.over.set()

    def _look_after(self) -> None:
        """Open what recipes name, and let go of what none names any more."""
        keys = {
            (one.bundle_sha256, one.labels.sha256)
            for one in self._recipes()
            if one.labels is not None and one.has_model
        }
        self._ready = {key: one for key, one in self._ready.items() if key in keys}  # whole, for others read
        self._refused = {key: one for key, one in self._refused.items() if key in keys}
        self._again_ns = {key: one for key, one in self._again_ns.items() if key in keys}
        now_ns = self._clock.monotonic_ns()
        for key in sorted(keys - self._ready.keys()):
            if self._again_ns.get(key, now_ns) <= now_ns:
                self._open_one(key)

    def _open_one(self, key: Key) -> None:
        bundle_sha256, set_sha256 = key
        with self._held() as there:
            bundle = there[bundle_sha256].bundle if bundle_sha256 in there else None
        if bundle is None:
            return  # it is being opened, or closed
        try:
            labels = self._shelf.get(set_sha256)
            require_own(labels, bundle)
            features = self._features(bundle)
        except Exception as error:  # runtimes raise what they like; no label is worth the agent
            words = str(error) if isinstance(error, PlumblineError) else repr(error)
            log.warning("labels_refused", set=set_sha256[:12], reason=shown(words[:500]))
            self._refuse(key, words)
            return
        self._ready = {**self._ready, key: Ready(labels=labels, features=features)}
        self._refused = {other: one for other, one in self._refused.items() if other != key}
        log.info("labels_in_force", set=set_sha256[:12], classes=len(labels.head.classes))

    def _features(self, bundle: Bundle) -> Features:
        """Those that another set of the bundle has open already, or new ones."""
        for (sha256, _), ready in self._ready.items():
            if sha256 == bundle.sha256:
                return ready.features
        return self._open(bundle)

    def _refuse(self, key: Key, words: str) -> None:
        self._ready = {other: one for other, one in self._ready.items() if other != key}
        self._refused = {**self._refused, key: words}
        self._again_ns[key] = self._clock.monotonic_ns() + round(AGAIN_S * 1e9)


def require_own(labels: LabelSet, bundle: Bundle) -> None:
    """Raises LabelsError for a set that was learned in the features of another bundle."""
    head = labels.head
    if head.bundle_sha256 != bundle.sha256:
        raise LabelsError(
            f"label set {labels.sha256[:12]} was learned for bundle {head.bundle} "
            f"({head.bundle_sha256[:12]}), and {bundle.manifest.name} ({bundle.sha256[:12]}) judges, whose "
            "features are others; learn it anew from the marks with `plumbline labels learn`"
        )


def _cuts(judged: Judged, grid: int) -> Sequence[Cut]:
    rules = judged.recipe.rules_of(judged.frame.camera)
    return cut_around(
        judged.prepared,
        judged.inspection.evidence,
        judged.judgement.threshold,
        [defect.bbox_px for defect in judged.judgement.defects[:MAX_DEFECTS]],
        stride_px=rules.stride_px,
        grid=grid,
    )
