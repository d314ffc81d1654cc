"""plumbline-lab: the workshop's commands."""

from __future__ import annotations

import typer

from agent.cli.exit_codes import exits, exits_of_program
from agent.cli.options import Version
from agent.cli.program import run
from models.cli import distill, evaluate, export, fleet, importing, keys, rescore, sample, teach, train

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback(help=__doc__, epilog=exits_of_program())
def begin(version: Version = False) -> None:
    pass


app.command(epilog=exits())(sample.sample)
app.command(epilog=exits())(teach.teach)
app.command(epilog=exits())(train.train)
app.command("import", epilog=exits())(importing.import_)
app.command(epilog=exits())(distill.distill)
app.command(epilog=exits())(export.export)
app.command(epilog=exits())(export.variants)
app.command(epilog=exits())(export.explaining)
app.command(epilog=exits())(evaluate.evaluate)
app.command(epilog=exits("a file of the archives could not be judged"))(rescore.rescore)
app.add_typer(keys.app, name="keys")
app.add_typer(fleet.app, name="fleet")


def main() -> None:
    """Entry point."""
    raise SystemExit(run(app, "plumbline-lab", json_errors=False))


if __name__ == "__main__":
    main()
