"""`plumbline bundle`: what a model bundle says about itself, and whether it is right on this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from agent.cli.terminal import console, must_be_there, say
from agent.errors import PlumblineError
from agent.foreign import shown

app = typer.Typer(no_args_is_help=True, help="Look into a model bundle, or check it on this machine.")
BundlePath = Annotated[Path, typer.Argument(metavar="BUNDLE", help="bundle folder or .plumb file")]


@app.command()
def info(bundle: BundlePath) -> None:
    """What is inside."""
    from agent.bundle.bundle import open_bundle

    opened = open_bundle(bundle)
    manifest = opened.manifest
    table = Table("what", "value", title=shown(f"{manifest.name} {opened.sha256[:12]}"))
    rows = {
        "licence": manifest.licence,
        "counter": manifest.counter,
        "method": f"{manifest.provenance.method} {manifest.provenance.preset}, {manifest.provenance.created}",
        "input": f"{manifest.input.tile_px} px, {manifest.input.channels} channels, x {manifest.input.scale}",
        "threshold": _interval(manifest.threshold.raw, manifest.threshold.interval),
        **{
            f"threshold in {name}": _interval(one.threshold.raw, one.threshold.interval)
            for name, one in (manifest.variants or {}).items()
        },
        "target false-reject rate": f"{manifest.threshold.target_false_reject_rate:.3f} "
        f"from {manifest.threshold.good_frames} good frames",
        **({"threshold is": words} if (words := manifest.threshold.provisional_words()) else {}),
        "size": f"{sum(map(len, opened.files.values())) / 1e6:.1f} MB",
        "features": manifest.provenance.features,
    }
    for key, value in rows.items():
        table.add_row(key, shown(str(value)))
    console.print(table)
    for command in manifest.provenance.commands:
        say(f"made by: {command}")


@app.command()
def verify(
    bundle: BundlePath,
    key: Annotated[Path | None, typer.Option(help="trusted Ed25519 public key in PEM")] = None,
) -> None:
    """Digests, signature and golden scores on this machine; exit 0 or 1."""
    if key is not None:
        must_be_there(key, "--key", "give the public key's file in PEM")

    from agent.bundle.bundle import MANIFEST, SIGNATURE, open_bundle
    from agent.bundle.signing import BUNDLE_TYPE, load_public_key
    from agent.bundle.signing import verify as verify_signature
    from agent.engines.engine import golden_difference
    from agent.engines.open import open_engine
    from agent.settings import settings

    try:
        opened = open_bundle(bundle)
        say(f"digests: {len(opened.manifest.files)} files match")
        envelope = opened.files.get(SIGNATURE)
        if key is not None:
            if envelope is None:
                raise PlumblineError(f"{bundle}: not signed, though a key was given")
            verify_signature(envelope, opened.files[MANIFEST], BUNDLE_TYPE, load_public_key(key))
            say("signature: by the trusted key")
        else:
            say(f"signature: {_claimed(envelope)}; not checked, give --key")
        for precision in ("f32", "auto"):
            engine = open_engine(opened, settings.Engine(kind="openvino", precision=precision))
            difference = golden_difference(engine, opened)
            say(f"golden scores: {engine.describe().name} within {difference:.1e} of score or threshold")
    except PlumblineError as error:
        print(shown(f"plumbline: {error}"), file=sys.stderr)
        raise typer.Exit(1) from error


def _interval(value: float, interval: tuple[float, float]) -> str:
    return f"{value:.4f}, 95 % interval {interval[0]:.4f} to {interval[1]:.4f}"


def _claimed(envelope: bytes | None) -> str:
    if envelope is None:
        return "none"
    from agent.bundle.signing import signers

    return "claims " + (", ".join(f"key '{one}'" for one in signers(envelope)) or "no key")
