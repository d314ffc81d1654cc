"""`plumbline camera`: look for cameras, and try one."""

from __future__ import annotations

from typing import Annotated

import typer

from agent.address import masked
from agent.cli.exit_codes import ExitCode, exits
from agent.cli.options import Json
from agent.cli.terminal import console, say, say_json
from agent.foreign import shown, stored

app = typer.Typer(
    no_args_is_help=True, help="Look for cameras, or try one.", epilog=exits("see each command")
)


@app.command("list", epilog=exits("no camera answers"))
def camera_list(as_json: Json = False) -> None:
    """GigE Vision and USB3 Vision cameras that answer a broadcast on any interface.

    With --json: cameras, each with address, device_id, vendor, model, serial, protocol.
    """
    from agent.cameras.probe import discover

    found = discover()
    if as_json:
        cameras = [
            {
                "address": stored(one.address),
                "device_id": stored(one.device_id),
                "vendor": stored(one.vendor),
                "model": stored(one.model),
                "serial": stored(one.serial),
                "protocol": stored(one.protocol),
            }
            for one in found
        ]
        say_json({"cameras": cameras})
    else:
        from rich.table import Table

        table = Table("address", "Vendor-Model-Serial", "protocol", title=f"{len(found)} cameras")
        for one in found:
            table.add_row(shown(one.address), shown(one.device_id), shown(one.protocol))
        console().print(table)
    if not found:
        raise typer.Exit(ExitCode.NOT_GOOD)


@app.command("test", epilog=exits("frames were missing or lost"))
def camera_test(
    source: Annotated[
        str, typer.Argument(help="address, Vendor-Model-Serial, rtsp://..., /dev/videoN, file or folder")
    ],
    as_json: Json = False,
) -> None:
    """Grab ten frames; rate and loss.

    With --json: source, is_good, frames, frames_asked, faults, rate_hz, shape, bit_depth, lines_lost, stream.
    """
    from agent.cameras.make import make_camera
    from agent.cameras.probe import TRIED_FRAMES, source_of, try_camera
    from agent.clock import SystemClock

    clock = SystemClock()
    tried = try_camera(make_camera("test", source_of(source), clock), clock)
    stream = tried.stream
    if as_json:
        say_json(
            {
                "source": stored(masked(source)),
                "is_good": tried.is_good,
                "frames": tried.frames,
                "frames_asked": TRIED_FRAMES,
                "faults": tried.faults,
                "rate_hz": tried.rate_hz,
                "shape": None if tried.shape is None else list(tried.shape),
                "bit_depth": tried.bit_depth,
                "lines_lost": tried.lines_lost,
                "stream": None
                if stream is None
                else {
                    "socket": stored(stream.socket),
                    "pixel_format": stored(stream.pixel_format),
                    "statistics": dict(stream.statistics),
                    "warning": None if stream.warning is None else stored(stream.warning),
                },
            }
        )
    else:
        rate = "-" if tried.rate_hz is None else f"{tried.rate_hz:.1f} frames/s"
        size = "-" if tried.shape is None else " x ".join(map(str, tried.shape))
        lines = [
            f"{masked(source)}: {tried.frames} of {TRIED_FRAMES} frames, {tried.faults} faults, {rate}",
            f"lines x width x channels: {size}, {tried.bit_depth} bits; {tried.lines_lost} lines lost",
        ]
        if stream is not None:
            moved = {name: count for name, count in stream.statistics.items() if count}
            lines.append(f"socket: {stream.socket}, {stream.pixel_format}, {moved}")
            lines += [] if stream.warning is None else [f"warning: {stream.warning}"]
        for line in lines:
            say(line)
    if not tried.is_good:
        raise typer.Exit(ExitCode.NOT_GOOD)
