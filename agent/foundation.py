"""What a station stands on, made before anything judges: bundles and recipes, uplink, rollouts, the desk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from agent.archive.archive import Archive, make_archive
from agent.chain.notary import key_file
from agent.clock import Clock, new_uuid7
from agent.contract.topics import DesiredKind
from agent.doctor.station import StationDoctor
from agent.engines.choice import look_around
from agent.line.opened import OpenedBundles
from agent.line.recipes import Recipes, open_recipes
from agent.line.way import RightOfWay
from agent.marks.marks import Marks, make_marks
from agent.outbox.place import lock
from agent.remote import remote, rollouts
from agent.remote.changes import ChangeFile
from agent.remote.commands.admission import turn_away
from agent.remote.commands.goods import Goods
from agent.remote.commands.station import Recommending
from agent.remote.documents import Take
from agent.remote.rollout.orders import Rollouts
from agent.remote.rollout.recorded import UNRECORDED, BundleRecord
from agent.remote.rollout.witness import Witness
from agent.remote.turns import Turns
from agent.replay.beside import Beside
from agent.settings.settings import Settings
from agent.status.said import Status
from agent.teach.weighing import weigh
from agent.uplink.make import make_uplink
from agent.uplink.uplink import Uplink


@dataclass(frozen=True, slots=True, kw_only=True)
class Foundation:
    """Made, and not started."""

    said: remote.Said
    bundles: OpenedBundles
    recipes: Recipes
    status: Status
    up: Uplink
    rollouts: Rollouts
    archive: Archive | None
    marks: Marks
    again: Beside | None  # decisions are made once more only of what is archived
    asked: remote.Remote
    witness: Witness
    way: RightOfWay
    turns: Turns


def lay(
    wanted: Settings,
    clock: Clock,
    undo: ExitStack,
    *,
    takers: Mapping[DesiredKind, Take],
    wishes: Recommending | None,
    inbox: Path | None,
    changes: ChangeFile | None,
    told: Callable[[], None],
    settings_state: Callable[[], str | None],
) -> Foundation:
    """`undo` closes what was opened; the rest as `agent/app.py` has it. Raises a PlumblineError."""
    lock(wanted.outbox.path).close()  # before an engine is opened for nothing, or makes its cache beside it
    names, new_id = [camera.name for camera in wanted.cameras], partial(new_uuid7, clock)
    said = remote.open_said(wanted, clock)
    found = rollouts.begun(wanted, clock)
    if found is not None:
        undo.callback(found.held.close)
    bundles = OpenedBundles(
        trust=wanted.trust,
        engine=wanted.engine,
        cache=wanted.engine_cache(),
        machine=look_around(),
        named=lambda: recipes.needed(),
    )
    undo.callback(bundles.close)
    station, found = rollouts.open_first(wanted, found, bundles, clock)
    of_recipes = open_recipes(wanted, bundles)
    recipes = Recipes(
        wanted,
        bundles,
        station,
        of_recipes=of_recipes,
        path=wanted.outbox.path.with_name(f"{wanted.outbox.path.name}-recipe"),
    )
    for one in (station, *of_recipes.values()):
        bundles.drop(one.sha256)  # from here on the recipes need it, or nobody does
    status = Status(
        station=wanted.identity.station,
        boot_id=new_id(),
        recipe=lambda: recipes.in_force,
        holds=said.holds,
        clock=clock,
    )
    up = make_uplink(
        wanted,
        boot_id=status.boot_id,
        last_will=status.last_will(),
        clock=clock,
        new_id=new_id,
        turn_away=turn_away,
        bind=said.bindings.bind,
        key=key_file(wanted.outbox.path),
    )
    undo.callback(up.stop, status.message("stopped", None))
    witness, way, turns = Witness(clock), RightOfWay(), Turns(settings_state)
    carried = rollouts.build(
        wanted,
        found,
        recipes,
        up,
        witness,
        clock,
        changed=told,
        turn=turns,
        way=way,
        recorded=UNRECORDED if changes is None else BundleRecord(changes),
    )
    archive = make_archive(wanted.archive, clock)
    marks = make_marks(
        wanted,
        up.outbox,
        up.events.topics,
        None if archive is None else archive.shelf,
        boot_id=status.boot_id,
        clock=clock,
        new_id=new_id,
    )
    undo.callback(marks.stop)
    again = None if archive is None else Beside(lambda: recipes.settings, way)
    asked = remote.build(
        up,
        wanted,
        said,
        clock,
        marks=marks,
        archive=None
        if archive is None
        else Goods(
            archive.shelf.find,
            archive.shelf.folder,
            pass_share=wanted.archive.pass_share,
            bundle_sha256=lambda: recipes.in_force.bundle_sha256,
        ),
        threshold=lambda camera: (
            None if (serving := status.serving(camera or names[0])) is None else serving.threshold
        ),
        in_force=lambda: status.in_force(names),
        weigh=weigh,
        doctor=StationDoctor(wanted, lambda: up.link.state),
        recipes=recipes,
        settings=wishes,
        rollouts=carried,
        takers={**takers, "bundle": lambda document, base: carried.take(document, base=base)},
        inbox=inbox,
        changes=changes,
        again=None if again is None else again.replay,
    )
    return Foundation(
        said=said,
        bundles=bundles,
        recipes=recipes,
        status=status,
        up=up,
        rollouts=carried,
        archive=archive,
        marks=marks,
        again=again,
        asked=asked,
        witness=witness,
        way=way,
        turns=turns,
    )
