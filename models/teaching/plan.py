"""How long teaching takes here, and how many pictures fit into the time that there is. Needs no torch."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from agent.errors import PlumblineError

Preset: TypeAlias = Literal["nano", "edge"]

METHOD = "decodiff"
REFERENCE_GFLOPS = 60.0  # of the machine that the seconds below were measured on, by `speed`
TEACHER_S: dict[Preset, float] = {"nano": 0.016, "edge": 0.1}  # for each training picture
STUDENT_S: dict[Preset, float] = {"nano": 0.022, "edge": 0.5}
FIXED_S: dict[Preset, float] = {"nano": 90.0, "edge": 750.0}  # lessons, statistics, export, report
STUDENT_SHARE = 0.8  # of the pictures
FEWEST: dict[Preset, int] = {"nano": 1200, "edge": 2400}  # pictures; below, the student is blind
MOST: dict[Preset, int] = {"nano": 6000, "edge": 48_000}
MINUTES = 30.0


class PlanError(PlumblineError):
    """The time does not do; says how long it takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    preset: Preset
    teacher_images: int
    student_images: int
    seconds: float  # estimated, all in all


def speed() -> float:
    """What this machine multiplies, in GFLOP/s, as it is loaded now: the middle of some twenty goes."""
    side, took = 384, []
    left = np.random.default_rng(0).random((side, side), np.float32)
    for _ in range(20):
        began = time.perf_counter()
        left @ left
        took.append(time.perf_counter() - began)
    return float(2 * side**3 / np.median(took) / 1e9)


def plan(preset: Preset | None, minutes: float, gflops: float) -> Plan:
    """The largest preset that fits, or the one that is named, with as many pictures as fit.

    Raises PlanError where the time is too short.
    """
    slower = max(0.05, REFERENCE_GFLOPS / max(gflops, 1e-3))
    asked: tuple[Preset, ...] = ("edge", "nano") if preset is None else (preset,)
    for one in asked:
        images = math.floor((60 * minutes / slower - FIXED_S[one]) / _each_s(one))
        if images >= FEWEST[one]:
            return sized(one, min(images, MOST[one]), slower)
    least = sized(asked[-1], FEWEST[asked[-1]], slower)
    raise PlanError(
        f"--minutes {minutes:g}: {asked[-1]} takes {math.ceil(least.seconds / 60)} minutes here at least; "
        "give as many"
    )


def sized(preset: Preset, images: int, slower: float) -> Plan:
    """So many pictures, shared between teacher and student."""
    student = round(STUDENT_SHARE * images)
    return Plan(
        preset=preset,
        teacher_images=images - student,
        student_images=student,
        seconds=slower * (FIXED_S[preset] + images * _each_s(preset)),
    )


def begun(preset: Preset, teacher_images: int, student_images: int, gflops: float) -> Plan:
    """Of a run that goes on: its pictures are settled, and the time is that of the whole of it."""
    slower = max(0.05, REFERENCE_GFLOPS / max(gflops, 1e-3))
    trained_s = teacher_images * TEACHER_S[preset] + student_images * STUDENT_S[preset]
    return Plan(
        preset=preset,
        teacher_images=teacher_images,
        student_images=student_images,
        seconds=slower * (FIXED_S[preset] + trained_s),
    )


def resized(preset: Preset, minutes: float, spent_s: float, each_s: float) -> int:
    """Pictures for the student in the time that is left, by what one cost the teacher here, `each_s`."""
    slower = each_s / TEACHER_S[preset]
    left_s = 60 * minutes - spent_s - slower * FIXED_S[preset]
    fewest, most = (round(STUDENT_SHARE * bound[preset]) for bound in (FEWEST, MOST))
    return min(most, max(fewest, math.floor(left_s / (slower * STUDENT_S[preset]))))


def _each_s(preset: Preset) -> float:
    return (1 - STUDENT_SHARE) * TEACHER_S[preset] + STUDENT_SHARE * STUDENT_S[preset]
