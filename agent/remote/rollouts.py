"""The rollouts of a station, made from its parts; and which bundle it begins with."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import structlog

from agent.bundle.trust import require_trusted
from agent.clock import Clock
from agent.contract.desired import group_address, station_address
from agent.errors import PlumblineError
from agent.foreign import shown
from agent.line.no_model import no_model
from agent.line.opened import OpenedBundle, OpenedBundles
from agent.line.recipes import Recipes
from agent.line.way import RightOfWay
from agent.remote.proof.prover import Prover
from agent.remote.rollout.begin import Begun, begin, gone_back
from agent.remote.rollout.depot import CURRENT, Depot
from agent.remote.rollout.lines import Lines
from agent.remote.rollout.means import Means, Turn
from agent.remote.rollout.no_depot import NoDepot
from agent.remote.rollout.offers import Offer, Refusal, read_offer, unread
from agent.remote.rollout.orders import Rollouts
from agent.remote.rollout.recorded import UNRECORDED, Recorded
from agent.remote.rollout.telling import Tell
from agent.remote.rollout.transaction import Proven
from agent.remote.rollout.updater import Updater
from agent.remote.rollout.witness import Witness
from agent.remote.transport.fetch import Fetcher, Ways
from agent.settings.settings import Settings
from agent.trust.freshness import Reading
from agent.trust.trust_set import TrustError, load_trust
from agent.uplink.uplink import Uplink

log = structlog.get_logger()


def begun(wanted: Settings, clock: Clock) -> Begun | None:
    """The depot that the settings name, as a start leaves it; None where they name none."""
    depot = Depot(folder=wanted.bundle.parent, is_of_station=True)
    if wanted.bundle.name != CURRENT and not depot.is_own(wanted.bundle):
        return None
    return begin(depot, clock, lambda words: log.error("rollout_hindered", reason=words))


def open_first(
    wanted: Settings, found: Begun | None, bundles: OpenedBundles, clock: Clock
) -> tuple[OpenedBundle, Begun | None]:
    """What the station begins with, kept open.

    A bundle on probation that cannot be opened is gone back from; where none is whole, nothing is judged.
    Raises BundleError, NotTrusted or EngineError for one that serves by the settings.
    """
    # One that is named by its digest served before settings that were refused, and does so again.
    while found is not None and found.is_used and wanted.bundle.name == CURRENT:
        if found.path is None:
            log.error("no_model", remedy="install a bundle")
            return no_model(wanted.bundle), found
        try:
            return bundles.open(found.path), found
        except PlumblineError as error:
            if not found.is_on_probation:
                raise
            log.error("bundle_on_probation_not_opened", reason=shown(str(error)))
            found = gone_back(found, error, clock)
    return bundles.open(wanted.bundle), found


def build(
    wanted: Settings,
    found: Begun | None,
    recipes: Recipes,
    uplink: Uplink,
    witness: Witness,
    clock: Clock,
    *,
    changed: Callable[[], None],
    turn: Turn,
    way: RightOfWay,
    recorded: Recorded = UNRECORDED,
) -> Rollouts:
    """To be run beside the lines, whose way is `way`; `changed` is called when there is news to report."""
    serving = recipes.station.bundle.sha256
    if serving and (found is None or found.record.state in ("idle", "committed", "failed")):
        recorded.serves(serving)
    if found is None:
        return NoDepot(wanted.bundle, lambda: recipes.station.bundle, clock, changed=changed)
    topics = uplink.events.topics
    addresses = {station_address(topics), *map(group_address, wanted.remote.groups)}

    def read(data: bytes, reading: Reading, transaction: str) -> Offer | Refusal:
        try:
            trust = None if wanted.trust.file is None else load_trust(wanted.trust.file)
        except TrustError as error:
            return unread(data, 401, f"trust.file: {error}")
        return read_offer(data, trust=trust, addresses=addresses, reading=reading, transaction=transaction)

    def prove(candidate: Path, incumbent: Path | None, *, cancelled: Callable[[], bool]) -> Proven:
        return Prover(wanted=recipes.settings, way=way)(candidate, incumbent, cancelled=cancelled)

    return Updater(
        found,
        Means(
            depot=found.depot,
            fetch=Fetcher(
                depot=found.depot,
                ways=Ways(https=wanted.remote.download, chunks=uplink.link),
                trusted=lambda bundle: require_trusted(bundle, wanted.trust),
                kept_free=wanted.outbox.min_free_bytes,
                clock=clock,
                rng=random.Random(),
            ),
            prove=prove,
            stage=Lines(recipes, clock),
            turn=turn,
            trusted=lambda bundle: require_trusted(bundle, wanted.trust),
            witness=witness,
            limits=wanted.remote.probation,
            kept_free=wanted.outbox.min_free_bytes,
            tell=_teller(uplink),
            clock=clock,
            recorded=recorded,
        ),
        read=read,
        changed=changed,
    )


def _teller(uplink: Uplink) -> Tell:
    return lambda event, severity, detail, **data: uplink.keeper.note(
        uplink.events.row(event, severity, detail, **data)
    )
