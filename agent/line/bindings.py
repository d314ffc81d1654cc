"""What the field has said of parts and orders, for all cameras of a station; see `binding.py`.

The order, and a part that holds until it is changed, outlive the agent in a small file beside the
outbox. Every method is safe from any thread and waits for nothing but a look into memory.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from agent.clock import Clock, new_uuid7
from agent.contract.arguments import Bind
from agent.contract.commands import NotDoneError
from agent.contract.strict import Word
from agent.durable import replace_file
from agent.errors import PlumblineError
from agent.line import binding
from agent.line.binding import Bound, Job, Part, Product, Timeline

log = structlog.get_logger(__name__)


class _Standing(BaseModel):
    """What holds of one camera until it is changed."""

    part_id: Word | None = None
    bind_id: Word | None = None
    job_id: Word | None = None
    product: Word | None = None

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class BindingError(PlumblineError):
    """What was bound does not outlive the agent; the text names the file and what is wrong with it."""


class Bindings:
    """One timeline for each camera."""

    def __init__(self, cameras: Sequence[str], *, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._timelines = {camera: Timeline() for camera in cameras}
        self._lock = threading.Lock()
        self._saving = threading.Lock()
        self.unused_told = 0  # parts whose trigger did not come, since the start

    def open(self) -> None:
        """Take up what held when the agent ended; what cannot be read is said in the log, and not held."""
        try:
            content = json.loads(self._path.read_bytes())
            held = {name: _Standing.model_validate(one) for name, one in content.items()}
        except FileNotFoundError:
            return
        except (OSError, ValueError, AttributeError, RecursionError, ValidationError) as error:
            log.warning("bindings_unreadable", path=str(self._path), reason=str(error)[:500])
            return
        with self._lock:
            for camera in self._timelines.keys() & held.keys():
                one = held[camera]
                self._timelines[camera] = Timeline(
                    parts=(Part(part_id=one.part_id, from_ns=0, bind_id=one.bind_id, used=True),),
                    jobs=(Job(job_id=one.job_id, from_ns=0),),
                    products=(Product(product=one.product, from_ns=0),),
                )

    def bind(self, wanted: Bind, arrived_ns: int) -> tuple[str, ...]:
        """Have it hold from the moment `arrived_ns` on; for which cameras.

        Raises NotDoneError for a camera that there is not, or a next trigger that has its record already;
        BindingError when it holds and cannot be kept.
        """
        if wanted.camera is not None and wanted.camera not in self._timelines:
            known = ", ".join(self._timelines)
            raise NotDoneError(
                "bad_arguments", f"camera: no camera {wanted.camera[:64]!r}; there are {known}"
            )
        cameras = tuple(self._timelines) if wanted.camera is None else (wanted.camera,)
        bind_id = new_uuid7(self._clock)
        with self._saving:
            with self._lock:
                self._check(wanted, cameras, arrived_ns)
                before = dict(self._timelines)
                for camera in cameras:
                    self._timelines[camera] = _with(self._timelines[camera], wanted, arrived_ns, bind_id)
                after = dict(self._timelines)
            try:
                self._save(before, after)
            except OSError as error:
                raise BindingError(
                    f"{self._path}: {error.strerror}; it is bound until the agent ends, not longer"
                ) from error
        return cameras

    def of(self, camera: str, captured_ns: int) -> Bound:
        """What a trigger belongs to; to be asked once for each, in the order of its camera's triggers."""
        with self._lock:
            timeline = self._timelines.get(camera)
            if timeline is None:
                return Bound()
            self._timelines[camera], bound = binding.bound(timeline, captured_ns)
        return bound

    def unused(self) -> list[tuple[str, Part]]:
        """Parts whose trigger has not come, with their cameras; each is told once."""
        now_ns, found = self._clock.monotonic_ns(), []
        with self._lock:
            for camera, timeline in self._timelines.items():
                self._timelines[camera], parts = binding.settled(timeline, now_ns)
                found += [(camera, part) for part in parts]
            self.unused_told += len(found)
        return found

    def _check(self, wanted: Bind, cameras: Sequence[str], arrived_ns: int) -> None:
        if wanted.part_id is None or wanted.applies_to != "next_trigger":
            return
        late = [camera for camera in cameras if binding.is_late(self._timelines[camera], arrived_ns)]
        if late:
            raise NotDoneError(
                "late",
                f"a trigger of {', '.join(late)} came, and has its record, before this command was taken; "
                "nothing is bound: send it earlier, or for a window",
                {"cameras": list(late)},
            )

    def _save(self, before: Mapping[str, Timeline], after: Mapping[str, Timeline]) -> None:
        """What is to outlive us."""
        held = {camera: _standing(timeline) for camera, timeline in after.items()}
        if held == {camera: _standing(timeline) for camera, timeline in before.items()}:
            return
        text = json.dumps({camera: one.model_dump(exclude_none=True) for camera, one in held.items()})
        replace_file(self._path, [text.encode()])


def _standing(timeline: Timeline) -> _Standing:
    part = timeline.parts[-1]
    lasts = part.until_ns is None and not part.once
    return _Standing(
        part_id=part.part_id if lasts else None,
        bind_id=part.bind_id if lasts and part.part_id is not None else None,
        job_id=timeline.jobs[-1].job_id,
        product=timeline.products[-1].product,
    )


def _with(timeline: Timeline, wanted: Bind, arrived_ns: int, bind_id: str) -> Timeline:
    if "job_id" in wanted.model_fields_set:
        jobs = (*timeline.jobs, Job(job_id=wanted.job_id, from_ns=arrived_ns))
        timeline = replace(timeline, jobs=jobs)
    if "product" in wanted.model_fields_set:
        products = (*timeline.products, Product(product=wanted.product, from_ns=arrived_ns))
        timeline = replace(timeline, products=products)
    if "part_id" in wanted.model_fields_set:
        ends = wanted.part_id is not None and wanted.applies_to != "until_changed"
        part = Part(
            part_id=wanted.part_id,
            from_ns=arrived_ns,
            bind_id=bind_id,
            until_ns=arrived_ns + round(wanted.timeout_s * 1e9) if ends else None,
            once=wanted.part_id is not None and wanted.applies_to == "next_trigger",
            used=wanted.part_id is None,
        )
        timeline = replace(timeline, parts=(*timeline.parts, part))
    return timeline
