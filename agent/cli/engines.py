"""`plumbline engines`: the cache of compiled engines, before and beside a running agent."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.exit_codes import ExitCode, exits
from agent.cli.options import Config, Json, loaded
from agent.cli.terminal import console, say, say_json
from agent.foreign import shown, stored

if TYPE_CHECKING:
    from rich.text import Text

    from agent.engines.cache import Listed

app = typer.Typer(
    no_args_is_help=True,
    help="Compiled engines of this machine: build, list, prune.",
    epilog=exits("see each command"),
)


@app.command(epilog=exits("it serves, and could not be kept in the cache"))
def build(config: Config) -> None:
    """Open the engine of the settings, so that the agent finds it compiled."""
    from agent.bundle.bundle import open_bundle
    from agent.bundle.trust import require_trusted
    from agent.engines.cache import EngineCache
    from agent.engines.engine import golden_difference
    from agent.engines.open import open_engine

    wanted = loaded(config)
    bundle = open_bundle(wanted.bundle)
    require_trusted(bundle, wanted.trust)
    cache = EngineCache(wanted.engine_cache(), wanted.engine.cache_max_bytes)
    with console().status(_words(f"building for {bundle.manifest.name}")) as status:
        engine = open_engine(
            bundle, wanted.engine, cache=cache, say=lambda words: status.update(_words(words))
        )
    found = engine.describe()
    how = "from the cache" if found.from_cache else "compiled"
    say(f"{found.name}, {found.runtime}, {found.device}: {how} in {found.open_s:.1f} s")
    say(f"golden scores within {golden_difference(engine, bundle):.1e} of score or threshold")
    engine.close()
    if cache.trouble is not None:
        say(f"engine cache: {cache.trouble}")
        raise typer.Exit(ExitCode.NOT_GOOD)


@app.command("list", epilog=exits())
def list_(config: Config, as_json: Json = False) -> None:
    """What is in the cache, last used first.

    With --json: folder, engines, each with file, bytes, is_good, damage, and where it is good engine,
    precision, bundle, runtime, device, build_s, used.
    """
    from agent.engines.cache import EngineCache

    wanted = loaded(config)
    folder = wanted.engine_cache()
    entries = EngineCache(folder, wanted.engine.cache_max_bytes).entries()
    if as_json:
        say_json({"folder": stored(str(folder)), "engines": [_content(one) for one in entries]})
        return
    say(f"{folder}: {len(entries)} engines, {sum(one.size_bytes for one in entries) / 1e6:.1f} MB")
    for one in entries:
        if one.damage:
            say(f"  {one.path.name}: {one.size_bytes / 1e6:.1f} MB, not ours: {one.damage}; built anew")
            continue
        say(
            f"  {one.engine} {one.precision} for {one.bundle}: {one.runtime}, "
            f"{one.device}; {one.size_bytes / 1e6:.1f} MB, built in {one.build_s:.1f} s, used {_used(one)}, "
            "good"
        )


@app.command(epilog=exits())
def prune(
    config: Config,
    everything: Annotated[
        bool, typer.Option("--all", help="delete all of them, not only down to the cap")
    ] = False,
) -> None:
    """Delete damaged engines, then those not used for longest, down to engine.cache_max_bytes."""
    from agent.engines.cache import EngineCache

    wanted = loaded(config)
    cache = EngineCache(wanted.engine_cache(), wanted.engine.cache_max_bytes)
    gone = cache.prune(max_bytes=0 if everything else None)
    for path in gone:
        say(f"deleted {path}")
    kept = cache.entries()
    for one in kept:
        if one.damage:
            say(f"not deleted: {one.path}: {one.damage}; delete it by hand")
    say(f"{len(gone)} deleted, {len(kept)} kept")


def _content(one: Listed) -> dict[str, Any]:
    content: dict[str, Any] = {"file": stored(one.path.name), "bytes": one.size_bytes}
    if one.damage:
        return {**content, "is_good": False, "damage": stored(one.damage)}
    return {
        **content,
        "is_good": True,
        "damage": None,
        "engine": stored(one.engine),
        "precision": stored(one.precision),
        "bundle": stored(one.bundle),
        "runtime": stored(one.runtime),
        "device": stored(one.device),
        "build_s": one.build_s,
        "used": _used(one),
    }


def _used(one: Listed) -> str:
    from agent.clock import rfc3339

    return rfc3339(datetime.fromtimestamp(one.used, timezone.utc))


def _words(line: str) -> Text:
    from rich.text import Text

    return Text(shown(line))
