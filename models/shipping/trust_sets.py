"""Trust files as the workshop makes them: the first one, and each as a change of the one before."""

from __future__ import annotations

import json
from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from agent.errors import PlumblineError
from agent.foreign import shown
from agent.trust.envelope import Envelope, SignatureError, parse, signed_by
from agent.trust.keys import key_id, short
from agent.trust.trust_set import ROLES, TRUST_TYPE, Role, TrustSet, content_of

LEAST_DIGITS = 8
_NEW = "the new trust file"


class ChangeError(PlumblineError):
    """The trust file cannot be changed like this; names the option and the remedy."""


def first(key: Ed25519PublicKey) -> TrustSet:
    """One key, which may sign everything."""
    return _made({"number": 1, "epoch": 1, "threshold": 1, "keys": [_entry(key, ROLES)]})


def changed(
    trust: TrustSet,
    *,
    add: Sequence[Ed25519PublicKey] = (),
    roles: Sequence[Role] = ROLES,
    remove: Sequence[str] = (),
    threshold: int | None = None,
    new_epoch: bool = False,
) -> TrustSet:
    """The set after `trust`: first without the keys whose ids begin as in `remove`, then with `add`.

    Raises ChangeError and TrustError.
    """
    gone = {_key_of(trust, start) for start in remove}
    kept = [key.model_dump(mode="json") for key in trust.keys if key.id not in gone]
    number = trust.number + 1
    content = {
        "number": number,
        "epoch": trust.epoch + 1 if new_epoch else trust.epoch,
        "threshold": trust.threshold if threshold is None else threshold,
        "keys": [*kept, *(_entry(key, roles) for key in add)],
    }
    found = _made(content)
    if found.model_copy(update={"number": trust.number}) == trust:
        raise ChangeError("nothing would change; give --add, --remove, --threshold or --new-epoch")
    return found


def draft(data: bytes, *, name: str) -> tuple[Envelope, TrustSet]:
    """A trust file, whoever signed it so far. Raises ChangeError and TrustError."""
    try:
        envelope = parse(data)
    except SignatureError as error:
        raise ChangeError(f"{name}: {error}; give a file that plumbline-lab keys has written") from error
    if envelope.payload_type != TRUST_TYPE:
        raise ChangeError(
            f"{name}: is of the type {shown(envelope.payload_type)}; a trust file has '{TRUST_TYPE}'"
        )
    return envelope, content_of(envelope.payload, name)


def still_to_sign(envelope: Envelope, trust: TrustSet) -> str | None:
    """Which keys with the role trust must still sign a trust file for `trust`; None where enough did."""
    keys = trust.keys_of("trust")
    signers = signed_by(envelope, *keys)
    missing = trust.threshold - len(signers)
    if missing <= 0:
        return None
    done = set(map(key_id, signers))
    return f"{missing} of {', '.join(short(key_id(key)) for key in keys if key_id(key) not in done)}"


def _made(content: dict[str, object]) -> TrustSet:
    return content_of(json.dumps({"schema": "plumbline.trust/1", **content}).encode(), _NEW)


def _entry(key: Ed25519PublicKey, roles: Sequence[Role]) -> dict[str, object]:
    return {"public": key.public_bytes_raw().hex(), "roles": list(roles)}


def _key_of(trust: TrustSet, start: str) -> str:
    found = [key.id for key in trust.keys if key.id.startswith(start)]
    if len(start) < LEAST_DIGITS or len(found) != 1:
        ids = ", ".join(short(key.id) for key in trust.keys)
        raise ChangeError(f"--remove {shown(start)[:80]}: names no key, or several; there are {ids}")
    return found[0]
