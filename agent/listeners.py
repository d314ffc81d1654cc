"""Whoever is told of each record after its commit: made, and in the order in which they are told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from agent.clock import Clock, clock_synced, new_uuid7
from agent.contract.row import Row
from agent.drift.watcher import DriftWatch, make_drift
from agent.foundation import Foundation
from agent.line.publish import Listener
from agent.messages import Scale
from agent.outputs.genicam import Cameras
from agent.outputs.make import make_gate
from agent.outputs.outputs import Outputs, make_outputs
from agent.parts.parts import PartVerdicts, make_part_verdicts
from agent.remote.settings.trial import SettingsWitness
from agent.rolls.event import RollMaps, make_roll_maps
from agent.rolls.rolls import Rolls, make_rolls
from agent.settings.settings import Settings
from agent.status.board import Board
from agent.status.day import Day
from agent.status.tally import Tally
from agent.teach.tap import Tap


@dataclass(frozen=True, slots=True, kw_only=True)
class Listeners:
    """Those that are made here, and `in_order` all of them."""

    outputs: Outputs
    part_verdicts: PartVerdicts | None
    rolls: Rolls
    roll_maps: RollMaps
    drift: DriftWatch
    tally: Tally
    day: Day
    tap: Tap
    of_settings: SettingsWitness
    in_order: tuple[Listener, ...]


def make_listeners(
    wanted: Settings,
    ground: Foundation,
    clock: Clock,
    *,
    board: Board,
    gates: Cameras,
    scales: Mapping[str, Scale],
) -> Listeners:
    """Of a station whose outbox is open; `gates` are the cameras that a gate may hang on.

    Raises GateError where a package is missing.
    """
    events, status, recipes = ground.up.events, ground.status, ground.recipes

    def append(row: Row) -> None:
        ground.up.outbox.append([row])

    rolls = make_rolls(wanted.cameras, scales, clock)
    roll_maps = make_roll_maps(wanted.cameras, rolls, events, append)
    drift = make_drift(wanted, lambda: {recipes.in_force.name, *recipes.names}, events, append, clock)
    outputs = make_outputs(
        wanted.outputs,
        make_gate=lambda output: make_gate(output, gates),
        sees=board.is_streaming,
        events=events,
        append=append,
        station=status.station,
        boot_id=status.boot_id,
        clock=clock,
        new_id=partial(new_uuid7, clock),
    )
    part_verdicts = make_part_verdicts(
        wanted,
        ground.up.outbox,
        events,
        boot_id=status.boot_id,
        clock=clock,
        clock_synced=clock_synced,
        listeners=[outputs],
    )
    tally = Tally([camera.name for camera in wanted.cameras])
    day = Day(wanted.outbox.path.with_name(f"{wanted.outbox.path.name}-day.json"), clock)
    day.open()
    tap, of_settings = Tap(), SettingsWitness(clock)
    return Listeners(
        outputs=outputs,
        part_verdicts=part_verdicts,
        rolls=rolls,
        roll_maps=roll_maps,
        drift=drift,
        tally=tally,
        day=day,
        tap=tap,
        of_settings=of_settings,
        in_order=(
            outputs,  # first: the part is on its way
            tally,
            tap,
            roll_maps,
            board,
            day,
            ground.asked.snapshots,
            ground.witness,
            of_settings,
            drift,
            *(one for one in (part_verdicts, ground.archive) if one is not None),
        ),
    )
