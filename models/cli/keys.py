"""`plumbline-lab keys`: keys, trust files and signatures; a device only verifies."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.exit_codes import ExitCode, NotGood, exits
from agent.errors import PlumblineError
from agent.foreign import shown
from models.cli.options import Out, say

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from agent.trust.trust_set import Role, TrustSet

app = typer.Typer(
    no_args_is_help=True,
    help="Make keys, sign bundles and trust files with them, and change who is trusted.",
    epilog=exits("see each command"),
)
Keys = Annotated[
    list[Path], typer.Option("--key", help="Ed25519 private key in PEM to sign with; give it again for each")
]
Signed = Annotated[
    Path,
    typer.Argument(
        metavar="WHAT",
        help="bundle folder or .plumb file, trust file, or what plumbline command --to-sign wrote",
    ),
]
Checked = Annotated[
    Path,
    typer.Argument(
        metavar="WHAT",
        help="bundle folder or .plumb file, trust file, signed command, or document of settings or bundles",
    ),
]


@app.command(epilog=exits())
def new(
    key: Annotated[Path, typer.Argument(metavar="KEY", help="file for the private key; keep it to yourself")],
    trust: Annotated[
        Path | None,
        typer.Option(help="write a first trust file, too, in which this key may sign all; default: none"),
    ] = None,
) -> None:
    """Make a pair of keys: KEY, and its public half beside it as .pub.pem."""
    from agent.trust.keys import key_id, short
    from agent.trust.trust_set import TRUST_TYPE, described
    from models.shipping.trust_sets import first
    from models.signing import sign, write_new_key

    _need_new(key)
    public = key.with_suffix(".pub.pem")
    _need_new(public)
    if trust is not None:
        _need_new(trust)
    try:
        pair = write_new_key(key, public)
    except OSError as error:
        raise PlumblineError(f"{shown(str(key))}: not written: {error.strerror}; check KEY") from error
    say([f"{key}: private key {short(key_id(pair.public_key()))}", f"{public}: its public half"])
    if trust is not None:
        made = first(pair.public_key())
        _write(trust, sign(made.payload(), TRUST_TYPE, pair))
        say([f"{trust}: {line}" for line in described(made)])


@app.command(epilog=exits())
def sign(what: Signed, key: Keys, out: Out) -> None:
    """Add signatures: the same bundle, trust file or command, signed by these keys, too."""
    from agent.bundle.bundle import write_files
    from agent.contract.commands import COMMAND_TYPE
    from agent.trust.envelope import SignatureError, parse
    from agent.trust.keys import key_id, short
    from agent.trust.trust_set import read_trust
    from models.shipping.trust_sets import draft
    from models.signing import add_signatures

    keys = _loaded(key)
    _need_new(out)
    name = shown(str(what))
    try:
        if _is_bundle(what):
            write_files(out, _signed_files(what, keys))
        else:
            data = read_trust(what)
            if parse(data).payload_type == COMMAND_TYPE:
                _check_command(data, name)
            else:
                draft(data, name=name)
            _write(out, add_signatures(data, *keys))
    except SignatureError as error:
        raise PlumblineError(f"{name}: {error}; sign a copy without it anew") from error
    say([f"{out}: signed by {', '.join(short(key_id(one.public_key())) for one in keys)}"])


@app.command(epilog=exits("it is not signed as the trust file wants, or does not follow it"))
def verify(
    what: Checked,
    trust: Annotated[
        Path | None,
        typer.Option(
            help="trust file: its keys sign WHAT, or WHAT is the next after it; default: WHAT, "
            "a trust file, is looked at alone"
        ),
    ] = None,
) -> None:
    """Check who signed something against a trust file, or a trust file against itself and the one before."""
    from agent.bundle.bundle import BundleError, open_bundle
    from agent.bundle.files import NotABundle
    from agent.bundle.trust import NotTrusted, require_signed
    from agent.trust.envelope import SignatureError
    from agent.trust.trust_set import TrustError, described, follow, load_trust, parse_trust, read_trust

    before = None if trust is None else load_trust(trust)
    name = shown(str(what))
    if _is_bundle(what):
        if before is None:
            raise PlumblineError(f"{name}: is a bundle; give the trust file with --trust")
        try:
            require_signed(open_bundle(what), before, name=shown(str(trust)))
        except NotABundle:
            raise
        except (BundleError, NotTrusted) as error:
            raise NotGood(str(error)) from error
        say([f"{name}: signed as {trust} wants"])
        return
    data = read_trust(what)
    role = _role_of(data)
    if role is not None:
        if before is None:
            raise PlumblineError(
                f"{name}: is signed by keys of the role {role}; give the trust file with --trust"
            )
        try:
            _require_role(data, before, role)
        except SignatureError as error:
            raise NotGood(f"{name}: {error}; have it signed by keys of the role {role}") from error
        say([f"{name}: signed as {trust} wants for the role {role}"])
        return
    try:
        found = parse_trust(data, name=name) if before is None else follow(before, data, name=name)
    except TrustError as error:
        raise NotGood(str(error)) from error
    say([f"{name}: {line}" for line in described(found)])
    if before is not None:
        say([f"{name}: {'is the same as' if found == before else 'follows'} {trust}"])


@app.command(epilog=exits("more keys must sign before a station takes it"))
def rotate(
    trust: Annotated[Path, typer.Argument(metavar="TRUST", help="the trust file in force")],
    key: Keys,
    out: Out,
    add: Annotated[
        list[Path] | None,
        typer.Option(help="public key in PEM to trust from now on; again for each; default: none"),
    ] = None,
    role: Annotated[
        list[str] | None,
        typer.Option(
            help="what the added keys may sign: trust, settings, bundle or command; again for each; "
            "default: all"
        ),
    ] = None,
    remove: Annotated[
        list[str] | None,
        typer.Option(help="id of a key to trust no more, or its first digits; again for each; default: none"),
    ] = None,
    threshold: Annotated[
        int | None,
        typer.Option(min=1, help="how many keys of a role must sign; default: as before"),
    ] = None,
    new_epoch: Annotated[
        bool, typer.Option("--new-epoch", help="counters start anew: after a key was stolen")
    ] = False,
) -> None:
    """Write the next trust file: keys come and go, signed by the set before and by the new one."""
    from agent.trust.envelope import parse
    from agent.trust.keys import key_id, load_public_key, short
    from agent.trust.trust_set import ROLES, TRUST_TYPE, described, load_trust
    from models import signing
    from models.shipping.trust_sets import changed, still_to_sign

    for wanted in role or ():
        if wanted not in ROLES:
            raise typer.BadParameter(f"{shown(wanted)!r} is not a role; there are: {', '.join(ROLES)}")
    keys = _loaded(key)
    before = load_trust(trust)
    _need_new(out)
    after = changed(
        before,
        add=[load_public_key(path) for path in add or ()],
        roles=[one for one in ROLES if not role or one in role],
        remove=remove or (),
        threshold=threshold,
        new_epoch=new_epoch,
    )
    may = {key_id(one) for each in (before, after) for one in each.keys_of("trust")}
    for path, one in zip(key, keys, strict=True):
        if (id_ := key_id(one.public_key())) not in may:
            raise PlumblineError(
                f"--key {shown(str(path))}: key {short(id_)} has the role trust neither in {trust} nor in "
                "what follows it; leave it out, or --add it"
            )
    envelope = signing.sign(after.payload(), TRUST_TYPE, *keys)
    _write(out, envelope)
    say([f"{out}: {line}" for line in described(after)])
    lacking = {str(one.number): still_to_sign(parse(envelope), one) for one in (before, after)}
    for number, ids in lacking.items():
        if ids is not None:
            say([f"{out}: still to sign for set {number}: {ids}; plumbline-lab keys sign adds them"])
    if any(lacking.values()):
        raise typer.Exit(ExitCode.NOT_GOOD)


def _role_of(data: bytes) -> Role | None:
    """Of keys that sign such an envelope; None for a trust file, and for what is no envelope."""
    from agent.contract.commands import COMMAND_TYPE
    from agent.contract.desired import INSTALL_TYPE, SETTINGS_TYPE
    from agent.trust.envelope import SignatureError, parse

    roles: dict[str, Role] = {COMMAND_TYPE: "command", SETTINGS_TYPE: "settings", INSTALL_TYPE: "bundle"}
    try:
        return roles.get(parse(data).payload_type)
    except SignatureError:
        return None


def _require_role(data: bytes, trust: TrustSet, role: Role) -> None:
    """Raises SignatureError unless as many keys of the role signed it as must."""
    from agent.trust.envelope import opened, parse

    opened(data, parse(data).payload_type, *trust.keys_of(role), threshold=trust.threshold)


def _check_command(data: bytes, name: str) -> None:
    """Raises PlumblineError for what no station would take, whoever signed it."""
    from pydantic import ValidationError

    from agent.contract import strict_json
    from agent.contract.commands import SignedRequest
    from agent.trust.envelope import parse

    try:
        SignedRequest.model_validate(strict_json.parse(parse(data).payload))
    except (strict_json.StrictJsonError, ValidationError) as error:
        raise PlumblineError(
            f"{name}: it holds no command: {shown(str(error).splitlines()[0])}; have plumbline command "
            "--to-sign write it"
        ) from error


def _signed_files(path: Path, keys: list[Ed25519PrivateKey]) -> dict[str, bytes]:
    from agent.bundle.bundle import BUNDLE_TYPE, MANIFEST, SIGNATURE, open_bundle
    from agent.trust.envelope import parse
    from models.signing import add_signatures, sign

    files = dict(open_bundle(path).files)
    before = files.get(SIGNATURE)
    if before is None:
        return {**files, SIGNATURE: sign(files[MANIFEST], BUNDLE_TYPE, *keys)}
    envelope = parse(before)
    if (envelope.payload_type, envelope.payload) != (BUNDLE_TYPE, files[MANIFEST]):
        raise PlumblineError(
            f"{shown(str(path))}/{SIGNATURE}: belongs to another file; sign a copy of the bundle without it"
        )
    return {**files, SIGNATURE: add_signatures(before, *keys)}


def _is_bundle(path: Path) -> bool:
    if not os.path.lexists(path):
        raise PlumblineError(f"{shown(str(path))}: no such file or folder; check WHAT")
    return path.is_dir() or (path.is_file() and zipfile.is_zipfile(path))


def _loaded(paths: list[Path]) -> list[Ed25519PrivateKey]:
    from agent.trust.private_keys import load_private_key

    return [load_private_key(path) for path in paths]


def _need_new(path: Path) -> None:
    if os.path.lexists(path):
        raise PlumblineError(f"{shown(str(path))}: is there already; choose another name, or move it away")
    if not path.parent.is_dir():
        raise PlumblineError(f"{shown(str(path.parent))}: no such folder; make it, or choose another")


def _write(path: Path, content: bytes) -> None:
    try:
        with path.open("xb") as file:
            file.write(content)
    except OSError as error:
        raise PlumblineError(f"{shown(str(path))}: not written: {error.strerror}; choose another") from error
