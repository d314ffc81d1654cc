"""The composition root: it alone, with `foundation.py` and `listeners.py`, knows every part.

`build` makes and joins them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from datetime import time
from functools import partial
from pathlib import Path
from types import MappingProxyType

from agent.cameras.make import MakeCamera, can_wait, connections, make_supervisor, simulated
from agent.clock import Clock, clock_synced, new_uuid7
from agent.contract.topics import DesiredKind
from agent.crew import Crew
from agent.foundation import lay
from agent.labels.learning import check_set, learned_of
from agent.labels.namer import Namer
from agent.labels.shelf import shelf_of
from agent.line.capture import Capture
from agent.line.line import make_line
from agent.line.publish import Publisher
from agent.line.recipe import dry_recipe
from agent.line.record import Origin
from agent.listeners import make_listeners
from agent.outputs.genicam import Cameras
from agent.outputs.outputs import Watched
from agent.page.control import Control
from agent.page.labels import told as labels_told
from agent.page.server import make_server
from agent.page.sources import Behind, Change, History
from agent.remote.changes import ChangeFile
from agent.remote.commands.station import Recommending
from agent.remote.documents import Take
from agent.remote.proof.prover import folder_of
from agent.remote.reporting import Reporter
from agent.remote.settings.apart import Look
from agent.remote.settings.run import SettingsRun
from agent.running import App
from agent.settings import settings
from agent.settings.shape import Keys
from agent.status import sampled
from agent.status.board import Board
from agent.status.frozen import FrozenCameras
from agent.status.metrics import Metrics
from agent.status.parts import Parts
from agent.status.said import VERSION
from agent.status.vigil import make_vigil
from agent.status.watch import Watch
from agent.systemd import NOBODY, Manager
from agent.teach.make import make_teaching
from agent.teach.station import FOLDER as TAUGHT
from agent.track.track import scale_of


def nothing_is_looked_at(wanted: settings.Settings, at: Callable[[Keys], bool]) -> Iterable[tuple[Keys, str]]:
    return ()


def build(
    wanted: settings.Settings,
    clock: Clock,
    crew: Crew,
    *,
    make: MakeCamera = connections,
    manager: Manager = NOBODY,
    refused: Callable[[], Iterable[str]] = tuple,
    look: Look = nothing_is_looked_at,
    takers: Mapping[DesiredKind, Take] = MappingProxyType({}),
    wishes: Recommending | None = None,
    inbox: Path | None = None,
    changes: ChangeFile | None = None,
    history: History | None = None,
    told: Callable[[], None] = lambda: None,
    settings_state: Callable[[], str | None] = lambda: None,
) -> App:
    """Open what must be right before anything runs: bundle, engine and outbox; make the rest.

    `look` finds what settings name and is not good here; `takers` take documents, which come from the broker
    or lie in the folder `inbox`. `told` is called when a report of the bundle would say something new.
    `settings_state` is that of settings that are under way; None for none.

    Raises a PlumblineError naming what is wrong: bundle, engine or outbox; then nothing is open.
    """
    with ExitStack() as undo:
        names, new_id = [camera.name for camera in wanted.cameras], partial(new_uuid7, clock)
        ground = lay(
            wanted,
            clock,
            undo,
            takers=takers,
            wishes=wishes,
            inbox=inbox,
            changes=changes,
            told=told,
            settings_state=settings_state,
        )
        recipes, status, up, asked = ground.recipes, ground.status, ground.up, ground.asked
        archive, again, holds = ground.archive, ground.again, ground.said.holds
        board = Board(
            station=status.station,
            version=VERSION,
            clock=clock,
            max_unjudged_share=wanted.health.max_unjudged_share,
            serving=lambda: status.serving(names[0]),
        )
        scales = {one.name: scale for one in wanted.cameras if (scale := scale_of(one)) is not None}
        make = (gates := Cameras()).noting(make)
        listeners = make_listeners(wanted, ground, clock, board=board, gates=gates, scales=scales)
        outputs, part_verdicts, drift, day = (
            listeners.outputs,
            listeners.part_verdicts,
            listeners.drift,
            listeners.day,
        )
        teaching = make_teaching(
            wanted.outbox.path.with_name(TAUGHT),
            tap=listeners.tap,
            recipes=recipes,
            engine=lambda: None if (serving := status.serving(names[0])) is None else serving.engine,
            rollouts=ground.rollouts,
            desk=asked.desk,
            settling=settings_state,
            changes=changes,
            way=ground.way,
            clock=clock,
        )
        publisher = Publisher(
            outbox=up.outbox,
            topics=up.events.topics,
            origin=Origin(
                station=status.station,
                boot_id=status.boot_id,
                simulated=simulated(wanted.cameras),
                scales=scales,
            ),
            clock=clock,
            clock_synced=clock_synced,
            new_id=new_id,
            first_sequence=up.outbox.last_sequence() + 1,
            listeners=listeners.in_order,
            bindings=ground.said.bindings,
            roll_of=listeners.rolls.roll_id,
            parts_required=[camera.name for camera in wanted.cameras if camera.part_required],
        )
        captures = {
            camera.name: Capture(
                wanted.line.mode, wanted.line.ring_frames, source_waits=can_wait(camera.source)
            )
            for camera in wanted.cameras
        }
        cameras = {
            camera.name: make_supervisor(
                camera,
                Watched(captures[camera.name], outputs),
                clock,
                board.camera_state,
                make,
                holds.why_disabled,
                outputs.came,
            )
            for camera in wanted.cameras
        }
        namer = Namer(shelf_of(wanted), held=ground.bundles.held, recipes=recipes.judging, clock=clock)
        lines = {
            one.name: make_line(
                one,
                captures[one.name],
                recipes.in_force,
                publisher,
                clock,
                restored=wanted.page.enabled or archive is not None,
                pause_at=holds.pause_at,
                way=ground.way,
                names=namer,
            )
            for one in wanted.cameras
        }
        recipes.serve(lines)
        parts = Parts(
            recipes=recipes,
            cameras=cameras,
            captures=captures,
            lines=lines,
            uplink=up,
            remote=asked,
            rollouts=ground.rollouts,
            roll_maps=listeners.roll_maps,
            part_verdicts=part_verdicts,
            archive=archive,
            marks=ground.marks,
            drift=drift,
            namer=namer,
            outputs=outputs,
            board=board,
            day=day,
        )
        metrics = Metrics(
            listeners.tally.samples,
            lambda: sampled.of_station(parts, turned_away=0 if page is None else page.turned_away),
        )
        page = make_server(
            board,
            metrics,
            wanted,
            behind=Behind(
                proofs=folder_of(wanted),
                archive=None if archive is None else archive.shelf,
                marks=ground.marks.file,
                day=day,
                shift_starts=[time.fromisoformat(start) for start in wanted.page.shift_starts],
                rolls=listeners.rolls,
                parts=part_verdicts.counts.shown if wanted.parts and part_verdicts is not None else None,
                replay=None if again is None else again.replay,
                explain=None if again is None else again.explain,
                learn_labels=None
                if archive is None
                else lambda recipe: labels_told(
                    *learned_of(
                        recipes,
                        recipe,
                        shelf_of(wanted),
                        clock,
                        before=[] if history is None else [one.data for _, one in history.snapshots()],
                    )
                ),
                check_labels=lambda recipe, sha256: check_set(recipes, recipe, shelf_of(wanted), sha256),
                drift=drift.views,
                outputs=outputs.views,
                teaching=teaching,
                settings_state=settings_state,
                desk=asked.desk,
                history=history,
                changes=changes,
                control=Control(
                    commanded_ns=lambda: asked.desk.commanded_ns,
                    gives_way_s=wanted.page.gives_way_s,
                    record=changes,
                    clock=clock,
                ),
                in_force=lambda: {
                    **status.in_force(names),
                    "recipes": list(recipes.names),
                    "paused": None if (hold := holds.paused) is None else hold.model_dump(mode="json"),
                    "cameras": status.judges(names),
                },
                change=None
                if wishes is None
                else Change(
                    in_force=lambda: recipes.settings,
                    propose=lambda patch, who, what: wishes.propose(patch, who, way="page", what=what),
                ),
            ),
        )
        watch = Watch(
            parts=parts,
            refused=refused,
            check=publisher.check,
            metrics=metrics,
            frozen=FrozenCameras(up.events, up.keeper.note),
            status=status,
            manager=manager,
            clock=clock,
        )
        app = App(
            clock=clock,
            parts=parts,
            watch=watch,
            vigil=make_vigil(
                manager, parts, watch, waits=lambda: crew.waits, is_alive=crew.is_alive, clock=clock
            ),
            page=page,
            teaching=teaching,
            crew=crew,
            make=make,
            settings_run=SettingsRun(
                reporter=Reporter(
                    station=status.station,
                    boot_id=status.boot_id,
                    clock=clock,
                    bundle=ground.rollouts.report,
                ),
                publisher=up.link,
                cameras=names,
                witness=listeners.of_settings,
                recipe=lambda other: dry_recipe(other, recipes.station.bundle, recipes.station.engine),
                look=look,
                clock=clock,
                in_force=lambda: recipes.in_force.settings.sha256,
                turns=ground.turns,
                silent=board.silent,
                size_of=board.size_of,
            ),
        )
        undo.pop_all()
    return app
