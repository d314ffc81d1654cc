"""`plumbline bundle install`, `rollback` and `status`: which bundle the station serves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.exit_codes import ExitCode, NotGood
from agent.cli.options import Config, Json
from agent.cli.prove import never, tell, tell_step
from agent.cli.terminal import say, say_json
from agent.errors import PlumblineError
from agent.foreign import stored

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.bundle.bundle import Bundle
    from agent.remote.rollout.depot import Depot
    from agent.remote.rollout.install import Ended, Hand
    from agent.remote.rollout.transaction import Link, Record
    from agent.settings.settings import Settings

TAKEN = "a running station takes it at its next reload (systemctl reload plumbline) or start"


def install(
    source: Annotated[
        Path,
        typer.Argument(metavar="FILE|FOLDER", help=".plumb file or bundle folder, on a stick for instance"),
    ],
    config: Config,
) -> None:
    """Copy a bundle to this station, prove it here, and have it served.

    Digests, trust by the settings, and its proof as `plumbline bundle prove` does it: golden scores on the
    engine that will serve and, with archive.folder, the archive's last frames beside the bundle that serves.
    Then it is `current`, and what was is `previous`. A running station takes it at its next reload or start.
    """
    from agent.settings import settings

    wanted = settings.load(config)
    _tell(_done(lambda: _hand(wanted, _beside).install(source)), "installed")


def rollback(config: Config) -> None:
    """Go back to the bundle that served before, once it reproduces its golden scores here.

    A running station takes it at its next reload or start.
    """
    from agent.settings import settings

    wanted = settings.load(config)
    _tell(_done(lambda: _hand(wanted, _golden).roll_back()), "gone back to")


def status(config: Config, as_json: Json = False) -> None:
    """Which bundle is in force, which was before, and how the last install ended.

    With --json: folder, current, previous, each with sha256, name, counter, damage; state, last, failed,
    trouble.
    """
    from agent.remote.rollout.rollout_file import RECORD, RolloutFile
    from agent.settings import settings

    depot = _depot(settings.load(config))
    record, trouble = RolloutFile(path=depot.folder / RECORD).read()
    bundles = {link: _bundle(depot, link) for link in ("current", "previous")}
    current = bundles["current"]
    is_good = current is not None and all(one is None or one["damage"] is None for one in bundles.values())
    if as_json:
        say_json(
            {
                "folder": stored(str(depot.folder)),
                **bundles,
                "state": record.state,
                "last": _last(record),
                "failed": [
                    {"sha256": one.target_sha256, "name": one.target_id, "reason": stored(one.reason)}
                    for one in record.failed
                ],
                "trouble": None if trouble is None else stored(trouble),
            }
        )
    else:
        say(str(depot.folder))
        for link, one in bundles.items():
            say(f"{link}: {_words(one)}")
        cut = "" if record.state == "idle" else "; where no install goes on, the next one ends it"
        say(f"state: {record.state.replace('_', ' ')}{cut}")
        if record.instruction is not None:
            errors = "".join(f"; {one.message}" for one in record.errors)
            outcome = (record.outcome or record.state).replace("_", " ")
            name, sha256 = record.instruction.target_id, record.instruction.target_sha256
            say(f"last: {name} {sha256[:12]} of {record.started_at}: {outcome}{errors}")
        for failure in record.failed:
            say(f"failed here: {failure.target_id} {failure.target_sha256[:12]}: {failure.reason}")
        if trouble is not None:
            say(trouble)
    if not is_good:
        raise typer.Exit(ExitCode.NOT_GOOD)


def _depot(wanted: Settings) -> Depot:
    from agent.remote.rollout.depot import CURRENT, Depot

    if wanted.bundle.name != CURRENT:
        raise PlumblineError(
            f"bundle: {wanted.bundle}: not a link that bundles are installed under; set `bundle` to "
            f"FOLDER/{CURRENT}, as {wanted.bundle.parent / 'bundles' / CURRENT}"
        )
    return Depot(folder=wanted.bundle.parent)


def _hand(wanted: Settings, proof: Callable[[Settings, Bundle], None]) -> Hand:
    from agent.bundle.trust import require_trusted
    from agent.clock import SystemClock
    from agent.remote.rollout.install import Hand, Proof

    return Hand(
        _depot(wanted),
        Proof(
            trusted=lambda bundle: require_trusted(bundle, wanted.trust),
            good=lambda bundle: proof(wanted, bundle),
        ),
        SystemClock(),
        kept_free=wanted.outbox.min_free_bytes,
        say=say,
    )


def _golden(wanted: Settings, bundle: Bundle) -> None:
    from agent.engines.cache import EngineCache
    from agent.engines.engine import golden_difference
    from agent.engines.open import open_engine

    cache = EngineCache(wanted.engine_cache(), wanted.engine.cache_max_bytes)
    engine = open_engine(bundle, wanted.engine, cache=cache, say=say)
    name, difference = engine.describe().name, golden_difference(engine, bundle)
    engine.close()
    say(f"golden scores: {name} within {difference:.1e} of score or threshold")


def _beside(wanted: Settings, bundle: Bundle) -> None:
    """As a bundle from afar, where there are frames to judge."""
    from agent.remote.proof.document import NotProven
    from agent.remote.proof.prover import Prover, folder_of

    if wanted.archive.folder is None:
        _golden(wanted, bundle)
        say("proof: golden scores alone; archive.folder is not set, so there are no frames to judge")
        return
    folder = folder_of(wanted) / bundle.sha256
    try:
        tell(Prover(wanted=wanted, tell=tell_step).prove(bundle.path, wanted.bundle, cancelled=never), folder)
    except NotProven as error:
        if error.found is not None:
            tell(error.found, folder)
        raise


def _done(what: Callable[[], Ended]) -> Ended:
    from agent.bundle.bundle import BundleError
    from agent.bundle.files import NotABundle
    from agent.bundle.trust import NotTrusted
    from agent.remote.rollout.install import NotInstalled

    try:
        return what()
    except NotABundle:
        raise
    except (BundleError, NotTrusted, NotInstalled) as error:
        raise NotGood(str(error)) from error


def _tell(ended: Ended, done: str) -> None:
    name = f"{ended.bundle.manifest.name} {ended.bundle.sha256[:12]}"
    if ended.is_new:
        say(f"{done} {name}; {TAKEN}")
    else:
        say(f"{name} is in force already; nothing was changed")


def _bundle(depot: Depot, link: Link) -> dict[str, Any] | None:
    sha256 = depot.named(link)
    if sha256 is None:
        return None
    content: dict[str, Any] = {"sha256": sha256, "name": None, "counter": None, "damage": None}
    try:
        manifest = depot.open(sha256).manifest
    except PlumblineError as error:
        return {**content, "damage": stored(str(error))}
    return {**content, "name": manifest.name, "counter": manifest.counter}


def _words(one: dict[str, Any] | None) -> str:
    if one is None:
        return "none"
    if one["damage"] is not None:
        return f"{one['sha256'][:12]}, damaged: {one['damage']}"
    return f"{one['name']} {one['sha256'][:12]}, counter {one['counter']}"


def _last(record: Record) -> dict[str, Any] | None:
    if record.instruction is None:
        return None
    return {
        "sha256": record.instruction.target_sha256,
        "name": record.instruction.target_id,
        "outcome": record.outcome,
        "begun": record.started_at,
        "errors": [{"code": one.code, "message": stored(one.message)} for one in record.errors],
    }
