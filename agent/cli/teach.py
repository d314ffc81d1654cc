"""`plumbline teach`: own parts in five steps, resumed wherever they were left."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer

from agent.cli.exit_codes import NotGood
from agent.cli.options import Config, Json, loaded
from agent.cli.terminal import console, finite, must_be_there, say, say_json
from agent.errors import PlumblineError

if TYPE_CHECKING:
    from agent.settings.settings import Settings
    from agent.teach.flow import Flow, Means
    from agent.teach.state import State, Step, Told

FOLDER = "teach"  # beside the outbox

Done = TypeVar("Done")


def teach(
    config: Config,
    product: Annotated[str, typer.Option(help="name of the product, of a-z, 0-9, _ and -")],
    source: Annotated[
        str,
        typer.Option(
            "--from", help="good parts: a folder of pictures, camera (the agent stopped), or archive"
        ),
    ] = "archive",
    camera: Annotated[
        str | None, typer.Option(help="of the settings; default: the only one, or all of the archive")
    ] = None,
    parts: Annotated[int, typer.Option(min=1, max=5_000, help="good parts to collect")] = 250,
    target_frr: Annotated[
        float, typer.Option(callback=finite, help="false-reject rate to promise; 0.005 is one in 200")
    ] = 0.005,
    flagged: Annotated[
        Literal["ask", "take_out", "keep"],
        typer.Option(help="what to do with parts that look unfit: end and show them, take out, or keep"),
    ] = "ask",
    until: Annotated[
        Literal["collect", "check", "teach", "threshold", "activate"],
        typer.Option(help="the last step to do"),
    ] = "activate",
    train: Annotated[
        Literal["nano", "edge"] | None,
        typer.Option(help="train a bundle of its own by the workshop; default: calibrate the one in force"),
    ] = None,
    minutes: Annotated[
        float, typer.Option(min=1, max=10_080, callback=finite, help="that its training may take")
    ] = 30.0,
    who: Annotated[str | None, typer.Option(help="who asks, for the record; default: not told")] = None,
    as_json: Json = False,
) -> None:
    """Teach a product: collect, check, teach, set the threshold, activate.

    What is taught is the threshold of the bundle in force or, with --train, a bundle of its own, which the
    workshop trains at low priority beside a running line, where it is installed.

    Parts that people marked as good join the set; defects that they confirmed are held apart, and it says how
    many of them the threshold rejects. The same command goes on where it was ended, killed, or found the disk
    full. With --json: schema, product, source, wanted, target, camera, step, bundle, checked, kept,
    preset, minutes, trained, before, taught, promised, activated.
    """
    if source not in ("camera", "archive"):
        must_be_there(source, "--from", "give a folder of pictures, camera or archive")

    from agent.outbox.place import check_place
    from agent.settings.section import IDENTIFIER
    from agent.teach.flow import Flow
    from agent.teach.state import SCHEMA, State
    from agent.teach.trained import to_train
    from agent.teach.workshop import find

    if not re.fullmatch(IDENTIFIER, product):
        raise typer.BadParameter(f"--product {product!r}: give a name of a-z, 0-9, _ and -")
    wanted = loaded(config)
    check_place(wanted.outbox.path)
    flow = Flow(wanted.outbox.path.parent / FOLDER / product)
    place = source if source in ("camera", "archive") else str(Path(source).resolve())
    if train is not None:
        find()
    state = flow.open(
        State(
            product=product,
            source=place,
            wanted=parts,
            target=target_frr,
            camera=camera or "",
            preset=train or "",
            minutes=minutes,
        )
    )
    step: Step | None = None
    while state.step != "done" and step != until:
        if to_train(flow, state):
            state = _trained(flow, quiet=as_json)
        with _means(config, wanted, state, who) as means:
            judged_by = _bundle_of(wanted, state)
            while state.step != "done" and step != until and _bundle_of(wanted, state) == judged_by:
                if to_train(flow, state):
                    break
                step = state.step
                try:
                    state = _shown(flow.do(means, flagged=flagged), quiet=as_json)
                except PlumblineError as error:
                    _tell(flow.state() or state, quiet=as_json, step=step)
                    raise NotGood(str(error)) from error
                _tell(state, quiet=as_json, step=step)
    if as_json:
        say_json({"schema": SCHEMA, **asdict(state)})
    elif state.step == "done":
        say(f"{product}: threshold {state.promised['threshold']:.5g} is set; the station watches it")
    else:
        say(f"{product}: next is {state.step}; the same command goes on")


def _bundle_of(wanted: Settings, state: State) -> Path:
    """Which one is taught."""
    is_own = state.trained and state.step not in ("collect", "check")
    return Path(state.trained["bundle"]) if is_own else wanted.bundle


def _trained(flow: Flow, *, quiet: bool) -> State:
    """With a bundle of its own; Ctrl-C ends that, and nothing is lost."""
    from agent.line.way import RightOfWay
    from agent.teach import workshop
    from agent.teach.trained import train

    way = RightOfWay()  # the lines are of another process: the lowest priority is all
    _shown(train(flow, lambda wanted: workshop.train(wanted, workshop.find(), way=way)), quiet=quiet)
    state = flow.begun()
    if not quiet:
        for line in state.trained["lines"]:
            say(f"teach: {line}")
    return state


@contextmanager
def _means(config: Path, wanted: Settings, state: State, who: str | None) -> Iterator[Means]:
    """With the bundle of the settings, and this machine's engine for it."""
    from agent.bundle.bundle import open_bundle
    from agent.bundle.trust import require_trusted
    from agent.cli.calibrate import asked
    from agent.clock import SystemClock
    from agent.engines.open import open_engine
    from agent.teach import collect, flow, marked
    from agent.teach.judged import judge_by
    from agent.teach.source import TeachError, camera_of

    clock, bundle = SystemClock(), open_bundle(_bundle_of(wanted, state))
    require_trusted(bundle, wanted.trust)

    def collected(parts: Any, count: int) -> Iterator[collect.Got]:
        yield from marked.good_parts(parts, wanted, state.camera or None, count)
        yield from of_source(parts, count)

    def of_source(parts: Any, count: int) -> Iterator[collect.Got]:
        if state.source == "archive":
            if wanted.archive.folder is None:
                raise TeachError(
                    "archive.folder is not set, so no frames are kept; give --from FOLDER or camera"
                )
            return collect.from_archive(parts, wanted.archive.folder, state.camera or None, count)
        if state.source == "camera":
            name = state.camera or wanted.cameras[0].name
            return collect.from_camera(parts, camera_of(wanted, name), count, clock)
        return collect.from_folder(parts, Path(state.source), count)

    def activate(threshold: float) -> dict[str, Any]:
        there = asked(config, "in_force", {})["data"]
        if there["bundle"] != bundle.sha256 and state.trained:
            raise PlumblineError(
                "the bundle that was trained is not in force: unset a threshold of the one before with "
                f"plumbline command threshold threshold=null, then plumbline bundle install {bundle.path}, "
                "reload the station, and the same command sets its threshold"
            )
        if there["bundle"] != bundle.sha256:
            raise PlumblineError(
                "the station judges by another bundle than its settings name; reload it first"
            )
        name = {} if who is None else {"who": who}
        return asked(config, "threshold", {"threshold": threshold, "onto": there["settings"], **name})

    engine = open_engine(bundle, wanted.engine)
    try:
        yield flow.Means(
            collect=collected,
            judge=judge_by(bundle, engine, clock),
            bundle_sha256=bundle.sha256,
            activate=activate,
            confirmed=lambda: marked.confirmed(wanted, state.camera or None),
        )
    finally:
        engine.close()


def _shown(going: Generator[Told | None, None, Done], *, quiet: bool) -> Done:
    """Do a step and say how far it is: a bar where somebody looks, else its refusals alone."""
    from rich.progress import Progress

    with Progress(console=console(), disable=quiet or not console().is_terminal) as bars:
        bar, said = None, ""
        while True:
            try:
                told = next(going)
            except StopIteration as ended:
                found: Done = ended.value
                return found
            if told is None:
                continue
            if bar is None:
                bar = bars.add_task(told.step, total=told.of)
            bars.update(bar, completed=told.done)
            news = told.words.partition(",")[0] if told.step == "teach" else told.words
            if told.words and not quiet and (told.step != "teach" or news != said):
                say(told.words)
            said = news


def _tell(state: State, *, quiet: bool, step: Step) -> None:
    """What the step has found."""
    if quiet:
        return
    if step == "collect":
        say("collect: the parts are in the set")
    elif step == "check" and state.checked:
        for one in state.checked["findings"]:
            say(f"check: {one['name']}: {one['words']}")
        for line in state.checked["words"]:
            say(f"check: {line}")
        count = len(state.checked["findings"])
        say(f"check: {state.checked['pictures']} parts, {count} of them to be looked at")
    elif step == "threshold" and state.promised:
        for line in state.promised["words"]:
            say(f"threshold: {line}")
        say(f"threshold: of made-up defects {state.promised['sees']:.0%} would be rejected")
