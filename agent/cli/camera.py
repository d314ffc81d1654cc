"""`plumbline camera`: look for cameras, and try one."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from agent.address import masked
from agent.cli.terminal import console, say
from agent.clock import SystemClock
from agent.foreign import shown

app = typer.Typer(no_args_is_help=True, help="Look for cameras, or try one.")


@app.command("list")
def camera_list() -> None:
    """GigE Vision and USB3 Vision cameras that answer a broadcast on any interface; exit 1 when none does."""
    from agent.cameras.probe import discover

    found = discover()
    table = Table("address", "Vendor-Model-Serial", "protocol", title=f"{len(found)} cameras")
    for one in found:
        table.add_row(shown(one.address), shown(one.device_id), shown(one.protocol))
    console.print(table)
    if not found:
        raise typer.Exit(1)


@app.command("test")
def camera_test(
    source: Annotated[
        str, typer.Argument(help="address, Vendor-Model-Serial, rtsp://..., /dev/videoN, file or folder")
    ],
) -> None:
    """Grab ten frames; rate and loss. Exit 0, or 1 when frames were missing or lost."""
    from agent.cameras.make import make_camera
    from agent.cameras.probe import TRIED_FRAMES, source_of, try_camera

    clock = SystemClock()
    tried = try_camera(make_camera("test", source_of(source), clock), clock)
    rate = "-" if tried.rate_hz is None else f"{tried.rate_hz:.1f} frames/s"
    size = "-" if tried.shape is None else " x ".join(map(str, tried.shape))
    lines = [
        f"{masked(source)}: {tried.frames} of {TRIED_FRAMES} frames, {tried.faults} faults, {rate}",
        f"lines x width x channels: {size}, {tried.bit_depth} bits; {tried.lines_lost} lines lost",
    ]
    if tried.stream is not None:
        moved = {name: count for name, count in tried.stream.statistics.items() if count}
        lines.append(f"socket: {tried.stream.socket}, {tried.stream.pixel_format}, {moved}")
        lines += [] if tried.stream.warning is None else [f"warning: {tried.stream.warning}"]
    for line in lines:
        say(line)
    if not tried.is_good:
        raise typer.Exit(1)
