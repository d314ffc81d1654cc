"""The trust file: which keys may sign what for a station, and how one such set follows another.

It is a signed envelope over JSON:

    {"schema": "plumbline.trust/1", "number": 1, "epoch": 1, "threshold": 1,
     "keys": [{"public": "64 hex digits", "roles": ["trust", "settings", "bundle", "command"]}]}

`threshold` keys of a role must sign what is of that role; the role trust signs trust files. The next set is
signed by the set before it and by itself, and its number is exactly one more. Documents count within an
epoch: a new one makes counters start anew, which is how a counter that a stolen key drove up is forgotten.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, get_args

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from agent.contract import strict_json
from agent.contract.strict_json import LARGEST_INTEGER, StrictJsonError
from agent.errors import PlumblineError
from agent.foreign import shown
from agent.settings import bounded
from agent.settings.bounded import UnreadableError
from agent.trust.envelope import SignatureError, opened, parse
from agent.trust.keys import is_weak, key_id, short

TRUST_TYPE = "application/vnd.plumbline.trust+json"
MAX_TRUST_BYTES = 65_536
MAX_KEYS = 16
SAID_PROBLEMS = 8
_SAID_CHARACTERS = 80
_UNFIT = "Value error, "  # said by pydantic before our own words

Role: TypeAlias = Literal["trust", "settings", "bundle", "command"]
ROLES: tuple[Role, ...] = get_args(Role)
_Count = Annotated[int, Field(ge=1, le=LARGEST_INTEGER)]


class TrustError(PlumblineError):
    """A trust file cannot be used; names the file, the place in it, the value and the remedy."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class TrustedKey(_Part):
    """A raw Ed25519 public key, and what it may sign."""

    public: str = Field(pattern=r"^[0-9a-f]{64}$")
    roles: tuple[Role, ...] = Field(min_length=1)

    @field_validator("public")
    @classmethod
    def _proves_something(cls, public: str) -> str:
        if is_weak(_key(public)):
            raise ValueError("anybody can sign under this key; make another with plumbline-lab keys new")
        return public

    @field_validator("roles")
    @classmethod
    def _stand_once(cls, roles: tuple[Role, ...]) -> tuple[Role, ...]:
        if len(set(roles)) < len(roles):
            raise ValueError("a role stands twice; name each once")
        return roles

    @property
    def id(self) -> str:
        return key_id(_key(self.public))


class TrustSet(_Part):
    """What one trust file says. Every role that a key has can be signed for; trust is always one of them."""

    format: Literal["plumbline.trust/1"] = Field(alias="schema")
    number: _Count
    epoch: _Count
    threshold: int = Field(ge=1, le=MAX_KEYS)
    keys: tuple[TrustedKey, ...] = Field(min_length=1, max_length=MAX_KEYS)

    @field_validator("keys")
    @classmethod
    def _keys_differ(cls, keys: tuple[TrustedKey, ...]) -> tuple[TrustedKey, ...]:
        publics = [key.public for key in keys]
        for public in publics:
            if publics.count(public) > 1:
                raise ValueError(f"key {public} stands twice; one key counts once, so name it once")
        return keys

    @model_validator(mode="after")
    def _can_be_signed_for(self) -> TrustSet:
        if self.epoch > self.number:
            raise ValueError(f"epoch {self.epoch} is above number {self.number}; it grows by one at a time")
        if not self.keys_of("trust"):
            raise ValueError("keys: none has the role trust, so nobody could change this set; give it to one")
        for role in ROLES:
            if 0 < len(self.keys_of(role)) < self.threshold:
                raise ValueError(
                    f"threshold {self.threshold} is above the {len(self.keys_of(role))} keys with the role "
                    f"{role}, so nothing of it could be signed; lower it, or give the role to more keys"
                )
        return self

    def keys_of(self, role: Role) -> tuple[Ed25519PublicKey, ...]:
        return tuple(_key(key.public) for key in self.keys if role in key.roles)

    def payload(self) -> bytes:
        """As it is signed."""
        return json.dumps(self.model_dump(mode="json", by_alias=True), indent=1).encode()


def load_trust(path: Path) -> TrustSet:
    """The set in the file at `path`, which it signed itself. Raises TrustError."""
    return parse_trust(read_trust(path), name=shown(str(path)))


def read_trust(path: Path) -> bytes:
    """A trust file's bytes, whatever they are. Raises TrustError."""
    try:
        return bounded.read(path, max_bytes=MAX_TRUST_BYTES)
    except UnreadableError as error:
        raise TrustError(
            f"{shown(str(path))}: not read: {shown(str(error))}; name a trust file that "
            "plumbline-lab keys has written"
        ) from error


def parse_trust(data: bytes, *, name: str) -> TrustSet:
    """As `load_trust`, from the file's bytes."""
    try:
        found = content_of(parse(data).payload, name)
        _open(data, found)
    except SignatureError as error:
        raise _unsigned(name, error) from error
    return found


def follow(trust: TrustSet, data: bytes, *, name: str) -> TrustSet:
    """The set that comes after `trust`, or `trust` where the file `data` says the same.

    Raises TrustError unless `trust` signed it, and then it itself, and its number is the next.
    """
    try:
        payload = _open(data, trust)
    except SignatureError as error:
        raise _unsigned(f"{name}: for the set before it, number {trust.number}", error) from error
    found = content_of(payload, name)
    try:
        _open(data, found)
    except SignatureError as error:
        raise _unsigned(f"{name}: for itself", error) from error
    if found == trust:
        return trust
    if found.number != trust.number + 1:
        raise TrustError(
            f"{name}: number {found.number} does not follow {trust.number}; give the file with number "
            f"{trust.number + 1}, since sets follow one by one"
        )
    if not trust.epoch <= found.epoch <= trust.epoch + 1:
        raise TrustError(
            f"{name}: epoch {found.epoch} does not follow {trust.epoch}; it stays or grows by one, as "
            "plumbline-lab keys rotate --new-epoch does"
        )
    return found


def content_of(payload: bytes, name: str) -> TrustSet:
    """What the payload says, whoever signed it. Raises TrustError with every problem."""
    try:
        content = strict_json.parse(payload)
        return TrustSet.model_validate_json(json.dumps(content))
    except StrictJsonError as error:
        raise TrustError(f"{name}: its payload is not JSON as we read it: {shown(str(error))}") from error
    except ValidationError as error:
        problems = [_problem(one["loc"], one["msg"], one["input"]) for one in error.errors()]
        more = f"; and {len(problems) - SAID_PROBLEMS} more" if len(problems) > SAID_PROBLEMS else ""
        raise TrustError(
            f"{name}: {'; '.join(problems[:SAID_PROBLEMS])}{more}; have plumbline-lab keys write it"
        ) from error


def described(trust: TrustSet) -> list[str]:
    """What people are told of a set, a line for each key."""
    head = f"number {trust.number}, epoch {trust.epoch}, {trust.threshold} of each role's keys must sign"
    return [head, *(f"key {short(key.id)}: {', '.join(key.roles)}" for key in trust.keys)]


def _open(data: bytes, trust: TrustSet) -> bytes:
    return opened(data, TRUST_TYPE, *trust.keys_of("trust"), threshold=trust.threshold)


def _problem(loc: tuple[int | str, ...], words: str, value: Any) -> str:
    place = shown(".".join(map(str, loc))[:_SAID_CHARACTERS])
    got = "" if isinstance(value, dict | list) else f" (got {shown(repr(value)[:_SAID_CHARACTERS])})"
    words = shown(words.removeprefix(_UNFIT))
    return f"{place}: {words}{got}" if place else words


def _unsigned(name: str, error: SignatureError) -> TrustError:
    return TrustError(f"{name}: {error}; have it signed with plumbline-lab keys sign, or take a file that is")


def _key(public: str) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(bytes.fromhex(public))
