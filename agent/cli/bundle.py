"""`plumbline bundle`: what a model bundle says about itself, and whether it is right on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli import depot, prove
from agent.cli.exit_codes import NotGood, exits
from agent.cli.options import Json
from agent.cli.terminal import console, must_be_there, say, say_json
from agent.errors import PlumblineError
from agent.foreign import shown, stored

if TYPE_CHECKING:
    from agent.bundle.bundle import Bundle, Threshold
    from agent.bundle.standing import Standing

app = typer.Typer(
    no_args_is_help=True,
    help="Look into a model bundle, check it on this machine, or install it for the station.",
    epilog=exits("see each command"),
)
BundlePath = Annotated[Path, typer.Argument(metavar="BUNDLE", help="bundle folder or .plumb file")]


@app.command(epilog=exits())
def info(bundle: BundlePath, as_json: Json = False) -> None:
    """What is inside.

    With --json: name, sha256, licence, counter, method, preset, created, features, commands, tile_px,
    channels, scale, thresholds, explains, standing, bytes.
    """
    from agent.bundle.bundle import open_bundle
    from agent.explain.form import explains

    opened = open_bundle(bundle)
    if as_json:
        say_json(_content(opened))
        return
    from rich.table import Table

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
        **({} if manifest.standing is None else {"model": manifest.standing.words()}),
        "size": f"{sum(map(len, opened.files.values())) / 1e6:.1f} MB",
        "features": manifest.provenance.features,
        "explains its scores": "yes" if explains(opened) else "no, it has no explaining form",
    }
    for key, value in rows.items():
        table.add_row(key, shown(str(value)))
    console().print(table)
    for command in manifest.provenance.commands:
        say(f"made by: {command}")


@app.command(epilog=exits("the bundle is damaged, not signed by the key, or scores otherwise here"))
def verify(
    bundle: BundlePath,
    key: Annotated[
        Path | None, typer.Option(help="trusted Ed25519 public key in PEM; default: signature not checked")
    ] = None,
    as_json: Json = False,
) -> None:
    """Digests, signature, golden scores on this machine, and those of the form that explains them.

    With --json: bundle, name, sha256, files, signature, golden, explaining.
    """
    if key is not None:
        must_be_there(key, "--key", "give the public key's file in PEM")

    from agent.bundle.bundle import BUNDLE_TYPE, MANIFEST, SIGNATURE, open_bundle
    from agent.bundle.files import NotABundle
    from agent.engines.engine import golden_difference
    from agent.engines.open import open_engine
    from agent.explain.form import check_form, explains
    from agent.settings import settings
    from agent.trust.envelope import verify as verify_signature
    from agent.trust.keys import load_public_key

    def tell(line: str) -> None:
        if not as_json:
            say(line)

    trusted = None if key is None else load_public_key(key)
    golden = []
    try:
        opened = open_bundle(bundle)
        tell(f"digests: {len(opened.manifest.files)} files match")
        envelope = opened.files.get(SIGNATURE)
        if trusted is not None:
            if envelope is None:
                raise PlumblineError(f"{bundle}: not signed, though a key was given")
            verify_signature(envelope, opened.files[MANIFEST], BUNDLE_TYPE, trusted)
            tell("signature: by the trusted key")
        else:
            tell(f"signature: {_claimed(envelope)}; not checked, give --key")
        serves = open_engine(opened, settings.Engine(kind="openvino"))
        plain = settings.Engine(kind="openvino", precision="f32")
        is_plain = serves.describe().precision == "f32"
        for engine in [serves] if is_plain else [open_engine(opened, plain), serves]:
            difference = golden_difference(engine, opened)
            name = engine.describe().name
            tell(f"golden scores: {name} within {difference:.1e} of score or threshold")
            golden.append({"engine": name, "difference": difference})
        explaining = check_form(opened) if explains(opened) else None
        words = (
            "none, it cannot explain its scores" if explaining is None else f"within {explaining:.1e}, too"
        )
        tell(f"explaining form: {words}")
    except NotABundle:
        raise
    except PlumblineError as error:
        raise NotGood(str(error)) from error
    if as_json:
        say_json(
            {
                "bundle": stored(str(bundle)),
                "name": opened.manifest.name,
                "sha256": opened.sha256,
                "files": len(opened.manifest.files),
                "signature": {
                    "is_checked": trusted is not None,
                    "claimed_by": [stored(one) for one in _signers(envelope)],
                },
                "golden": golden,
                "explaining": None if explaining is None else {"difference": explaining},
            }
        )


app.command(epilog=exits("the bundle may not serve here, or its proof could not be done"))(prove.prove)
app.command(epilog=exits("the bundle is not good here, and what served before still does"))(depot.install)
app.command(epilog=exits("the bundle before is not good here, and what serves still does"))(depot.rollback)
app.command(epilog=exits("no bundle is in force, or one is damaged"))(depot.status)


def _content(opened: Bundle) -> dict[str, Any]:
    from agent.explain.form import explains

    manifest = opened.manifest
    provenance = manifest.provenance
    variants = (manifest.variants or {}).items()
    return {
        "name": manifest.name,
        "sha256": opened.sha256,
        "licence": stored(manifest.licence),
        "counter": manifest.counter,
        "method": stored(provenance.method),
        "preset": stored(provenance.preset),
        "created": stored(provenance.created),
        "features": stored(provenance.features),
        "commands": [stored(one) for one in provenance.commands],
        "tile_px": manifest.input.tile_px,
        "channels": manifest.input.channels,
        "scale": manifest.input.scale,
        "thresholds": {
            "f32": _threshold(manifest.threshold),
            **{name: _threshold(one.threshold) for name, one in variants},
        },
        "explains": explains(opened),
        "standing": None if manifest.standing is None else _standing(manifest.standing),
        "bytes": sum(map(len, opened.files.values())),
    }


def _standing(standing: Standing) -> dict[str, Any]:
    return {
        **standing.model_dump(mode="json"),
        "source": stored(standing.source),
        "is_worse": standing.is_worse,
    }


def _threshold(threshold: Threshold) -> dict[str, Any]:
    return {
        "raw": threshold.raw,
        "interval": list(threshold.interval),
        "target_false_reject_rate": threshold.target_false_reject_rate,
        "good_frames": threshold.good_frames,
        "provisional_rate": threshold.provisional_rate,
    }


def _interval(value: float, interval: tuple[float, float]) -> str:
    return f"{value:.4f}, 95 % interval {interval[0]:.4f} to {interval[1]:.4f}"


def _claimed(envelope: bytes | None) -> str:
    if envelope is None:
        return "none"
    from agent.trust.keys import short

    return "claims " + (", ".join(f"key '{short(one)}'" for one in _signers(envelope)) or "no key")


def _signers(envelope: bytes | None) -> list[str]:
    from agent.trust.envelope import signers

    return [] if envelope is None else list(signers(envelope))
