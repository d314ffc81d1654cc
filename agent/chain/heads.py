"""Whether a head is what a station's key signed. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from agent.contract.head import HEAD_TYPE, Head, HeadError, HeadStatement, stated
from agent.contract.payloads import encode
from agent.trust.envelope import SignatureError, opened
from agent.trust.keys import is_weak, key_id, short

Check: TypeAlias = Callable[[bytes], HeadStatement]


def checker(trusted: Sequence[Ed25519PublicKey]) -> Check:
    """What gives the statement of a head's content, and raises HeadError.

    One of `trusted` must have signed it; without any, the key that the head names itself, which proves only
    that all of them are one station's.
    """

    def check(content: bytes) -> HeadStatement:
        statement = stated(content)
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(statement.key))
        if trusted and key.public_bytes_raw() not in {one.public_bytes_raw() for one in trusted}:
            raise HeadError(f"signed with key {short(key_id(key))}, which is not one of those given")
        if is_weak(key):
            raise HeadError("anybody can sign under its key")
        try:
            opened(content, HEAD_TYPE, key)
        except SignatureError as error:
            raise HeadError(str(error)) from error
        head = Head.model_validate_json(content)
        if encode(head) != content or [one.keyid for one in head.signatures] != [key_id(key)]:
            raise HeadError("it is not written as the station writes it")
        return statement

    return check
