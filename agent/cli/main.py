"""plumbline: the device's commands."""

from __future__ import annotations

import typer

from agent.cli import (
    archive,
    bench,
    bundle,
    calibrate,
    camera,
    command,
    demo,
    doctor,
    drift,
    engines,
    inspect,
    labels,
    marks,
    outbox,
    page,
    replay,
    run,
    schema,
    settings,
    simulate,
    teach,
    verify_log,
)
from agent.cli import validate as validation
from agent.cli.exit_codes import exits, exits_of_program
from agent.cli.options import Version
from agent.cli.program import run as run_program

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # they would print the values of variables, and those may be secrets
)


@app.callback(help=__doc__, epilog=exits_of_program())
def begin(version: Version = False) -> None:
    from agent import logs
    from agent.settings.settings import Logs

    logs.configure(Logs(level="warning", format="console"))


app.command(epilog=exits("a fault ended it; start it again"))(run.run)
app.command(epilog=exits())(validation.validate)
app.command(epilog=exits("something is wrong"))(doctor.doctor)
app.command(epilog=exits("a camera shows something else than it did"))(drift.drift)
app.command(epilog=exits("a picture could not be judged"))(inspect.inspect)
app.command(epilog=exits("it was not reproduced"))(replay.replay)
app.command(epilog=exits())(schema.schema)
app.command(epilog=exits())(bench.bench)
app.command(epilog=exits())(demo.demo)
app.command(epilog=exits("the broker has not taken all rows"))(simulate.simulate)
app.command(epilog=exits("the station refused it, or could not do it"))(command.command)
app.command(epilog=exits("a step could not be done; the same command goes on there"))(teach.teach)
app.command(epilog=exits("a link of the chain is broken"))(verify_log.verify_log)
app.command(epilog=exits())(verify_log.station_key)
app.add_typer(archive.app, name="archive")
app.add_typer(bundle.app, name="bundle")
app.add_typer(camera.app, name="camera")
app.add_typer(calibrate.app, name="calibrate")
app.add_typer(engines.app, name="engines")
app.add_typer(labels.app, name="labels")
app.add_typer(marks.app, name="marks")
app.add_typer(outbox.app, name="outbox")
app.add_typer(page.app, name="page")
app.add_typer(settings.app, name="settings")


def main() -> None:
    """Entry point."""
    raise SystemExit(run_program(app, "plumbline", json_errors=True))


if __name__ == "__main__":
    main()
