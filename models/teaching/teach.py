"""A folder of pictures to a bundle and a settings file, in one go that is resumed wherever it was cut."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import yaml

from agent import durable
from agent.bundle.bundle import Bundle, open_bundle
from agent.foreign import shown
from models.data.preflight import WEIGHTS
from models.shipping.export import BlindError, export
from models.student.distill import distill
from models.teaching.look import Look
from models.teaching.plan import METHOD, Plan, resized
from models.teaching.progress import Whole
from models.teaching.report import Report, report
from models.teaching.state import State, TeachError, read_state, save
from models.training.fit import COST
from models.training.train import train

BUNDLE, SETTINGS, REPORT = "bundle", "agent.yaml", "report"
TRIES = 3  # students, each with twice the pictures of the one before, until one is not blind
NICENESS = 10
NEEDED_BYTES = 1_000_000_000
SHARES = (0.15, 0.55, 0.25, 0.05)  # of the time: teacher, student, export, report


@dataclass(frozen=True, slots=True, kw_only=True)
class Taught:
    bundle: Bundle
    report: Report
    settings: Path


def begin(out: Path, look: Look, plan: Plan, *, target: float, name: str, minutes: float) -> State:
    """The state of a run in `out`, which goes on where it has one. Raises TeachError for another's."""
    wanted = State(
        digest=look.digest,
        preset=plan.preset,
        teacher_images=plan.teacher_images,
        student_images=plan.student_images,
        target=target,
        name=name,
        minutes=minutes,
    )
    there = read_state(out)
    if there is None:
        try:
            out.mkdir(parents=True, exist_ok=True)
            if (free := shutil.disk_usage(out).free) < NEEDED_BYTES:
                raise TeachError(
                    f"{out}: {free / 1e6:.0f} MB are free, and it takes {NEEDED_BYTES / 1e6:.0f}; "
                    "make room, or give another --out"
                )
        except OSError as error:
            raise TeachError(f"{out}: cannot be written ({error.strerror}); check --out") from error
        save(out, wanted)
        return wanted
    for what in ("digest", "target", "name"):
        if getattr(there, what) != getattr(wanted, what):
            other = "pictures" if what == "digest" else what
            raise TeachError(f"{shown(str(out))}: was begun with another {other}; give another --out")
    return there


def teach(data: Path, out: Path, look: Look, state: State, whole: Whole, command: str) -> Taught:
    """All that is not done yet. Raises TeachError, and what training and export raise."""
    teacher, bundle = out / "teacher", out / BUNDLE
    with whole.phase(SHARES[0]):
        if not (teacher / WEIGHTS).is_file():
            train(METHOD, [data], state.preset, teacher, images=state.teacher_images, stages=whole)
    state = _resized(out, state)
    if not bundle.exists():
        state = _student(data, out, state, whole, command)
    else:
        whole.skip(SHARES[1] + SHARES[2])
    opened = open_bundle(bundle)
    with whole.phase(SHARES[3]):
        found = report(opened, look, out / REPORT, whole)
    return Taught(bundle=opened, report=found, settings=write_settings(out, look, state.name))


def _resized(out: Path, state: State) -> State:
    """The student's pictures by what the teacher's took, once, and never of one that was begun."""
    if state.is_resized or (out / "student-1").exists():
        return state
    cost = json.loads((out / "teacher" / COST).read_bytes())
    each_s = cost["seconds"] / max(1, cost["images"])
    images = resized(state.preset, state.minutes, cost["seconds"], each_s)
    state = replace(state, student_images=images, is_resized=True)
    save(out, state)
    return state


def _student(data: Path, out: Path, state: State, whole: Whole, command: str) -> State:
    """Students until one is not blind, and its bundle."""
    while True:
        student = out / f"student-{state.tries}"
        images = state.student_images * 2 ** (state.tries - 1)
        with whole.phase(SHARES[1] / state.tries):
            if not (student / WEIGHTS).is_file():
                distill([out / "teacher"], [data], student, images=images, stages=whole)
        try:
            with whole.phase(SHARES[2]):
                export(
                    student,
                    [data],
                    out / BUNDLE,
                    name=state.name,
                    licence="unspecified",
                    commands=(command,),
                    target=state.target,
                    accept_worse=True,  # whoever waited for it gets it, and is told
                    stages=whole,
                )
            return state
        except BlindError as error:
            if state.tries == TRIES:
                raise TeachError(
                    f"after {state.tries} students, the last with {images} pictures, none sees made-up "
                    f"defects: {error}; are the good pictures in focus and of one product? if so, give "
                    "--preset edge, more good pictures or more --minutes, and another --out"
                ) from error
            state = replace(state, tries=state.tries + 1)
            save(out, state)


def write_settings(out: Path, look: Look, name: str) -> Path:
    """A settings file that `plumbline run` takes: the bundle, and the good pictures in place of a camera."""
    folder = look.good[0].image.parent.resolve()
    content: dict[str, Any] = {
        "version": 1,
        "bundle": str((out / BUNDLE).resolve()),
        "cameras": [
            {
                "name": "camera",
                "source": {"kind": "folder", "path": str(folder), "rate_hz": 1.0, "repeat": True},
            }
        ],
        "archive": {"folder": "archive", "pass_share": 0.1},
    }
    head = (
        f"# Made by plumbline-lab teach for {name}: the pictures that taught it stand in for the camera.\n"
        "# Put your own camera under source, see config/agent.yaml; start: plumbline run -c THIS FILE\n"
    )
    path = out / SETTINGS
    if not path.exists():  # it may have been edited since
        durable.replace_file(path, [(head + yaml.safe_dump(content, sort_keys=False)).encode()])
    return path


def be_low(nice: Callable[[int], int] = os.nice) -> None:
    """Beside a running line the line comes first, and one core is its own where there are several."""
    with suppress(OSError):
        nice(max(0, NICENESS - os.getpriority(os.PRIO_PROCESS, 0)))
    cores = len(os.sched_getaffinity(0))
    if cores > 2:
        torch.set_num_threads(min(torch.get_num_threads(), cores - 1))
