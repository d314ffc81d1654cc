"""`plumbline bundle prove`: whether a bundle may serve here, beside the line that goes on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.exit_codes import ExitCode, NotGood
from agent.cli.options import Config, Json, loaded
from agent.cli.terminal import complain, must_be_there, say, say_json
from agent.errors import PlumblineError
from agent.foreign import shown, stored

if TYPE_CHECKING:
    from agent.remote.proof.document import Found, Look, Side, Step
    from agent.settings.settings import Settings


def prove(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="bundle folder or .plumb file")],
    config: Config,
    as_json: Json = False,
) -> None:
    """Have a bundle stand its proof on this machine; works beside a running station, and changes nothing.

    Its golden tiles on the engine that would serve it, which is built and kept for it; then it judges the
    last frames of the archive beside the bundle that serves. What settings allow stands in remote.proof.

    With --json: schema, at, candidate, incumbent, golden, frames, flips, shift, marks, unusable, worst,
    notes, refused, folder, problem.
    """
    must_be_there(bundle, "BUNDLE", "give a bundle folder or .plumb file")

    from agent.bundle.bundle import BundleError
    from agent.bundle.files import NotABundle
    from agent.bundle.trust import NotTrusted
    from agent.remote.proof.document import NotProven
    from agent.remote.proof.prover import Prover, folder_of

    wanted = loaded(config)
    _require_own(wanted)
    prover = Prover(wanted=wanted, tell=_quiet if as_json else tell_step)
    found, problem = None, None
    try:
        _require_trusted(bundle, wanted)
        found = prover.prove(bundle, wanted.bundle, cancelled=never)
    except NotABundle:
        raise
    except (BundleError, NotTrusted) as error:
        raise NotGood(str(error)) from error
    except NotProven as error:
        if error.found is None:
            raise NotGood(str(error)) from error
        found, problem = error.found, {"code": error.code, "message": stored(str(error))}
    folder = folder_of(wanted) / found.candidate.sha256
    if as_json:
        content: dict[str, Any] = found.model_dump(mode="json", by_alias=True)
        say_json({**content, "folder": stored(str(folder)), "problem": problem})
    else:
        tell(found, folder)
    if problem is not None:
        if not as_json:
            complain(f"plumbline: {problem['message']}")
        raise typer.Exit(ExitCode.NOT_GOOD)


def _require_trusted(bundle: Path, wanted: Settings) -> None:
    from agent.bundle.bundle import read_head
    from agent.bundle.files import open_files
    from agent.bundle.trust import require_trusted

    with open_files(bundle) as there:
        require_trusted(read_head(there, bundle), wanted.trust)


def _require_own(wanted: Settings) -> None:
    """The station has to be able to read the engine that is built here."""
    import os

    from agent.users import user_name

    cache = wanted.engine_cache()
    nearest = next(one for one in (cache, *cache.parents) if os.path.lexists(one))
    if nearest.stat().st_uid != os.geteuid():
        owner, user = user_name(nearest.stat().st_uid), user_name(os.geteuid())
        raise PlumblineError(
            f"{shown(str(cache))}: {shown(str(nearest))} belongs to {owner} and this is {user}; run it as "
            f"{owner}: sudo -u {owner} plumbline bundle prove ..."
        )


def never() -> bool:
    return False


def _quiet(step: Step) -> None:
    pass


def tell_step(step: Step) -> None:
    words = {
        "candidate": "candidate: opening, golden tiles",
        "incumbent": "incumbent: opening",
        "pictures": "worst pictures",
    }
    if step.step in words:
        say(words[step.step])
    elif step.done in (step.of // 4, step.of // 2, 3 * step.of // 4):
        say(f"frames: {step.done} of {step.of}")


def tell(found: Found, folder: Path) -> None:
    golden, frames, flips = found.golden, found.frames, found.flips
    say(f"candidate: {_side(found.candidate)}")
    if found.incumbent is not None:
        say(f"incumbent: {_side(found.incumbent)}")
    if golden.worst_tile_delta is not None:
        allowed = "" if golden.tolerance is None else f", {golden.tolerance:g} allowed"
        say(f"golden tiles: within {golden.worst_tile_delta:.1e} of score or threshold{allowed}")
    say(
        f"frames: {frames.judged} of {frames.wanted}; by the incumbent {frames.passes} pass, {frames.fails} "
        f"fail, {frames.undecided} undecided; {frames.damaged} damaged, {frames.passed_over} of other cameras"
    )
    say(f"flips: {flips.to_fail} to fail, {flips.to_pass} to pass, {flips.to_undecided} to undecided")
    if found.shift is not None:
        shift = found.shift
        say(
            f"shift: median {shift.median:.1f} % of the threshold, bias {shift.bias:+.1f}, worst "
            f"{shift.worst:.1f}"
        )
    for one in found.worst:
        say(f"  {one.camera} {one.result_id}: {_words(one.incumbent)} -> {_words(one.candidate)}")
    for unusable in found.unusable:
        say(f"not judged: {unusable.why}")
    for note in found.notes:
        say(f"note: {note}")
    if found.worst:
        say(f"pictures: {folder}")


def _side(side: Side) -> str:
    return f"{side.name} {side.sha256[:12]} on {side.engine or 'no engine'}"


def _words(look: Look) -> str:
    return look.verdict if look.normalized is None else f"{look.verdict} {look.normalized:.1f}"
