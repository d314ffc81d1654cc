"""What is shown of the flow at a station: where it stands, what was found, and pictures of its parts."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from pydantic import JsonValue

from agent.cameras.images import ImageError, read_image
from agent.errors import PlumblineError
from agent.messages import Pixels
from agent.teach.current import Current
from agent.teach.flow import Flow
from agent.teach.part_set import minute_of
from agent.teach.tap import MINUTES
from agent.teach.threshold import needed

LATEST = 12
FINDINGS = 60  # that are told at a time


def flow_at(folder: Path, current: Current) -> dict[str, JsonValue]:
    """`state`, None where nothing was begun, how many parts it has, and those that came last."""
    nothing: dict[str, JsonValue] = {"state": None, "minutes_wanted": MINUTES}
    try:
        last = current.read()
        flow = None if last is None else Flow(folder / last.product)
        state = None if flow is None else flow.state()
        files = [] if flow is None or state is None else flow.parts.pictures()
        aside = [] if flow is None or state is None else flow.parts.aside()
    except PlumblineError as error:
        return {**nothing, "why": str(error)}
    if state is None:
        return nothing
    told = asdict(state)
    undecided = [one for one in state.checked.get("findings", ()) if one["name"] not in state.kept]
    told["checked"] = {**state.checked, "findings": undecided[:FINDINGS], "undecided": len(undecided)}
    told["kept"] = len(state.kept)
    told["trained"] = {key: value for key, value in state.trained.items() if key != "held"}
    return {
        **nothing,
        "state": told,
        "parts": len(files),
        "minutes": len({minute_of(one) for one in files}),
        "needed": needed(state.target),
        "aside": [one.name for one in aside[-FINDINGS:]],
        "latest": [one.name for one in files[-LATEST:]],
    }


def picture_of(folder: Path, product: str, name: str) -> Pixels | None:
    """None where there is none of that name, or it is no name."""
    if Path(name).name != name or Path(product).name != product or product.startswith("."):
        return None
    for room in ("parts", "aside"):
        with suppress(ImageError, OSError, ValueError):  # a name that no file system takes
            return read_image(folder / product / room / name)
    return None
