"""Documents as they are signed: the same content, key and counter are the same bytes every time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import ValidationError

from agent.contract.desired import (
    INSTALL_TYPE,
    MAX_DOCUMENT_BYTES,
    SETTINGS_TYPE,
    Desired,
    read_bundle,
    read_settings,
)
from agent.contract.strict_json import StrictJsonError
from agent.errors import PlumblineError
from agent.foreign import shown
from agent.settings import bounded, strict_yaml
from agent.trust.envelope import SignatureError, opened
from agent.trust.keys import key_id, short
from agent.trust.trust_set import Role, TrustSet
from models.fleet.plan import Kind
from models.signing import sign

Content: TypeAlias = dict[str, Any]  # what a document has beside its head
ROLE_OF: dict[Kind, Role] = {"settings": "settings", "bundle": "bundle"}
TYPE_OF: dict[Kind, str] = {"settings": SETTINGS_TYPE, "bundle": INSTALL_TYPE}
SCHEMA_OF: dict[Kind, str] = {
    "settings": "plumbline.desired-settings/1",
    "bundle": "plumbline.desired-bundle/1",
}


class DocumentError(PlumblineError):
    """No station would take this document; says what is wrong with it and the remedy."""


def digest(content: Content) -> str:
    return hashlib.sha256(canonical(content)).hexdigest()


def canonical(content: Content) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def envelope(
    kind: Kind,
    content: Content,
    *,
    issuer: str,
    epoch: int,
    counter: int,
    address: str,
    expires: str,
    keys: Sequence[Ed25519PrivateKey],
) -> bytes:
    """The signed document. Raises DocumentError for one that a station would refuse unseen."""
    head = {
        "schema": SCHEMA_OF[kind],
        "issuer": issuer,
        "epoch": epoch,
        "counter": counter,
        "address": address,
        "expires": expires,
    }
    payload = json.dumps({**head, **content}, separators=(",", ":")).encode()
    try:
        _read(kind, payload)
    except (StrictJsonError, ValidationError) as error:
        raise DocumentError(f"{kind} for {address}: {_first_line(error)}; mend the content") from error
    signed = sign(payload, TYPE_OF[kind], *keys)
    if len(signed) > MAX_DOCUMENT_BYTES:
        raise DocumentError(
            f"{kind} for {address}: {len(signed)} bytes when signed, and stations take {MAX_DOCUMENT_BYTES}; "
            "nothing was published; make the content smaller"
        )
    return signed


def require_allowed(data: bytes, kind: Kind, trust: TrustSet, *, name: str) -> None:
    """Raises DocumentError unless the stations' trust file takes this envelope."""
    keys = trust.keys_of(ROLE_OF[kind])
    try:
        opened(data, TYPE_OF[kind], *keys, threshold=trust.threshold)
    except SignatureError as error:
        known = ", ".join(short(key_id(key)) for key in keys) or "none"
        raise DocumentError(
            f"{name} would not take it: {error}; give --key for each key that must sign; those that may sign "
            f"{ROLE_OF[kind]} are {known}"
        ) from error


def head_of(data: bytes, kind: Kind) -> Desired:
    """Of an envelope, whoever signed it. Raises DocumentError."""
    from agent.trust.envelope import parse

    try:
        return _read(kind, parse(data).payload)
    except (SignatureError, StrictJsonError, ValidationError) as error:
        raise DocumentError(f"no {kind} document: {_first_line(error)}") from error


def load_patch(path: Path) -> Content:
    """The content of a settings document from a YAML file with nothing but what is to be different.

    Raises DocumentError.
    """
    name = shown(str(path))
    try:
        text = bounded.text_of(bounded.read(path, max_bytes=strict_yaml.MAX_BYTES))
        data, _ = strict_yaml.load(text, name=name)
    except bounded.UnreadableError as error:
        raise DocumentError(f"{name}: not read: {error}; give a YAML file with the settings") from error
    except strict_yaml.YamlError as error:
        raise DocumentError(str(error)) from error
    if not isinstance(data, dict) or not data:
        raise DocumentError(f"{name}:1: settings are a mapping of keys; write those that are to be different")
    return settings_of(data)


def settings_of(patch: dict[str, Any]) -> Content:
    """The content that says all that is to be different at an address, onto the station's own file."""
    return {"onto": "file", "settings": patch}


def _read(kind: Kind, payload: bytes) -> Desired:
    return read_settings(payload) if kind == "settings" else read_bundle(payload)


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        one = error.errors()[0]
        return shown(f"{'.'.join(map(str, one['loc']))}: {one['msg']}")
    return shown(str(error))
