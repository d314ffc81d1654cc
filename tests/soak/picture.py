"""A day as a picture: memory, threads, file handles and p99 by hour, and what befell the station."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from tests.soak.day import Day
from tests.soak.plan import DEATHS, KINDS

INK, PALE, DEATH = "#1f5a8a", "#c9d7e3", "#b3261e"


def p99_by_hour(day: Day) -> list[float]:
    """Milliseconds from capture to record; NaN for an hour without a record."""
    hours = max(1, math.ceil(day.hours))
    by_hour: list[list[float]] = [[] for _ in range(hours)]
    for one in day.records:
        by_hour[min(int(day.hour_at(one.at_s)), hours - 1)].append(one.recorded_ms)
    return [float(np.percentile(found, 99)) if found else math.nan for found in by_hour]


def draw(day: Day, path: Path) -> None:
    """As PNG."""
    figure, panels = plt.subplots(
        5, 1, figsize=(11, 9.5), sharex=True, height_ratios=(2, 1, 1, 1.6, 2.6), layout="constrained"
    )
    account = day.account
    figure.suptitle(
        f"A day of a station: {day.hours:g} hours in {day.minutes:g} minutes, {len(day.befell)} mishaps\n"
        f"{account.committed} records committed, {len(account.lost)} lost, {len(account.doubled)} twice"
    )
    hours = [day.hour_at(one.at_s) for one in day.samples]
    _lives(panels[0], day, hours, [one.rss_mb for one in day.samples], "memory, MB")
    _lives(panels[1], day, hours, [one.threads for one in day.samples], "threads")
    _lives(panels[2], day, hours, [one.handles for one in day.samples], "open files")
    found = p99_by_hour(day)
    panels[3].bar(np.arange(len(found)) + 0.5, found, width=0.85, color=INK)
    panels[3].set_ylabel("picture to record,\n99 of 100 within")
    panels[3].set_yscale("log")
    panels[3].set_ylim(1, 100_000)
    panels[3].set_yticks([1, 10, 100, 1000, 10_000], ["1 ms", "10 ms", "0.1 s", "1 s", "10 s"])
    panels[3].minorticks_off()
    panels[3].grid(axis="y", color=PALE, linewidth=0.6)
    panels[3].set_axisbelow(True)
    _mishaps(panels[4], day)
    panels[4].set_xlim(0, day.hours)
    panels[4].xaxis.set_major_locator(MaxNLocator(nbins=12, steps=[1, 2, 3, 6, 10]))
    panels[4].set_xlabel("hour of the day; red: the agent's process ends, and another begins")
    figure.savefig(path, dpi=100)
    plt.close(figure)


def _lives(panel: Axes, day: Day, hours: Sequence[float], values: Sequence[float], label: str) -> None:
    """A line for each life of the agent; where it ends the next one begins."""
    lives = [one.life for one in day.samples]
    for life in dict.fromkeys(lives):
        chosen = [place for place, one in enumerate(lives) if one == life]
        panel.plot([hours[one] for one in chosen], [values[one] for one in chosen], color=INK, linewidth=1.2)
    for one in day.befell:
        if one.kind in DEATHS:
            panel.axvline(day.hour_at(one.began_s), color=DEATH, linewidth=0.8, alpha=0.6)
    panel.set_ylabel(label)
    panel.set_ylim(0, 1.15 * max(values, default=1))
    panel.grid(axis="y", color=PALE, linewidth=0.6)


def _mishaps(panel: Axes, day: Day) -> None:
    shown = [kind for kind in KINDS if any(one.kind == kind for one in day.befell)]
    for row, kind in enumerate(reversed(shown)):
        spans = [
            (
                day.hour_at(one.began_s),
                max(day.hour_at(one.ended_s) - day.hour_at(one.began_s), 0.004 * day.hours),
            )
            for one in day.befell
            if one.kind == kind
        ]
        panel.broken_barh(spans, (row - 0.32, 0.64), color=DEATH if kind in DEATHS else INK)
    panel.set_yticks(range(len(shown)), [f"{kind}" for kind in reversed(shown)], fontsize=8)
    panel.set_ylim(-0.6, len(shown) - 0.4)
    panel.grid(color=PALE, linewidth=0.6)
    panel.set_axisbelow(True)
