"""A run from archives to report: finished parts stay, so that one that was cut goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.bundle.bundle import Bundle, open_bundle
from agent.clock import Clock, rfc3339
from agent.engines.engine import EngineError
from agent.foreign import shown, stored
from models.rescoring import plan as plans
from models.rescoring.archives import survey
from models.rescoring.faults import RescoreError
from models.rescoring.plan import Part, Plan
from models.rescoring.report import Report, report_of
from models.rescoring.row import Row
from models.rescoring.store import LEFT_OUT, REPORTS, Store, taken
from models.rescoring.words import markdown
from models.rescoring.workers import Done, by_processes, in_turn
from models.stages import Stages, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class OnRay:
    """Where the work is done, if not on this machine alone."""

    address: str | None  # None: as Ray finds it


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What somebody asks for."""

    bundle: Path
    frames: tuple[Path, ...]
    out: Path
    workers: int | None = None  # None: every core; on Ray, of the cluster
    ray: OnRay | None = None


def rescore(wanted: Wanted, *, cores: int, clock: Clock, stages: Stages) -> Report:
    """Judge what is not judged yet, and say what would change.

    Raises RescoreError and BundleError; parts that were finished by then stay.
    """
    _require_apart(wanted)
    bundle = open_bundle(wanted.bundle)
    with taken(wanted.out) as store:
        plan = _plan(store, wanted, bundle, stages)
        finished = store.finished(plan)
        parts = list(plan.parts())
        left = [part for part in parts if part.number not in finished]
        with stages.stage("judging, by parts", len(parts), done=len(finished)) as step:
            if left:
                _judge(store, plan, _done(wanted, left, plan, bundle, cores), step)
        with stages.stage("counting what would change"):
            numbers = [part.number for part in parts]
            report = report_of(
                store.rows(plan, numbers),
                at=rfc3339(clock.utc_now()),
                bundle=plan.bundle,
                bundle_sha256=plan.bundle_sha256,
                archives=plan.archives,
            )
            store.keep(LEFT_OUT, _left_out(store.rows(plan, numbers)))
            as_json, as_markdown = REPORTS
            store.keep(as_json, [report.model_dump_json(by_alias=True, indent=2).encode(), b"\n"])
            store.keep(as_markdown, (f"{line}\n".encode() for line in markdown(report)))
    return report


def _plan(store: Store, wanted: Wanted, bundle: Bundle, stages: Stages) -> Plan:
    """The one that was begun in this folder, else a new one."""
    named = [stored(str(folder.resolve())) for folder in wanted.frames]
    plan = store.plan()
    if plan is None:
        with stages.stage("looking for archives"):
            found = survey(wanted.frames)
            data = plans.made(
                found, bundle=bundle.manifest.name, bundle_sha256=bundle.sha256, named=sorted(set(named))
            )
            return store.begin(data)
    where = shown(str(wanted.out))
    if plan.bundle_sha256 != bundle.sha256:
        raise RescoreError(
            f"--out {where}: was begun with bundle {plan.bundle} ({plan.bundle_sha256[:12]}), and --bundle is"
            f" {bundle.manifest.name} ({bundle.sha256[:12]}); give a new folder"
        )
    if plan.named != tuple(sorted(set(named))):
        raise RescoreError(
            f"--out {where}: was begun with --frames {shown(', '.join(plan.named))}; give these, or a new"
            " folder"
        )
    return plan


def _done(wanted: Wanted, left: Sequence[Part], plan: Plan, bundle: Bundle, cores: int) -> Iterator[Done]:
    """Which of the three ways; each gives the same rows."""
    if wanted.ray is not None:
        from models.rescoring.on_ray import by_ray  # an extra of its own

        return by_ray(left, plan.folders, bundle, workers=wanted.workers, address=wanted.ray.address)
    workers = min(wanted.workers or cores, len(left))
    if workers == 1:
        return in_turn(left, plan.folders, bundle)
    return by_processes(left, plan.folders, bundle, workers=workers)


def _judge(store: Store, plan: Plan, done: Iterator[Done], step: Step) -> None:
    try:
        for number, rows in done:
            store.put(plan, number, rows)
            step("")
    except EngineError as error:
        raise RescoreError(f"{error}; finished parts stay: run the same command again") from error


def _left_out(rows: Iterator[Row]) -> Iterator[bytes]:
    for row in rows:
        if row.status != "judged":
            yield json.dumps({"file": row.file, "status": row.status, "why": row.why}).encode() + b"\n"


def _require_apart(wanted: Wanted) -> None:
    """Raises RescoreError where the run would write among what it reads."""
    out = wanted.out.resolve()
    for folder in wanted.frames:
        if out.is_relative_to(folder.resolve()):
            raise RescoreError(
                f"--out {shown(str(wanted.out))}: lies in --frames {shown(str(folder))}, which is only"
                " read; give"
                " a folder elsewhere"
            )
